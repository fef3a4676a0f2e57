"""What all parts of an instance share: its state, and how a change of it is recorded and told."""

from __future__ import annotations

import statistics
from collections import deque
from typing import NamedTuple

from supervisor.api import events as past
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import FailureKind
from supervisor.api.prompts import Choice, Prompt
from supervisor.api.states import Archetype, InstanceState
from supervisor.api.turns import Offer
from supervisor.clock import Clock
from supervisor.config.providers import HOST
from supervisor.config.restrictions import describe_walls
from supervisor.config.template import NOT_STARTED, RESUME_STARTS
from supervisor.config.templates import Template
from supervisor.instance.shared import HostContext
from supervisor.process.connection import Connector
from supervisor.scheduling.circuit_state import Park
from supervisor.sessions.backoff import Backoff
from supervisor.sessions.pool import Pool
from supervisor.sessions.records import record_session
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn

SAMPLES = 100
"""Turns, or starts of clients, that medians are taken from."""
TREND = 60
"""Seconds of the trend of waiting turns."""
MOST_VARIANTS = 64
"""Combinations of provider and model that are kept compiled."""


class Plan(NamedTuple):
    """The provider and model that a turn runs with, and why."""

    choice: Choice
    instead_of: str = ""
    """The provider that it asked for, when that is parked and another stands in."""
    held_for: FailureKind | None = None
    """Why it has to wait: its provider is parked, and none stands in."""


