"""The prompts that wait in a conversation, written above the line one types on. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from supervisor import InstanceRow, WaitingTurn
from tui.themes import MUTED
from tui.wording import format, reasons
from tui.wording.sanitize import clean_cell

SHOWN_WAITING = 3
"""Waiting prompts written out; of the rest the number is told."""


def waiting_lines(turns: Sequence[WaitingTurn], instance: InstanceRow | None, now: float) -> Content:
    """Each with its reason, its age and, where the pool holds it up, its place."""
    lines = [_line(turn, instance, now) for turn in turns[:SHOWN_WAITING]]
    if len(turns) > SHOWN_WAITING:
        lines.append(Content.styled(f"  and {len(turns) - SHOWN_WAITING} more", MUTED))
    return Content("\n").join(lines)


def _line(turn: WaitingTurn, instance: InstanceRow | None, now: float) -> Content:
    more = reasons.wait_words(turn, instance, now)
    return Content.assemble(
        (f"{format.glyph('waiting')} {turn.position} ", "$text-accent"),
        (f"{turn.why} {format.age(now - turn.queued_at)}", "$text-accent"),
        (f" · {more}" if more else "", "$text-accent"),
        (f"  {turn.source}  ", MUTED),
        clean_cell(turn.text, 400),
    )
