"""The shipped fake: agents without processes, for tests and for loads that real processes cannot reach."""

from __future__ import annotations

from supervisor.testing.fake import (
    FakeConnection,
    FakeConnector,
    FakeTree,
    FakeWorld,
    OnPrompt,
    Written,
    answer_at_once,
    compact_at_once,
    hold,
)

__all__ = [
    "FakeConnection",
    "FakeConnector",
    "FakeTree",
    "FakeWorld",
    "OnPrompt",
    "Written",
    "answer_at_once",
    "compact_at_once",
    "hold",
]