class InstanceCore:
    """State, and no decisions: the other parts take this one, and never each other's owner."""

    def __init__(
        self, template: Template, connector: Connector, host: HostContext, missing: tuple[str, ...] = ()
    ) -> None:
        """`connector` starts its clients. `missing`: what these go without, in words, besides what its template
        forbids."""
        self.host = host
        self.template = template
        """Replaced while it runs: its limits by `apply`, and with them what clients are started with by `replace`."""
        self.connector = connector
        self._variants: dict[Choice, Connector] = {}
        """Of other providers and models, as they were asked for."""
        self.walls = (*describe_walls(template), *missing)
        """What its clients cannot reach, in words."""
        self.name = template.name
        self.pool = Pool(host.limit_clients(template))
        self.sessions: dict[SessionKey, Session] = {}
        self.state = InstanceState.RUNNING
        self.note = missing[0] if missing else ""
        self.version = 1
        """Of what its clients are started with."""
        self.template_mistake = ""
        """What is wrong with its file as it was saved last, with file and line; empty when nothing is."""
        self.state_before_removal: InstanceState | None = None
        """Set while its template is not in the folder any more: it drains, and is gone when it is empty."""
        if not template.auto_start:
            self.state, self.note = InstanceState.STOPPED, NOT_STARTED
        self.first_tokens: deque[float] = deque(maxlen=SAMPLES)
        """Seconds from the start of a turn to its first text."""
        self.turn_seconds: deque[float] = deque(maxlen=SAMPLES)
        self.waits: deque[float] = deque(maxlen=SAMPLES)
        """Seconds from submit to start."""
        self.starts: deque[float] = deque(maxlen=SAMPLES)
        """Seconds from reserving a client to its being connected."""
        self.waiting_trend: deque[int] = deque(maxlen=TREND)
        """Turns that waited, second by second."""
        self.backoff = Backoff()
        """Over all sessions: when clients end badly in a row the pool parks."""
        self.spare_backoff = Backoff()
        """No new spare for a while after one that could not be started, or died unused."""
        self.backing_off: dict[SessionKey, Session] = {}
        """Sessions whose own backoff may still hold."""
        self.park = Park()
        self.parked_until_at: float | None = None
        """Unix seconds, for people."""
        self.refused = 0
        """Prompts that found no room: the queue was full, or they waited longer than `maxWait`."""
        self.refused_at: float | None = None
        """Unix seconds, of the last of them."""
        self.drain_deadline: float | None = None
        """Steady seconds; what still runs then is interrupted, and what waits is cancelled. None also in a drain before
        the end of bullpen, which keeps what waits for the next start: however late it comes, nothing is lost."""
        self.drain_deadline_at: float | None = None
        """Unix seconds, for people: when the drain, or the end of bullpen, interrupts what still runs."""

    def __repr__(self) -> str:
        return f"<Instance {self.name} {self.state}, {len(self.sessions)} sessions, {self.pool!r}>"

    # Questions about it

    @property
    def archetype(self) -> Archetype:
        return self.template.archetype

    # What its turns run with

    @property
    def provider(self) -> str:
        """Name of the provider for turns that ask for none."""
        return self.template.provider or HOST

    def connector_for(self, session: Session | None) -> Connector:
        """What starts the session's next client; the next spare for None. Its digest is the one that the session wants
        of the client it has."""
        return self.connector_of(self.plan_of(session).choice)

    def connector_of(self, choice: Choice) -> Connector:
        if choice.provider == self.provider and not choice.model:
            return self.connector
        if (found := self._variants.get(choice)) is None:
            while len(self._variants) >= MOST_VARIANTS:
                del self._variants[next(iter(self._variants))]
            found = self._variants[choice] = self.connector.variant(*choice)
        return found

    def plan_of(self, session: Session | None) -> Plan:
        """What the session's next turn runs with. A client on which none waits keeps what it was started for: only the
        next turn's own choice, or none, is a reason for another."""
        if session is None:
            return Plan(Choice(self.provider))
        head = session.mailbox.head if session.running is None else None
        if head is not None and head.is_prompt:
            return self.plan_for(head.prompt)
        choice = session.slot.choice if session.slot is not None else Choice("")
        return Plan(choice if choice.provider else Choice(self.provider))

    def plan_for(self, prompt: Prompt) -> Plan:
        """What a prompt runs with now: what it asks for, or what stands in for that while it is parked."""
        asked = Choice(prompt.provider or self.provider, prompt.model)
        kind = self.parked_for(asked.provider)
        if kind is None:
            return Plan(asked)
        for number, provider in enumerate(self.host.providers.chain(asked.provider)):
            if number and not provider.mistake and self.parked_for(provider.name) is None:
                choice = Choice(provider.name, provider.model(asked.model))
                return Plan(choice, instead_of=asked.provider)
        model = self.host.providers.get(asked.provider).settings.fallback_model
        is_exhausted = self.host.parks.is_exhausted(asked.provider, self.clock.steady())
        if model and kind is FailureKind.RATE_LIMIT and not is_exhausted:
            return Plan(Choice(asked.provider, model.partition(",")[0].strip()), instead_of=asked.provider)
        return Plan(asked, held_for=kind)

    def parked_for(self, provider: str) -> FailureKind | None:
        """Why turns with that provider have to wait; None when they do not."""
        if self.state is InstanceState.PARKED and (
            provider == self.provider or self.park.kind is FailureKind.CRASH_LOOP
        ):
            return self.park.kind or FailureKind.RATE_LIMIT
        if provider == self.provider:
            return None
        return self.host.parks.kind(provider, self.clock.steady())

    def is_wanted(self, slot: Slot) -> bool:
        """Whether the client was started with the options that its session, or a spare, would get now."""
        return slot.digest == self.connector_for(slot.session).digest

    @property
    def clock(self) -> Clock:
        return self.host.clock

    @property
    def first_token_p50(self) -> float | None:
        return statistics.median(self.first_tokens) if self.first_tokens else None

    @property
    def typical_turn(self) -> float:
        """Seconds a turn takes: the median of the last ones; 5 before there are any."""
        return statistics.median(self.turn_seconds) if self.turn_seconds else 5.0

    @property
    def idle_ttl(self) -> float:
        """Seconds a client may be idle before its session hibernates."""
        own = self.template.pool.idle_ttl
        return min(self.host.idle_ttl if own is None else own, self.host.agent_ttl)

    @property
    def is_accepting(self) -> bool:
        return self.state in (InstanceState.RUNNING, InstanceState.PAUSED, InstanceState.PARKED)

    @property
    def is_removed(self) -> bool:
        """Whether the template is no longer in the folder."""
        return self.state_before_removal is not None

    @property
    def removal_note(self) -> str:
        return "its template was removed" if self.is_removed else ""

    @property
    def resume_does(self) -> str:
        """See `InstanceRow.resume_does`."""
        if self.state not in (InstanceState.DRAINED, InstanceState.STOPPED) or self.is_removed:
            return ""
        return RESUME_STARTS if self.note == NOT_STARTED else "opens it again"

    @property
    def max_sessions(self) -> int:
        """Turns in parallel, at most."""
        return self.template.concurrency.max_sessions

    @property
    def server_remark(self) -> str:
        """The MCP servers that clients go without or wait for, in words; mostly empty."""
        broken = sorted({str(server) for slot in self.pool for server in slot.servers if server.is_broken})
        awaited = sorted({name for slot in self.pool for name in slot.awaited_servers})
        parts = [f"MCP server {', '.join(broken)}"] if broken else []
        parts += [f"waits for MCP server {', '.join(awaited)}"] if awaited else []
        return "; ".join(parts)

    def disk_bytes(self, session: Session) -> int:
        """Bytes of the session's workspace and conversation, as last measured."""
        disk = self.host.disk
        return disk.of_session.get(session.uuid, 0) if disk is not None else 0

    # Its state

    def replace(self, template: Template, connector: Connector, missing: tuple[str, ...]) -> None:
        """The template has changed: clients are started with that connector from now on."""
        self.version += connector.digest != self.connector.digest
        self.connector = connector
        self._variants.clear()
        self.walls = (*describe_walls(template), *missing)
        self.apply(template)

    def apply(self, template: Template) -> None:
        """Replaces the template by one that differs in limits only."""
        self.template = template
        self.limit_clients()
        self.host.feed.touch_instance(self.name)

    def limit_clients(self) -> None:
        """The template, the host or its settings may say another number now."""
        limit = self.host.limit_clients(self.template)
        if limit != self.pool.max_clients:
            self.pool.max_clients = limit
            self.host.feed.touch_instance(self.name)

    def set_drain_deadline(self, steady: float | None, at: float | None = None) -> None:
        self.drain_deadline, self.drain_deadline_at = steady, at

    def set_state(self, state: InstanceState, note: str = "") -> None:
        if (state, note) == (self.state, self.note):
            return
        self.state, self.note = state, note
        self.publish(past.InstanceChanged, state=state, note=note)
        self.host.feed.touch_instance(self.name)
        for session in self.sessions.values():
            if len(session.mailbox):
                self.host.feed.touch_session(session.key)

    # Its sessions

    def make_session(self, key: SessionKey, *, leaves_none_behind: bool = False) -> Session:
        """A session that is not on the books yet: `open_session` puts it there."""
        session = Session(key, self.clock, self.host.journal)
        session.leaves_none_behind = leaves_none_behind
        return session

    def open_session(self, session: Session) -> Session:
        self.add_session(session)
        self.save(session)
        self.publish(past.SessionOpened, session)
        return session

    def add_session(self, session: Session) -> None:
        self.sessions[session.key] = session
        self.touch(session)

    def save(self, session: Session) -> None:
        """Records how it stands."""
        self.host.journal.sessions.keep(record_session(session))

    def note_offer(self, session: Session, offer: Offer | None) -> None:
        """A turn of it is up for a decision, or (None) is not any more."""
        session.offer = offer
        self.touch(session)

    def remove_session(self, session: Session) -> None:
        """Takes it off the books, and what it has on disk away. It must have neither turns nor a client."""
        del self.sessions[session.key]
        ttl = 0.0 if session.leaves_none_behind else self.template.workspace_ttl
        self.host.eraser.forget(session.key, session.uuid, session.workspace, ttl)
        self.publish(past.SessionClosed, session)
        self.touch(session)

    def remove_when_over(self, session: Session) -> None:
        """Removes a session that is not to be kept, once its client and its last turn are gone."""
        is_unwanted = session.leaves_none_behind or session.is_closing
        if is_unwanted and session.is_at_rest and session.key in self.sessions:
            self.remove_session(session)

    def leave_conversation(self, session: Session, slot: Slot | None = None) -> None:
        """The session goes on without its conversation so far: in that of `slot`, or in one that is still to begin."""
        uuid = session.uuid if slot is None or slot.uuid != session.uuid else ""
        workspace = session.workspace if slot is not None and slot.workspace != session.workspace else None
        if uuid or workspace is not None:
            self.host.eraser.discard(session.key, uuid, workspace, self.template.workspace_ttl)

    def discard(self, slot: Slot) -> None:
        """A spare that was never used has ended: no session will come for what it has on disk."""
        if slot.turns or slot.resume:
            return
        self.host.eraser.discard(SessionKey(self.name, "", ""), slot.uuid, slot.workspace, 0.0)

    # Telling

    def touch(self, session: Session | None) -> None:
        """Has the rows of the instance, the session and its client shown anew."""
        feed = self.host.feed
        feed.touch_instance(self.name)
        if session is not None:
            feed.touch_session(session.key)
            if session.slot is not None:
                feed.touch_client(session.slot.id)

    def publish(
        self, what: type[past.Event], /, session: Session | None = None, turn: Turn | None = None, **facts: object
    ) -> None:
        """Tells an event with the ids of what it is about; `facts` may name another client."""
        if session is not None:
            facts["user"], facts["session"] = session.key.user, session.key.session
            if session.slot is not None:
                facts.setdefault("client", session.slot.id)
        if turn is not None:
            facts["turn"] = turn.id
        self.host.feed.publish(what(at=self.clock.wall(), instance=self.name, **facts))  # type: ignore[arg-type]
