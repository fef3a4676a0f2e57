"""What has happened in a session since the operator last looked at it. No widgets."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from supervisor import SessionKey, SessionRow, SessionState


class Mark(NamedTuple):
    """One sign for a tab or a pane; an empty sign says that nothing is new."""

    sign: str = ""
    role: str = ""
    """Of colours, as `format.role` gives them."""
    words: str = ""


NOTHING_NEW = Mark()


class Seen(Struct, frozen=True):
    turns: int
    has_failed: bool


class Unread:
    """What the operator has seen of each session."""

    def __init__(self) -> None:
        self._seen: dict[SessionKey, Seen] = {}

    def look(self, key: SessionKey, row: SessionRow | None) -> None:
        """The operator sees the session as it is now."""
        if row is None:
            self._seen.pop(key, None)
        else:
            self._seen[key] = Seen(row.turns, row.state is SessionState.FAILED)

    def forget(self, key: SessionKey) -> None:
        self._seen.pop(key, None)

    def mark(self, key: SessionKey, row: SessionRow | None) -> Mark:
        """A question or an interrupted turn stays marked until it is settled; the rest until it was looked at."""
        if row is None:
            return NOTHING_NEW
        if row.questions:
            return Mark("◐", "warn", "asks")
        if row.offer is not None:
            return Mark("↺", "warn", "interrupted")
        seen = self._seen.get(key)
        if seen is None:
            return NOTHING_NEW
        # A session that was closed and begun again counts from nothing.
        new = row.turns - (seen.turns if row.turns >= seen.turns else 0)
        if row.state is SessionState.FAILED and (new or not seen.has_failed):
            return Mark("✕", "error", "failed")
        return Mark(f"•{new}", "accent", f"{new} new") if new else NOTHING_NEW
