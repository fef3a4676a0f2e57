"""A reader of the feed as every screen is one: a snapshot at first, then only what changed."""

from __future__ import annotations

from typing import Any
from unittest import mock

from msgspec import Struct
from msgspec.structs import fields, replace

from supervisor import feed
from supervisor.api.changes import Changes
from supervisor.api.events import Event
from supervisor.api.outcomes import Usage
from supervisor.api.snapshot import HostRow, SessionRow, Snapshot
from supervisor.feed import Subscription

Picture = dict[str, dict[Any, Any]]


class Reader:
    """Keeps the picture that a subscriber has of the engine; `patience` is how many events it may be behind."""

    def __init__(self, subscription: Subscription, *, patience: int = feed.EVENT_BUFFER) -> None:
        self._subscription = subscription
        self._push, self._patience = subscription._push, patience
        subscription._push = self._push_at_most  # type: ignore[method-assign]
        self.picture = draw(subscription.snapshot)

    def catch_up(self) -> Changes:
        changes = self._subscription.take()
        if changes.snapshot is not None:
            self.picture = draw(changes.snapshot)
            return changes
        picture = self.picture
        if changes.host is not None:
            picture["host"] = {"": changes.host}
        if changes.questions is not None:
            picture["questions"] = {"": changes.questions}
        picture["instances"] |= {row.name: row for row in changes.instances}
        picture["sessions"] |= {row.key: row for row in changes.sessions}
        picture["clients"] |= {row.id: row for row in changes.clients}
        for kind, gone in (("sessions", changes.gone_sessions), ("clients", changes.gone_clients)):
            for name in gone:
                picture[kind].pop(name, None)
        return changes

    def _push_at_most(self, event: Event) -> None:
        with mock.patch.object(feed, "EVENT_BUFFER", self._patience):
            self._push(event)


def draw(snapshot: Snapshot) -> Picture:
    return {
        "host": {"": snapshot.host},
        "questions": {"": snapshot.questions},
        "instances": {row.name: row for row in snapshot.instances},
        "sessions": {row.key: row for row in snapshot.sessions},
        "clients": {row.id: row for row in snapshot.clients},
    }


def find_differences(told: Picture, true: Picture) -> tuple[list[str], list[str]]:
    """What a subscriber has got wrong, row by row. Apart from it, what it may learn with the next tick: words that
    change because time has passed, or because the disk has."""
    found, late = [], []
    for kind in true:
        for name in told[kind].keys() | true[kind].keys():
            mine, other = told[kind].get(name), true[kind].get(name)
            if mine == other or _is_new_day(mine, other):
                continue
            words = f"{kind} {name}: {_contrast(mine, other)}"
            (late if _is_late(mine, other) else found).append(words)
    return found, late


def _is_new_day(told: Any, true: Any) -> bool:
    """What was used today is nothing at midnight; the next measurement tells it."""
    if not isinstance(told, HostRow) or not isinstance(true, HostRow) or true.today != Usage():
        return False
    return replace(told, today=true.today) == true


def _is_late(told: Any, true: Any) -> bool:
    match told, true:
        case HostRow(), HostRow():
            return replace(told, journal_failing=true.journal_failing) == true
        case SessionRow(), SessionRow():
            is_same_queue = [one.turn_id for one in told.waiting] == [one.turn_id for one in true.waiting]
            return is_same_queue and replace(told, why=true.why, waiting=true.waiting) == true
        case _:
            return False


def _contrast(told: Any, true: Any) -> str:
    if told is None or true is None or not isinstance(told, Struct):
        return f"a reader has {told!r}, the engine {true!r}"
    names = [field.name for field in fields(told)]
    wrong = [name for name in names if getattr(told, name) != getattr(true, name)]
    return ", ".join(
        f"{name}: a reader has {getattr(told, name)!r}, the engine {getattr(true, name)!r}" for name in wrong
    )
