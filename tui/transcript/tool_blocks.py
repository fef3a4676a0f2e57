"""What an agent does rather than says: tool calls with their results, and the questions it asks first."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from supervisor import Question, QuestionClosed, QuestionKind, QuestionOutcome, ToolCalled, ToolReturned
from tui.operator.operations import OPERATOR
from tui.transcript.blocks import INDENT, Block, wrapped_height
from tui.transcript.text_drawing import Paint
from tui.wording.format import cut, duration, tool_name
from tui.wording.question_lines import lines_of, rows_of
from tui.wording.sanitize import clean_cell, clean_text

RESULT_LINES = 500
RESULT_CHARACTERS = 32_000
"""What of a tool's result, or of its arguments, is shown. The rest is counted."""


SHORTEST_WAIT = 1.0
"""Seconds that an answer took from which a tool's line tells them apart from its own."""


class ToolUse(Block):
    """A call and its result, folded together into one line."""

    can_fold = True

    def __init__(self, entry: ToolCalled) -> None:
        super().__init__()
        self.called = entry
        self.returned: ToolReturned | None = None
        self.is_cut_off = False
        """The turn ended before the tool returned."""
        self.is_held = False
        """It may not run before a question about it is answered."""
        self._held_at = 0.0
        self._waited = 0.0
        """Seconds for which it was held: not its own."""
        self._is_answered = False
        """Whether an answer ended that."""

    def hold(self, at: float) -> None:
        """A question about it is asked. `at` in Unix seconds."""
        self._held_at, self.is_held = at, True
        self.redraw()

    def release(self, at: float, *, is_answered: bool) -> None:
        """That question is over, with or without an answer. Nothing happens when it is not held."""
        if self.is_held:
            self._waited += max(0.0, at - self._held_at)
            self._is_answered = is_answered
        self.is_held = False
        self.redraw()

    def finish(self, entry: ToolReturned) -> None:
        self.returned = entry
        self.redraw()

    def cut_off(self) -> None:
        if self.returned is None:
            self.is_cut_off = True
            self.redraw()

    def compose(self, paint: Paint) -> list[Strip]:
        called, returned = self.called, self.returned
        if returned is None:
            state, role = ("◐ held", "question") if self.is_held else ("… running", "busy")
            if self.is_cut_off:
                state, role = "✕ no result", "dim"
        else:
            took = duration(returned.at - called.at - self._waited)
            state, role = (f"✕ {took}", "error") if returned.is_error else (f"✓ {took}", "ok")
            if self._waited >= SHORTEST_WAIT:
                words = "answered after" if self._is_answered else "not answered in"
                state = f"{state} · {words} {duration(self._waited)}"
        tool = clean_cell(tool_name(called.tool), 40)
        room = paint.width - 2 - cell_len(tool) - 2 - cell_len(state) - 2
        head = Strip(
            [
                Segment("▸ " if self.is_folded else "▾ ", paint.ink("dim")),
                Segment(tool, paint.ink("tool")),
                Segment("  " + clean_cell(called.summary, max(0, room)) + "  ", paint.ink("dim")),
                Segment(state, paint.ink(role)),
            ]
        )
        if self.is_folded:
            return [head]
        lines = [head, *_excerpt(called.detail, paint, paint.ink("dim"))]
        if returned is not None:
            style = paint.ink("error") if returned.is_error else Style.null()
            lines += [Strip.blank(0), *_excerpt(returned.text, paint, style)]
        return lines

    def estimate(self, width: int) -> int:
        if self.is_folded:
            return self.gap + 1
        result = self.returned.text if self.returned is not None else ""
        return self.gap + 2 + wrapped_height(self.called.detail + "\n" + result, width)

    def source(self) -> str:
        result = "\n" + self.returned.text if self.returned is not None else ""
        return f"{self.called.tool}  {self.called.summary}\n{self.called.detail}{result}"


