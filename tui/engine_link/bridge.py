"""The only place of the dashboard that reads the feed, and what is known of the engine without asking it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from supervisor import (
    Changes,
    ClientRow,
    Engine,
    Event,
    FeedReader,
    HostRow,
    InstanceRow,
    InstanceState,
    Offer,
    Question,
    Refused,
    SessionKey,
    SessionRow,
    Snapshot,
)
from tui.wording.remedies import IN_CHAT, KEYS, OUT_OF_REACH, Remedies


class Touched(NamedTuple):
    """Rows that have changed since the last refresh, those that are gone included."""

    everything: bool = False
    """Nothing that was known may be kept: the feed began anew."""
    host: bool = False
    instances: frozenset[str] = frozenset()
    sessions: frozenset[SessionKey] = frozenset()
    clients: frozenset[str] = frozenset()
    questions: bool = False
    offers: bool = False
    events: tuple[Event, ...] = ()

    def __bool__(self) -> bool:
        return bool(
            self.everything
            or self.host
            or self.instances
            or self.sessions
            or self.clients
            or self.questions
            or self.offers
            or self.events
        )


class Work(NamedTuple):
    """Numbers of turns, questions and clients, of the host or one instance."""

    running: int
    asking: int
    """Of those running: waiting for the operator's answer."""
    queued: int
    clients: int
    memory_bytes: int

    @property
    def is_idle(self) -> bool:
        return not (self.running or self.queued)


