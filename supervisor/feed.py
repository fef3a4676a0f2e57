"""One feed for all readers: a snapshot, then what changed.

State is latest-wins: a subscription remembers *which* rows are out of date, and builds them when its reader comes.
Events are kept in a bounded buffer; a reader that falls behind is cut and comes back with a fresh snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Protocol, Self, TypeVar

from supervisor.api.changes import Changes
from supervisor.api.checks import MOST_RECENT
from supervisor.api.events import Event, QuestionAsked, QuestionSettled, TurnFinished
from supervisor.api.keys import SessionKey
from supervisor.api.questions import Question
from supervisor.api.snapshot import ClientRow, HostRow, InstanceRow, SessionRow, Snapshot

K = TypeVar("K")
T = TypeVar("T")

EVENT_BUFFER = 5_000
"""Events a reader may be behind before it is cut."""
TEXT_BUFFER = 16 * 1024 * 1024
"""Characters of outcomes and questions in them, before it is cut."""
RECENT_TEXT = 1024 * 1024
"""Characters of them in the events that are remembered."""


class RowSource(Protocol):
    """Builds rows from live objects; None means that the thing is gone."""

    def host_row(self) -> HostRow: ...
    def instance_row(self, name: str) -> InstanceRow | None: ...
    def session_row(self, key: SessionKey) -> SessionRow | None: ...
    def client_row(self, client_id: str) -> ClientRow | None: ...
    def open_questions(self) -> tuple[Question, ...]: ...
    def snapshot(self) -> Snapshot: ...


@dataclass(slots=True)
class _Dirty:
    """The changes that a reader has not taken yet."""

    host: bool = False
    questions: bool = False
    instances: set[str] = field(default_factory=set)
    sessions: set[SessionKey] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)


class _Built:
    """Rows that were built in this step of the loop: readers that take in the same step share them, as all do that one
    event has woken. A change takes its row out at once, and nothing is held for a later step."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._sessions: dict[SessionKey, SessionRow | None] = {}
        self._clients: dict[str, ClientRow | None] = {}

    def session(self, key: SessionKey) -> SessionRow | None:
        return self._find(self._sessions, key, self._source.session_row)

    def client(self, client_id: str) -> ClientRow | None:
        return self._find(self._clients, client_id, self._source.client_row)

    def drop_session(self, key: SessionKey) -> None:
        self._sessions.pop(key, None)

    def drop_client(self, client_id: str) -> None:
        self._clients.pop(client_id, None)

    def _find(self, rows: dict[K, T], key: K, build: Callable[[K], T]) -> T:
        if key in rows:
            return rows[key]
        row = build(key)
        with suppress(RuntimeError):  # outside of a loop there are no steps, and nothing is held
            if not rows:
                asyncio.get_running_loop().call_soon(rows.clear)
            rows[key] = row
        return row


class Subscription:
    """One reader's view of the feed. Use it as a context manager, or call `close`."""

    def __init__(self, source: RowSource, built: _Built, on_close: Callable[[Subscription], None]) -> None:
        self.snapshot: Snapshot = source.snapshot()
        """The state at registration; `changes` continues from exactly here."""
        self._source = source
        self._built = built
        self._on_close = on_close
        self._dirty = _Dirty()
        self._events: deque[Event] = deque()
        self._weight = 0
        """Characters in them."""
        self._is_cut = False
        self._wakeup: asyncio.Event | None = None
        self._has_news = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._on_close(self)

    def _push(self, event: Event) -> None:
        self._weight += _weigh(event)
        if len(self._events) >= EVENT_BUFFER or self._weight > TEXT_BUFFER:
            self._is_cut = True
            self._events.clear()
            self._weight = _weigh(event)
            self._dirty = _Dirty()
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        self._has_news = True
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup.set()

    async def wait(self) -> None:
        """Returns as soon as `take` has something to give."""
        while not self._has_news:
            if self._wakeup is None:
                self._wakeup = asyncio.Event()  # one for all that wait: two tasks may read
            await self._wakeup.wait()

    def take(self) -> Changes:
        """What changed since the last call, without waiting. Rows are as they are now."""
        self._has_news = False
        dirty, self._dirty = self._dirty, _Dirty()
        events = tuple(self._events)
        self._events.clear()
        self._weight = 0
        if self._is_cut:
            self._is_cut = False
            return Changes(snapshot=self._source.snapshot(), events=events)
        source = self._source
        instances = {name: source.instance_row(name) for name in dirty.instances}
        sessions = {key: self._built.session(key) for key in dirty.sessions}
        clients = {name: self._built.client(name) for name in dirty.clients}
        return Changes(
            host=source.host_row() if dirty.host else None,
            instances=_present(instances.values()),
            sessions=_present(sessions.values()),
            clients=_present(clients.values()),
            questions=source.open_questions() if dirty.questions else None,
            gone_instances=frozenset(name for name, row in instances.items() if row is None),
            gone_sessions=frozenset(key for key, row in sessions.items() if row is None),
            gone_clients=frozenset(name for name, row in clients.items() if row is None),
            events=events,
        )


