"""Asks how many turns of an instance may run in parallel."""

from __future__ import annotations

from supervisor import InstanceRow
from tui.screens.ask_text import AskTextScreen

MOST_SESSIONS = 1000


class ScaleScreen(AskTextScreen):
    """A number as text; `int()` of it is safe."""

    def __init__(self, row: InstanceRow) -> None:
        pool = row.pool
        super().__init__(
            f"Scale {row.name}",
            f"Turns that may run in parallel; now {row.max_sessions}, of which {row.active_sessions} run. "
            f"{pool.total} clients live, {pool.max_clients} at most: that changes with it. Fewer: what runs goes on, "
            "idle clients end.",
            value=str(row.max_sessions),
            mistake_in=_mistake_in,
        )


def _mistake_in(line: str) -> str:
    if line.isascii() and line.isdigit() and 1 <= int(line) <= MOST_SESSIONS:
        return ""
    return f"a whole number from 1 to {MOST_SESSIONS}, please"
