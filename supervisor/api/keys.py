"""The name of a conversation."""

from __future__ import annotations

from typing import NamedTuple


class SessionKey(NamedTuple):
    """Names one conversation. It is also the lock key: one turn at a time per key."""

    instance: str
    user: str
    session: str

    def __str__(self) -> str:
        return f"{self.instance}/{self.user}/{self.session}"
