"""Replaces the clients of one instance after its template has changed: one after the other, never in a turn."""

from __future__ import annotations

from supervisor.api import events as past
from supervisor.api.prompts import Choice
from supervisor.api.states import InstanceState, SlotState
from supervisor.config.templates import Template
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.process.connection import Connector
from supervisor.process.end_reason import EndReason
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot

_ON_THEIR_WAY = (SlotState.RESERVED, SlotState.STARTING, SlotState.CLOSING)

NOTICE = "The template has changed: the conversation goes on with the new version"


class Rollout:
    """The dispatcher decides which client is rolled, and when. This keeps how far that has come.

    A client with a turn waiting is rolled at once, for its turn must have the new options. The idle ones are rolled one
    at a time: the next when the earlier one has gone and the one in its place is ready.
    """

    def __init__(self, core: InstanceCore, clients: Clients) -> None:
        self.total = 0
        """Clients that had, or have, to be replaced since the last time none had."""
        self._began = 0.0
        """Steady seconds: since when some have to be replaced."""
        self._core = core
        self._clients = clients
        self._leaving: Slot | None = None
        """The idle client that was rolled last."""
        self._heir: Session | None = None
        """Its session, until that has another client, or a turn that brings it one."""
        self._replacement: Slot | None = None
        """The client that is being started in its place."""

    @property
    def stale(self) -> int:
        """Clients that are still to be replaced."""
        return self._core.pool.stale

    @property
    def done(self) -> int:
        """How many of `total` clients have been replaced or have ended."""
        return max(0, self.total - self.stale)

    @property
    def may_go_on(self) -> bool:
        """The next idle client may be rolled. Not while new ones cannot be started: those that work are kept."""
        core = self._core
        if core.pool.stale == 0:
            return False
        steps = [slot for slot in (self._leaving, self._replacement) if slot is not None]
        is_calm = core.park.trial is None and not core.spare_backoff.holds(core.clock.steady())
        backs_off = self.successor is not None and self.successor.backoff.holds(core.clock.steady())
        is_on = core.state is InstanceState.RUNNING
        return is_on and is_calm and not backs_off and not any(slot.state in _ON_THEIR_WAY for slot in steps)

    @property
    def successor(self) -> Session | None:
        """The session that is to have another client for the idle one that was rolled; None when there is none, or when
        it has one, a turn that will bring one, or no use for one any more."""
        heir, leaving = self._heir, self._leaving
        if heir is None or leaving is None or leaving.state is not SlotState.GONE:
            return None
        is_idle = heir.slot is None and not len(heir.mailbox) and heir.offer is None
        is_kept = self._core.sessions.get(heir.key) is heir and not heir.is_closing and heir.has_history
        return heir if is_idle and is_kept else None

    def replace(
        self, template: Template, connector: Connector, missing: tuple[str, ...], changed: tuple[str, ...]
    ) -> None:
        """Has every client that was started with other options replaced."""
        is_other = connector.digest != self._core.connector.digest
        self._core.replace(template, connector, missing)
        self.judge()
        self._core.publish(past.TemplateChanged, changed=changed, clients=self.stale if is_other else 0)

    def judge(self) -> None:
        """Counts again which clients have to be replaced. Call it when other options are wanted of some."""
        was_over = self.stale == 0
        self._clients.judge()
        if was_over:
            self.total, self._began = self.stale, self._core.clock.steady()
        else:
            self.total = max(self.total, self.stale)
        self._core.touch(None)

    def note_end(self) -> None:
        """Tells that all have been replaced, once: the old ones are gone, and the one for an idle session is ready."""
        if self.total and self.stale == 0 and self._is_settled:
            seconds = self._core.clock.steady() - self._began
            self._core.publish(past.TemplateRolled, clients=self.total, seconds=seconds)
            self.total = 0

    @property
    def _is_settled(self) -> bool:
        is_coming = self._replacement is not None and self._replacement.state in _ON_THEIR_WAY
        return not is_coming and self.successor is None and not any(slot.is_stale for slot in self._core.pool)

    @property
    def remark(self) -> str:
        """How far it has come, in words; empty when nothing has to be replaced."""
        if self.stale == 0:
            return ""
        heir = self.successor
        fails = heir is not None and heir.backoff.failures > 0
        trouble = "; new clients could not be started, see the log of events" if fails else ""
        return f"rolled {self.done} of {self.total}{trouble}"

    def roll(self, slot: Slot) -> None:
        """Ends the client. A session in which nothing waits gets another one when it has gone, unless it slept."""
        session = slot.session
        if not slot.is_dormant and (session is None or not len(session.mailbox)):
            self._leaving, self._heir, self._replacement = slot, session, None
        if session is not None and session.has_history:
            is_other = self._core.plan_of(session).choice != (
                slot.choice if slot.choice.provider else Choice(self._core.provider)
            )
            if not is_other:
                session.notice(NOTICE)
        self._clients.end(slot, EndReason.ROLLED)

    def note_opened(self, session: Session) -> None:
        """A client is on its way to the session."""
        if session is self._heir:
            self._heir, self._replacement = None, session.slot

    def note_gone(self, slot: Slot, *, is_worth_another_try: bool) -> None:
        """A client has ended. Where it is the one that should have taken the place of a rolled one, and its start has
        failed, no other is rolled until it could be started, or is not wanted any more."""
        if slot is self._replacement:
            self._replacement = None
            if is_worth_another_try and slot.turns == 0:
                self._heir = slot.session
