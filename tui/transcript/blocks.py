"""What a conversation is made of on screen. A block draws itself once per paint, and only when looked at."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from supervisor import (
    Asked,
    Cancelled,
    Done,
    Expired,
    Failed,
    Interrupted,
    Noticed,
    Source,
    TurnEnded,
    outcome_word,
)
from tui.transcript.markdown_split import Piece, cut_pieces
from tui.transcript.text_drawing import Paint
from tui.wording.format import count, duration, first_line, money
from tui.wording.sanitize import clean_cell, clean_text

LONG_PROMPT = 24
"""A prompt of more lines than this is folded to its first `FOLDED_PROMPT` lines."""
FOLDED_PROMPT = 12
INDENT = 2


class Block:
    """One item of a transcript, drawn as a number of lines."""

    gap: int = 1
    """Blank lines above it."""
    rail: str = ""
    """The role of the bar at its left; empty for none."""
    ground: str = ""
    """The role of its background; empty for the transcript's own."""
    can_fold: bool = False

    def __init__(self) -> None:
        self.is_folded = True
        self._paint: Paint | None = None
        self._rough: tuple[int, int] = (0, 0)
        self._lines: list[Strip] = []

    def draw(self, paint: Paint) -> list[Strip]:
        """The block's lines, without the gap. They are drawn once for each `paint`."""
        if self._paint is not paint:
            self._lines = self.compose(paint)
            self._paint = paint
        return self._lines

    def is_drawn(self, paint: Paint) -> bool:
        return self._paint is paint

    def height(self, paint: Paint) -> int:
        """Lines with the gap: exact once it has been drawn, estimated before."""
        if self._paint is paint:
            return self.gap + len(self._lines)
        width, height = self._rough
        if width != paint.width:
            height = self.estimate(paint.width)
            self._rough = (paint.width, height)
        return height

    def redraw(self) -> None:
        """Discards the drawn lines, because what the block shows has changed."""
        self._paint = None
        self._rough = (0, 0)

    def toggle(self) -> None:
        self.is_folded = not self.is_folded
        self.redraw()

    def compose(self, paint: Paint) -> list[Strip]:
        raise NotImplementedError

    def estimate(self, width: int) -> int:
        """About how many lines it will have with the gap, without drawing."""
        return self.gap + 1

    def source(self) -> str:
        """The block's text as it came. Searches look through it, and copies take it."""
        raise NotImplementedError


class Prompted(Block):
    """A prompt, labelled with who sent it."""

    ground = "asked"

    def __init__(self, entry: Asked) -> None:
        super().__init__()
        self.entry = entry
        self.rail = entry.source.value
        self.can_fold = entry.text.count("\n") >= LONG_PROMPT
        self._why_not = ""

    def note_unsent(self, why: str) -> None:
        """Marks the prompt as never sent: its turn ended before it began. It must not look like the one that the reply
        below belongs to."""
        self._why_not, self.can_fold = why, False
        self.ground, self.rail = "", "dim"
        self.redraw()

    def compose(self, paint: Paint) -> list[Strip]:
        entry = self.entry
        who = {
            Source.OPERATOR: "you (operator)",
            Source.HOOK: f"hook for {entry.user}",
            Source.AGENT: "the agent, by itself",
            Source.ENGINE: "bullpen",
        }.get(entry.source, entry.user)
        head = Strip(
            [
                Segment(clean_cell(who, paint.width - 10), paint.ink(self.rail) + Style(bold=True)),
                Segment("  " + clock_time(entry.at), paint.ink("dim")),
            ]
        )
        if self._why_not:
            told = f"not sent: {first_line(entry.text)} · {first_line(clean_text(self._why_not))}"
            return [head, *paint.text(clean_text(told), paint.ink("dim"))]
        lines = paint.text(clean_text(entry.text).rstrip("\n"))
        if self.can_fold and self.is_folded:
            more = f"▸ {len(lines) - FOLDED_PROMPT} more lines"
            lines = [*lines[:FOLDED_PROMPT], Strip([Segment(more, paint.ink("dim"))])]
        return [head, *lines]

    def estimate(self, width: int) -> int:
        return self.gap + 1 + wrapped_height(self.entry.text, width)

    def source(self) -> str:
        return self.entry.text