class Bridge:
    """The engine's rows as plain dictionaries, brought up to date by `refresh`. It has no timer of its own. Before
    `open` it knows what was expected of the engine, if anything was."""

    def __init__(self, engine: Engine, expected: Snapshot | None = None) -> None:
        """`expected`: what is shown until the engine is open."""
        self._engine = engine
        self._feed: FeedReader | None = None
        self.host: HostRow
        """There from `open` on, or from the beginning where rows are expected."""
        self.instances: dict[str, InstanceRow] = {}
        self.sessions: dict[SessionKey, SessionRow] = {}
        self.clients: dict[str, ClientRow] = {}
        self.questions: dict[str, Question] = {}
        """Open ones, oldest first."""
        self.offers: dict[SessionKey, Offer] = {}
        """Turns that a restart interrupted, until an operator decides."""
        self.past: tuple[Event, ...] = ()
        """What earlier runs did."""
        self.limits: dict[str, Mapping[str, str]] = {}
        """Every limit that can be changed, as people write its value, by instance; those of the host under the empty
        name. As they were when `refresh_limits` was awaited last."""
        self._is_new = False
        """No refresh has told yet that the engine's rows have taken the place of the expected ones."""
        if expected is not None:
            self._replace(expected)
            self._is_new = True

    @property
    def is_open(self) -> bool:
        """Whether the rows are the engine's."""
        return self._feed is not None

    @property
    def has_rows(self) -> bool:
        """Whether anything can be shown."""
        return hasattr(self, "host")

    @property
    def trouble(self) -> str:
        """Why nothing arrives from an engine in another process, in one line; empty when all is well."""
        return str(getattr(self._engine, "trouble", ""))

    @property
    def remedies(self) -> Remedies:
        """The keys and commands that texts about rows may name now."""
        return OUT_OF_REACH if self.trouble else KEYS

    @property
    def remedies_in_chat(self) -> Remedies:
        """The keys and commands that texts in a chat may name now: letters are typed text there."""
        return Remedies(host=IN_CHAT.host) if self.trouble else IN_CHAT

    async def open(self) -> None:
        """Returns when the rows are there."""
        feed = await self._engine.watch()
        try:
            self.past = await self._engine.past()
        except BaseException:
            feed.close()
            raise
        self._feed = feed
        self._replace(feed.snapshot)

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()

    async def refresh_limits(self) -> None:
        """Reads the limits of the host and of every instance, and keeps each as soon as it arrives."""
        for name in ("", *self.instances):
            with suppress(Refused):
                self.limits[name] = await self._engine.limits(name)

    def refresh(self) -> Touched:
        """Merges what changed. Costs as much as changed, whatever the number of rows."""
        if self._feed is None:
            return Touched()
        changes = self._feed.take()
        if self._is_new or changes.snapshot is not None:
            self._is_new = False
            self._merge(changes)
            return Touched(everything=True, host=True, questions=True, offers=True, events=changes.events)
        had_offers = dict(self.offers)
        self._merge(changes)
        return Touched(
            host=changes.host is not None,
            instances=changes.gone_instances.union(row.name for row in changes.instances),
            sessions=changes.gone_sessions.union(row.key for row in changes.sessions),
            clients=changes.gone_clients.union(row.id for row in changes.clients),
            questions=changes.questions is not None,
            offers=self.offers != had_offers,
            events=changes.events,
        )

    def _merge(self, changes: Changes) -> None:
        if changes.snapshot is not None:
            self._replace(changes.snapshot)
            return
        if changes.host is not None:
            self.host = changes.host
        for instance in changes.instances:
            self.instances[instance.name] = instance
        for session in changes.sessions:
            self.sessions[session.key] = session
            self._take_offer(session)
        for client in changes.clients:
            self.clients[client.id] = client
        for name in changes.gone_instances:
            self.instances.pop(name, None)
        for key in changes.gone_sessions:
            self.sessions.pop(key, None)
            self.offers.pop(key, None)
        for client_id in changes.gone_clients:
            self.clients.pop(client_id, None)
        if changes.questions is not None:
            self.questions = {question.id: question for question in changes.questions}

    def work(self, instance: str | None = None) -> Work:
        """Numbers of what runs and waits in one instance, or in all."""
        rows = [row for row in self.instances.values() if instance in (None, row.name)]
        return Work(
            running=sum(row.active_sessions for row in rows),
            asking=sum(row.pool.asking for row in rows),
            queued=sum(row.waiting for row in rows),
            clients=sum(row.pool.total for row in rows),
            memory_bytes=sum(row.memory_bytes for row in rows),
        )

    def client_of(self, row: SessionRow | None) -> ClientRow | None:
        return None if row is None else self.clients.get(row.client_id)

    def instance_of(self, row: SessionRow | None) -> InstanceRow | None:
        return None if row is None else self.instances.get(row.key.instance)

    @property
    def is_operator_wanted(self) -> bool:
        """Whether anything stands in the inbox."""
        return bool(self.questions or self.offers)

    def inbox(self) -> list[Question | Offer]:
        """All questions and offers that wait for the operator."""
        return [*self.questions.values(), *self.offers.values()]

    def open_to_prompts(self) -> list[str]:
        """Instances that take prompts now, by name."""
        taking = (InstanceState.RUNNING, InstanceState.PAUSED, InstanceState.PARKED)
        return sorted(row.name for row in self.instances.values() if row.state in taking)

    def to_be_drained(self) -> list[str]:
        """Instances that the end of bullpen has to drain, by name: a drain of the operator's is among them, as it would
        cancel what waits at its own deadline."""
        own = (
            row.name for row in self.instances.values() if row.state is InstanceState.DRAINING and not row.is_removed
        )
        return sorted({*self.open_to_prompts(), *own})

    def _replace(self, snapshot: Snapshot) -> None:
        self.host = snapshot.host
        self.instances = {row.name: row for row in snapshot.instances}
        self.sessions = {row.key: row for row in snapshot.sessions}
        self.clients = {row.id: row for row in snapshot.clients}
        self.questions = {question.id: question for question in snapshot.questions}
        self.offers = {row.key: row.offer for row in snapshot.sessions if row.offer is not None}

    def _take_offer(self, row: SessionRow) -> None:
        if row.offer is None:
            self.offers.pop(row.key, None)
        else:
            self.offers[row.key] = row.offer