def _excerpt(text: str, paint: Paint, style: Style) -> list[Strip]:
    """A text indented and cut to what can be shown; the last line says what is missing."""
    shown = clean_text(text[:RESULT_CHARACTERS])
    lines = shown.rstrip("\n").split("\n")
    missing = text.count("\n", len(text[:RESULT_CHARACTERS])) + max(0, len(lines) - RESULT_LINES)
    strips = paint.text("\n".join(lines[:RESULT_LINES]), style, indent=INDENT)
    if missing or len(text) > RESULT_CHARACTERS:
        note = f"… {missing:,} more lines" if missing else f"… {len(text) - RESULT_CHARACTERS:,} more characters"
        strips.append(Strip([Segment(" " * INDENT + note, paint.ink("warn"))]))
    return strips


class Card(Block):
    """A question of the agent, and how it ended. One line: while it waits, the card below has the rest."""

    can_fold = True
    rail = "question"

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question
        self.closed: QuestionClosed | None = None

    def close(self, entry: QuestionClosed) -> None:
        self.closed = entry
        self.is_folded = True
        if entry.outcome is not QuestionOutcome.APPROVED:
            self.rail = "dim"
        self.redraw()

    def compose(self, paint: Paint) -> list[Strip]:
        question, closed = self.question, self.closed
        state, role = "◐ waits for an answer", "question"
        if closed is not None:
            state, role = _ENDINGS[closed.outcome]
            if question.kind is QuestionKind.CHOICE and closed.outcome is QuestionOutcome.APPROVED:
                state = "✓ answered"
            if closed.by not in ("", OPERATOR):
                state = f"{state} by {clean_cell(closed.by)}"
            if closed.answer:
                state = f"{state} · {clean_cell(closed.answer)}"
        state = cut(state, max(12, paint.width // 2))
        if question.kind is QuestionKind.CHOICE:
            tool, summary = "question", question.choices[0].question if question.choices else question.summary
        else:
            tool, summary = tool_name(question.tool), question.summary
        tool = clean_cell(tool, 40)
        room = paint.width - 2 - cell_len(tool) - 2 - cell_len(state) - 2
        head = [
            Segment("? ", paint.ink("question")),
            Segment(tool, paint.ink("tool")),
            Segment("  " + clean_cell(summary, max(0, room)) + "  "),
            Segment(state, paint.ink(role)),
        ]
        lines = [Strip(head)]
        if not self.is_folded:
            lines += self._particulars(paint)
        return lines

    def _particulars(self, paint: Paint) -> list[Strip]:
        question, dim = self.question, paint.ink("dim")
        lines: list[Strip] = []
        for number, item in enumerate(question.choices):
            if number > 0:
                lines += paint.text(clean_text(item.question), indent=INDENT)
            for index, (label, description) in enumerate(item.options, start=1):
                text = f"{index} {clean_text(label)}"
                lines += paint.text(text, paint.ink("strong"), indent=INDENT)
                if description:
                    lines += paint.text(clean_text(description), dim, indent=INDENT * 2)
        if not question.choices:
            for line in lines_of(question):
                style = paint.ink(_ROLES.get(line.role, "dim"))
                lines += [
                    Strip([Segment(" " * INDENT), Segment(row, style)]) for row in rows_of(line, paint.width - INDENT)
                ]
        return lines

    def estimate(self, width: int) -> int:
        if self.is_folded:
            return self.gap + 1
        shown = f"{self.question.detail}\n{self.question.diff}\n{self.question.always}"
        return self.gap + 1 + wrapped_height(shown, width)

    def source(self) -> str:
        question = self.question
        asked = "\n".join(item.question for item in question.choices)
        answer = "\n" + self.closed.answer if self.closed is not None else ""
        shown = "\n".join(line.text for line in lines_of(question))
        return f"{question.tool}  {question.summary}\n{shown}\n{asked}{answer}"


_ROLES = {"warn": "error", "note": "warn", "heading": "strong", "hunk": "link", "added": "ok", "removed": "error"}
_ENDINGS = {
    QuestionOutcome.APPROVED: ("✓ approved", "ok"),
    QuestionOutcome.DENIED: ("✕ denied", "error"),
    QuestionOutcome.EXPIRED: ("◌ expired without an answer", "warn"),
    QuestionOutcome.LOST: ("◌ lost, the turn ended first", "dim"),
}