class Passage(Block):
    """A part of a reply: some whole Markdown blocks. Drawn pieces are kept, so that growth costs only what is new."""

    def __init__(self, text: str, pieces: Sequence[Piece] | None = None, *, is_open: bool = False) -> None:
        super().__init__()
        self.text = text
        self.is_open = is_open
        """Still being streamed: its end carries a mark."""
        self._pieces = pieces
        self._drawn: dict[Piece, list[Strip]] = {}
        self._drawn_with: Paint | None = None
        if pieces and pieces[0].is_glued:
            self.gap = 0

    @property
    def pieces(self) -> Sequence[Piece]:
        if self._pieces is None:
            self._pieces = cut_pieces(clean_text(self.text))
        return self._pieces

    def become(self, text: str, pieces: Sequence[Piece], *, is_open: bool) -> None:
        """Shows another text; pieces that it still has are not drawn again."""
        self.text, self._pieces, self.is_open = text, pieces, is_open
        self.gap = 0 if pieces and pieces[0].is_glued else 1
        self.redraw()

    def compose(self, paint: Paint) -> list[Strip]:
        kept = self._drawn if self._drawn_with is paint else {}
        drawn = {piece: kept[piece] if piece in kept else paint.piece(piece) for piece in self.pieces}
        self._drawn, self._drawn_with = drawn, paint
        lines: list[Strip] = []
        for piece in self.pieces:
            if lines and not piece.is_glued:
                lines.append(Strip.blank(0))
            lines.extend(drawn[piece])
        if self.is_open:
            lines = _with_mark(lines, paint)
        return lines

    def estimate(self, width: int) -> int:
        return self.gap + wrapped_height(self.text, width)

    def source(self) -> str:
        return self.text


def _with_mark(lines: list[Strip], paint: Paint) -> list[Strip]:
    mark = Segment("▌", paint.ink("open"))
    if not lines:
        return [Strip([mark])]
    if lines[-1].cell_length >= paint.width:
        return [*lines, Strip([mark])]
    return [*lines[:-1], Strip([*lines[-1], mark])]


class Notice(Block):
    """Something the reader of the conversation should know."""

    def __init__(self, entry: Noticed) -> None:
        super().__init__()
        self.entry = entry

    def compose(self, paint: Paint) -> list[Strip]:
        sign, role = ("! ", "warn") if self.entry.is_warning else ("· ", "dim")
        lines = paint.text(clean_text(self.entry.text), paint.ink(role), indent=INDENT)
        return [Strip([Segment(sign, paint.ink(role)), *list(lines[0])[1:]]), *lines[1:]]

    def estimate(self, width: int) -> int:
        return self.gap + wrapped_height(self.entry.text, width - INDENT)

    def source(self) -> str:
        return self.entry.text


class Ending(Block):
    """A thin rule where a turn ended, with its outcome and what it cost."""

    def __init__(self, entry: TurnEnded) -> None:
        super().__init__()
        self.entry = entry

    def compose(self, paint: Paint) -> list[Strip]:
        outcome = self.entry.outcome
        word, dim = outcome_word(outcome), paint.ink("dim")
        lines: list[Strip] = []
        match outcome:
            case Done():
                style = dim
            case Failed(kind=kind, message=message):
                style = paint.ink("error")
                lines = paint.text(f"✕ {kind.value}: {clean_text(message)}", style)
            case Interrupted(reason=reason) | Cancelled(reason=reason):
                style = paint.ink("warn")
                lines = paint.text(clean_text(reason), style) if reason else []
            case Expired(message=message):
                style = paint.ink("warn")
                lines = paint.text(clean_text(message), style)
        facts = " · ".join(["", *_costs(self.entry)])
        room = paint.width - 3 - len(word) - cell_len(facts) - 1
        if room < 0:
            return [*lines, *paint.text(f"── {word}{facts}", dim)]
        rule = [Segment("── ", dim), Segment(word, style), Segment(f"{facts} ", dim), Segment("─" * room, dim)]
        return [*lines, Strip(rule)]

    def source(self) -> str:
        message = getattr(self.entry.outcome, "message", "") or getattr(self.entry.outcome, "reason", "")
        return f"{outcome_word(self.entry.outcome)} {message}"


def _costs(entry: TurnEnded) -> list[str]:
    outcome = entry.outcome
    facts = [clock_time(entry.at)]
    if isinstance(outcome, Done) and outcome.seconds:
        facts.append(duration(outcome.seconds))
    if isinstance(outcome, Done | Failed | Interrupted):
        usage = outcome.usage
        if usage.input_tokens or usage.output_tokens:
            cached = f" + {count(usage.cache_tokens)} cached" if usage.cache_tokens else ""
            facts.append(f"{count(usage.input_tokens)} in{cached}, {count(usage.output_tokens)} out")
        if usage.cost_usd:
            facts.append(money(usage.cost_usd))
    return facts


def clock_time(at: float) -> str:
    """Local wall time, `14:03:27`."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def wrapped_height(text: str, width: int) -> int:
    """About how many lines a text takes; no more work than counting."""
    return 1 + text.count("\n") + len(text) // max(1, width)
