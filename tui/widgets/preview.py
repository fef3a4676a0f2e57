"""The end of a conversation, beside the list of sessions: who is meant by the row under the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Size
from textual.strip import Strip

from supervisor import (
    Asked,
    Done,
    Entry,
    Glimpse,
    Noticed,
    Question,
    QuestionClosed,
    QuestionKind,
    QuestionOutcome,
    QuestionPosed,
    Replied,
    ToolCalled,
    TurnEnded,
    outcome_word,
)
from tui.tables.line_view import LineView
from tui.transcript.markdown_split import cut_pieces
from tui.transcript.text_drawing import Paint
from tui.wording.format import duration, tool_name
from tui.wording.sanitize import clean_cell, clean_text

SHOWN_TEXT = 3_000
"""Characters of one entry that are drawn: the end of a reply, the beginning of a prompt."""
SCREENS = 3
"""More is not drawn: the cursor may go through many rows a second."""
SHOWN_PROMPT = 4
"""Lines of a prompt."""

REPLY = "reply"
"""The role of an agent's words: Markdown, as in its conversation."""

Line = tuple[str, str]
"""(text, role)."""


class Preview(LineView, can_focus=True):
    """Shows the newest lines; scrolls back by about `SCREENS` times what is in sight."""

    PREFIX = "preview"

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "preview--prompt", "preview--dim", "preview--warn", "preview--error", "preview--empty",
        "preview--heading", "preview--code", "preview--code-block", "preview--bullet", "preview--quote",
        "preview--link",
    }  # fmt: skip

    DEFAULT_CSS = """
    Preview {
        background: $surface;
        color: $foreground;
        & > .preview--prompt { color: $text-primary; text-style: bold; }
        & > .preview--dim { color: $text-muted; }
        & > .preview--warn { color: $text-warning; text-style: bold; }
        & > .preview--error { color: $text-error; }
        & > .preview--empty { color: $text-muted; }
        & > .preview--heading { color: $text-primary; }
        & > .preview--code { color: $text-accent; }
        & > .preview--code-block { background: $panel; }
        & > .preview--bullet { color: $text-muted; }
        & > .preview--quote { color: $text-muted; }
        & > .preview--link { color: $text-primary; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glimpse = Glimpse((), "")
        self._strips: list[Strip] = []
        self._kept: dict[Line, list[Strip]] = {}
        """What was drawn last; of a reply that grows only the end is drawn anew."""
        self._kept_for = 0
        """The width it was drawn for."""

    def show(self, glimpse: Glimpse) -> None:
        """Draws anew only when it shows something else than before."""
        if glimpse != self._glimpse:
            self._glimpse = glimpse
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def forget_strips(self) -> None:
        self._kept.clear()
        if self.is_attached:
            self.call_later(self._draw)

    def _draw(self) -> None:
        width = self.size.width
        if width < 8:
            return
        paint = Paint(width - 2, self.ink, self.ground, is_dark=self.app.current_theme.dark)
        before, kept, room = self._strips, self._kept if self._kept_for == width else {}, SCREENS * self.size.height
        drawn: list[list[Strip]] = []
        self._kept, self._kept_for = {}, width
        for line in reversed(list(_lines(self._glimpse))):
            if room <= 0:
                break
            strips = self._kept[line] = kept.get(line) or _drawn(paint, *line)
            drawn.append(strips)
            room -= len(strips)
        self._strips = [strip for strips in reversed(drawn) for strip in strips]
        if [strip.text for strip in before] != [strip.text for strip in self._strips]:
            self.virtual_size = Size(0, len(self._strips))
            self.scroll_to(y=max(0, len(self._strips) - self.size.height), animate=False, force=True)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        index = self.scroll_offset.y + y
        if index >= len(self._strips):
            if y == self.size.height // 2 and not self._strips:
                words = clean_cell(" nothing has been said yet", width)
                return Strip([Segment(words, base + self.ink("empty"))]).adjust_cell_length(width, base)
            return Strip.blank(width, base)
        strip = Strip([Segment(" ", base), *self._strips[index].apply_style(base)])
        return strip.adjust_cell_length(width, base)


def _drawn(paint: Paint, text: str, role: str) -> list[Strip]:
    if role == REPLY:
        return [strip for piece in cut_pieces(clean_text(text)) for strip in paint.piece(piece)]
    strips = paint.text(clean_text(text), paint.ink(role))
    return strips[:SHOWN_PROMPT] if role == "prompt" else strips


def _lines(glimpse: Glimpse) -> Iterator[Line]:
    closed = {entry.question_id: entry for entry in glimpse.entries if isinstance(entry, QuestionClosed)}
    for entry in glimpse.entries:
        if isinstance(entry, QuestionPosed) and (ending := closed.get(entry.question.id)) is not None:
            yield _settled(entry.question, ending), "dim"
        elif (line := _line_of(entry)) is not None:
            yield line
    if glimpse.open_text:
        yield glimpse.open_text[-SHOWN_TEXT:], REPLY


def _settled(question: Question, ending: QuestionClosed) -> str:
    """What was asked, and what became of it."""
    is_choice = question.kind is QuestionKind.CHOICE and ending.outcome is QuestionOutcome.APPROVED
    answer = f": {ending.answer[:200]}" if ending.answer else ""
    what = tool_name(question.tool)
    return f"◐ {what} {question.summary[:200]} → {'answered' if is_choice else ending.outcome}{answer}"


def _line_of(entry: Entry) -> Line | None:
    match entry:
        case Asked(text=text):
            return f"› {text[:SHOWN_TEXT]}", "prompt"
        case Replied(text=text):
            return text.strip("\n")[-SHOWN_TEXT:], REPLY
        case ToolCalled(tool=tool, summary=summary):
            return f"● {tool} {summary[:200]}", "dim"
        case QuestionPosed(question=question):
            return f"◐ asks: {tool_name(question.tool)} {question.summary[:200]}", "warn"
        case Noticed(text=text, is_warning=is_warning):
            return text[:400], "error" if is_warning else "dim"
        case TurnEnded(outcome=Done(seconds=seconds)):
            return f"done in {duration(seconds)}", "dim"
        case TurnEnded(outcome=outcome):
            return outcome_word(outcome), "error"
    return None
