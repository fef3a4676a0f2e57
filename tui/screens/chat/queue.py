"""The prompts that wait in a conversation, written above the line one types on. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from supervisor import InstanceRow, WaitingTurn, WhyWaiting
from tui.themes import MUTED
from tui.wording import format, reasons
from tui.wording.remedies import Remedies
from tui.wording.sanitize import clean_cell

SHOWN_WAITING = 3
"""Waiting prompts written out; of the rest the number is told."""


def waiting_lines(turns: Sequence[WaitingTurn], instance: InstanceRow | None, now: float, by: Remedies) -> Content:
    """Each with its place in this session, its reason and age and, where the pool holds it up, its place there."""
    lines = [_line(turn, instance, now, by) for turn in turns[:SHOWN_WAITING]]
    if len(turns) > SHOWN_WAITING:
        lines.append(Content.styled(f"  and {len(turns) - SHOWN_WAITING} more", MUTED))
    return Content("\n").join(lines)


def _line(turn: WaitingTurn, instance: InstanceRow | None, now: float, by: Remedies) -> Content:
    more = reasons.wait_words(turn, instance, now, by)
    return Content.assemble(
        (f"{format.glyph('waiting')} {format.ordinal(turn.position)} · ", "$text-accent"),
        (f"{_reason(turn)} {format.age(now - turn.queued_at)}", "$text-accent"),
        (f" · {more}" if more else "", "$text-accent"),
        (f"  {turn.source}  ", MUTED),
        clean_cell(turn.text, 400),
    )


def _reason(turn: WaitingTurn) -> str:
    """The word that every screen has; a bare `question` would read as a number of them."""
    return "waits for the question above" if turn.why is WhyWaiting.QUESTION else str(turn.why)