def _weigh(event: Event) -> int:
    match event:
        case TurnFinished(outcome=outcome):
            return len(getattr(outcome, "text", ""))
        case QuestionAsked(question=question) | QuestionSettled(question=question):
            return len(question.detail)
    return 0


def _present(rows: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(row for row in rows if row is not None)


class Feed:
    """Tells every subscription; knows none of them by name and waits for none of them."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._built = _Built(source)
        self._readers: list[Subscription] = []
        self.greeting: tuple[Event, ...] = ()
        """Events from before the first reader could register; every new reader gets them first."""
        self._recent: deque[Event] = deque()
        """The last events, for readers that want to know what happened before they came."""
        self._recent_weight = 0
        self._listeners: list[Callable[[Event], object]] = []

    def listen(self, listener: Callable[[Event], object]) -> None:
        """Has that called with every event, at once, before any reader has it. It must be quick and never raise."""
        self._listeners.append(listener)

    def watch(self, recent: int = 0) -> Subscription:
        """Takes the snapshot and registers in one synchronous step: nothing falls in between, and nothing between the
        last `recent` events, which the reader gets first, and what comes."""
        subscription = Subscription(self._source, self._built, self._forget)
        self._readers.append(subscription)
        for event in self.greeting:
            subscription._push(event)
        for event in islice(self._recent, max(0, len(self._recent) - recent), None) if recent else ():
            subscription._push(event)
        return subscription

    def forget(self, user: str) -> None:
        """Removes that user's events from those remembered. Readers keep events that they have not taken yet."""
        self._recent = deque(event for event in self._recent if event.user != user)
        self._recent_weight = sum(map(_weigh, self._recent))

    def publish(self, event: Event) -> None:
        self._recent.append(event)
        self._recent_weight += _weigh(event)
        while len(self._recent) > MOST_RECENT or (self._recent_weight > RECENT_TEXT and len(self._recent) > 1):
            self._recent_weight -= _weigh(self._recent.popleft())
        for reader in self._readers:
            reader._push(event)
        for listener in self._listeners:
            listener(event)

    def touch_host(self) -> None:
        for reader in self._readers:
            reader._dirty.host = True
            reader._wake()

    def touch_questions(self) -> None:
        for reader in self._readers:
            reader._dirty.questions = True
            reader._wake()

    def touch_instance(self, name: str) -> None:
        for reader in self._readers:
            reader._dirty.instances.add(name)
            reader._wake()

    def touch_session(self, key: SessionKey) -> None:
        self._built.drop_session(key)
        for reader in self._readers:
            reader._dirty.sessions.add(key)
            reader._wake()

    def touch_client(self, client_id: str) -> None:
        """Marks the row of a client as changed, and the host's: its totals include the client's memory."""
        self._built.drop_client(client_id)
        for reader in self._readers:
            reader._dirty.clients.add(client_id)
            reader._dirty.host = True
            reader._wake()

    def _forget(self, subscription: Subscription) -> None:
        if subscription in self._readers:
            self._readers.remove(subscription)
