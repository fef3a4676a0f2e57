"""What a chat at a terminal shows of a conversation, entry by entry and as it is written. Pure: prints nothing."""

from __future__ import annotations

from typing import NamedTuple

from supervisor import (
    Asked,
    Entry,
    Noticed,
    QuestionClosed,
    Reading,
    Replied,
    Source,
    ToolCalled,
    ToolReturned,
    TurnEnded,
    outcome_word,
)
from tui.wording.format import first_line

STARTS_AGAIN = "\n[the reply was broken off and starts again]\n"
"""Between a part of a reply that is void and the reply that replaces it."""
WIDEST_NOTE = 160
"""Characters of the line about a tool call."""


class Piece(NamedTuple):
    """Something to print."""

    text: str
    is_reply: bool = False
    """The agent's own words, which go to standard output."""


class ChatText:
    """Holds how much of the block that is being written was shown."""

    def __init__(self) -> None:
        self.mine: set[str] = set()
        """Turns whose prompts were typed here: those are not shown again."""
        self._opened = ""
        self._shown = 0
        """Characters of the open block that were given out."""
        self._is_broken = False
        """A line of another kind was printed since, in the middle of a line of the block."""
        self._denial = ""
        """What the agent was told last when a call was denied: its tool returns the same."""

    def break_line(self) -> str:
        """What has to be printed before a line of another kind: a line break, where the block stands within a line."""
        if self._shown == 0 or self._is_broken or self._opened[: self._shown].endswith("\n"):
            return ""
        self._is_broken = True
        return "\n"

    def take(self, reading: Reading, *, is_streamed: bool) -> list[Piece]:
        """What is to be printed of a reading. Of a block that is not finished nothing is, unless `is_streamed`."""
        pieces = [piece for entry in reading.entries for piece in self._entry(entry)]
        if reading.open_is_new:
            pieces += self._break_off()
        self._opened += reading.opened
        if is_streamed and len(self._opened) > self._shown:
            pieces.append(Piece(self._opened[self._shown :], is_reply=True))
            self._shown, self._is_broken = len(self._opened), False
        return pieces

    def _break_off(self) -> list[Piece]:
        was_shown = self._shown > 0
        self._opened, self._shown = "", 0
        return [Piece(STARTS_AGAIN, is_reply=True)] if was_shown else []

    def _entry(self, entry: Entry) -> list[Piece]:
        if isinstance(entry, Replied):
            shown = self._opened[: self._shown]
            pieces = [] if entry.text.startswith(shown) else self._break_off()
            rest = entry.text[self._shown :]
            self._opened, self._shown = "", 0
            return [*pieces, Piece(rest if entry.text.endswith("\n") else f"{rest}\n", is_reply=True)]
        text = self._note(entry)
        if not text:
            return []
        return [Piece(f"{self.break_line()}{text}\n")]

    def _note(self, entry: Entry) -> str:
        match entry:
            case Asked(text=text, user=user, source=source) if entry.turn_id not in self.mine:
                who = user if source is Source.CALLER else f"{source.value} for {user}"
                return f"[{who}] {_indented(text)}"
            case ToolCalled(tool=tool, summary=summary):
                return f"· {first_line(f'{tool} {summary}', WIDEST_NOTE)}"
            case ToolReturned(is_error=True, text=text) if not self._denial or text != self._denial:
                return f"· failed: {first_line(text, WIDEST_NOTE)}"
            case Noticed(text=text):
                return f"· {_indented(text)}"
            case QuestionClosed(outcome=outcome, by=by, answer=answer):
                who = f" by {by}" if by else ""
                self._denial = answer
                return f"· {outcome.value}{who}" + (f": {first_line(answer, WIDEST_NOTE)}" if answer else "")
            case TurnEnded(outcome=outcome) if entry.turn_id not in self.mine and outcome_word(outcome) != "done":
                return f"· turn {outcome_word(outcome)}"
        return ""


def _indented(text: str) -> str:
    """No line but the first begins where a line of its own would."""
    return text.replace("\n", "\n    ")


def last_exchange(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The last prompt of a conversation and what came after it."""
    asked = [number for number, entry in enumerate(entries) if isinstance(entry, Asked)]
    return entries[asked[-1] :] if asked else ()
