"""The inbox: what waits for the operator's word, as table rows. Pure functions."""

from __future__ import annotations

from typing import Any

from supervisor import Offer, Question, SessionState
from tui.tables.layout import Column
from tui.wording import format, reasons
from tui.wording.cells import Cell, Row
from tui.wording.remedies import KEYS, Remedies

Item = Question | Offer
"""An agent's open question, or a turn that a restart interrupted."""

INBOX_COLUMNS = (
    Column("age", "waits", 5, "right"),
    Column("session", "session", 14, flex=1, is_name=True),
    Column("tool", "tool", 9, is_name=True, longest=16),
    Column("summary", "question", 14, flex=3),
    Column("expires", "expires", 7, "right", priority=1),
)


def inbox_order(row: Item) -> tuple[Any, ...]:
    """Questions before interrupted turns, because they hold a client; of each kind the longest waiting first."""
    return (0, row.asked_at, row.id) if isinstance(row, Question) else (1, row.made_at, row.turn_id)


def item_key(row: Item) -> str:
    """The row key of an item."""
    return row.id if isinstance(row, Question) else f"offer {row.turn_id}"


def inbox_row(row: Item, now: float, by: Remedies = KEYS) -> Row:
    return question_row(row, now) if isinstance(row, Question) else offer_row(row, now, by)


def offer_row(row: Offer, now: float, by: Remedies = KEYS) -> Row:
    state = SessionState.INTERRUPTED
    return Row(
        item_key(row),
        (
            Cell(format.age(now - row.made_at), "warn"),
            Cell(str(row.key), "strong"),
            Cell(f"{format.glyph(state)} restart", format.role(state)),
            (Cell(f"{by.decide}  " if by.decide else "", "accent"), Cell(row.text)),
            _expiry(row.expires_at - now),
        ),
        (row.made_at, row.key, "restart", row.text, row.expires_at),
    )


def question_row(row: Question, now: float) -> Row:
    return Row(
        item_key(row),
        (
            Cell(format.age(now - row.asked_at), "warn"),
            Cell(str(row.key), "strong"),
            Cell(reasons.asked_for(row), "accent"),
            (Cell("⚠ ", "error"), Cell(row.summary)) if row.warnings else Cell(row.summary),
            _expiry(row.expires_at - now),
        ),
        (row.asked_at, row.key, row.tool, row.summary, row.expires_at),
    )


def _expiry(left: float) -> Cell:
    return Cell(f"in {format.age(left)}" if left > 0 else "now", "error" if left < 60 else "dim")
