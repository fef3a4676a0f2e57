"""Asks how many turns of one instance, or of several, may run in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from supervisor import InstanceRow
from tui.screens.dialogs.ask_text import AskTextScreen
from tui.wording import format

MOST_SESSIONS = 1000


class ScaleScreen(AskTextScreen):
    """A number as text; `int()` of it is safe."""

    def __init__(self, rows: Sequence[InstanceRow]) -> None:
        """`rows` are not empty."""
        first = rows[0]
        hint_for: Callable[[str], str] | None
        if len(rows) == 1:
            pool = first.pool
            title = f"Scale {first.name}"
            note = (
                f"Turns that may run in parallel; now {first.max_sessions}, of which {first.active_sessions} "
                f"{'runs' if first.active_sessions == 1 else 'run'}. {format.some(pool.total, 'client')} "
                f"{'lives' if pool.total == 1 else 'live'}, {pool.max_clients} at most. Fewer turns: what runs goes "
                "on, and idle clients end where fewer may live, too."
            )
            hint_for = partial(tell_clients, first)
        else:
            title = f"Scale {len(rows)} marked"
            each = ", ".join(f"{row.name} (now {row.max_sessions}, {row.active_sessions} run)" for row in rows)
            note = f"Turns that may run in parallel in each of: {each}. Fewer: what runs goes on, idle clients end."
            hint_for = None
        super().__init__(title, note, value=str(first.max_sessions), mistake_in=_mistake_in, hint_for=hint_for)


def tell_clients(row: InstanceRow, line: str) -> str:
    """How many clients there may be with the number of turns typed in `line`; empty when that is no number."""
    if _mistake_in(line.strip()):
        return ""
    turns = int(line)
    return f"{format.some(turns, 'turn')} in parallel, {format.some(row.client_limit.at(turns), 'client')} at most"


def _mistake_in(line: str) -> str:
    if line.isascii() and line.isdigit() and 1 <= int(line) <= MOST_SESSIONS:
        return ""
    return f"a whole number from 1 to {MOST_SESSIONS}, please"
