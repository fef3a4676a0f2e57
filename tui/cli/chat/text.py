"""What a chat at a terminal shows of a conversation."""

from __future__ import annotations

from supervisor import (
    Asked,
    Entry,
    Noticed,
    QuestionClosed,
    Source,
    ToolCalled,
    ToolReturned,
    TurnEnded,
    outcome_word,
)
from tui.cli.block_text import BlockText
from tui.wording.format import first_line

WIDEST_NOTE = 160
"""Characters of the line about a tool call."""


class ChatText(BlockText):
    """Tool calls, denials and notices are a line each."""

    def __init__(self) -> None:
        super().__init__()
        self.mine: set[str] = set()
        """Turns whose prompts were typed here: those are not shown again."""
        self._denial = ""
        """What the agent was told last when a call was denied: its tool returns the same."""

    def note(self, entry: Entry) -> str:
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
