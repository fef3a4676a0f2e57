"""When an instance stops itself and when it tries again."""

from __future__ import annotations

import time

from supervisor.api import events as past
from supervisor.api.outcomes import Done, Failed, FailureKind, Outcome
from supervisor.api.states import InstanceState
from supervisor.instance.core import InstanceCore
from supervisor.instance.stopping import Stopping
from supervisor.process.reports import ClientEvent, Limited, Retrying
from supervisor.sessions.session import Session

CRASHES = frozenset(
    {
        FailureKind.START_FAILED,
        FailureKind.CRASHED,
        FailureKind.CRASHED_IDLE,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.OVERSIZE_MESSAGE,
        FailureKind.STALLED,
        FailureKind.ENGINE,
    }
)
"""Ends of clients after which the session, the pool and its spares back off."""

_REFUSED_CREDENTIALS = (401, 403)
_LIMITED = 429
LONGEST_RETRY = 60.0
"""Seconds the CLI may let its own retry wait; beyond, the turn is told the truth instead."""

_WORDS = {
    FailureKind.AUTHENTICATION: "the credentials were refused: renew them, then resume",
    FailureKind.RATE_LIMIT: "the provider's limit is reached",
    FailureKind.CRASH_LOOP: "its clients end badly, one after the other: see the log of events",
}


class CircuitBreaker:
    """Parks one instance's pool and opens it again. The state is in `InstanceCore.park` and the backoffs there."""

    def __init__(self, core: InstanceCore, stopping: Stopping) -> None:
        self._core = core
        self._stopping = stopping

    def hear(self, session: Session, event: ClientEvent) -> None:
        """What a running turn's client says about the provider. A refused credential stops the turn at once: the CLI
        would repeat it for minutes (measured: a constant 401 held a turn for 178 s)."""
        match event:
            case Retrying(status=status, delay=delay) if status in _REFUSED_CREDENTIALS:
                self._park(FailureKind.AUTHENTICATION, session=session)
                words = f"the API refused the credentials ({status})"
                self.fail_turn(session, FailureKind.AUTHENTICATION, words)
            case Retrying(status=status, delay=delay) if status == _LIMITED:
                self._park(FailureKind.RATE_LIMIT, delay if delay > LONGEST_RETRY else None, session=session)
                if delay > LONGEST_RETRY:
                    words = f"the provider's limit is reached; it asks to wait {delay:.0f} s"
                    self.fail_turn(session, FailureKind.RATE_LIMIT, words)
            case Limited(is_rejected=True, resets_at=resets_at):
                left = None if resets_at is None else max(1.0, resets_at - self._core.clock.wall())
                self._park(FailureKind.RATE_LIMIT, left, session=session)
            case _:
                pass

    def note_outcome(self, session: Session, outcome: Outcome) -> None:
        """What a turn's end says about the pool. Only a good turn releases the backoffs (S1.18)."""
        core, other = self._core, self._other_provider(session)
        match outcome:
            case Done() if other:
                session.backoff.release()
                core.host.parks.note_good_turn(other)
            case Done():
                session.backoff.release()
                core.backoff.release()
                core.spare_backoff.release()
                was_trying = core.park.trial is not None
                core.park.note_good_turn(core.max_sessions)
                if was_trying and core.park.trial is None and core.state is InstanceState.RUNNING:
                    core.set_state(InstanceState.RUNNING)
            case Failed(kind=FailureKind.AUTHENTICATION | FailureKind.RATE_LIMIT as kind):
                self._park(kind, session=session)
            case _:
                pass

    def note_bad_end(self, session: Session | None, kind: FailureKind) -> None:
        """A client ended badly: its session waits before the next start, and a pool whose clients all do parks."""
        core, now = self._core, self._core.clock.steady()
        if kind is FailureKind.AUTHENTICATION:
            self._park(kind, session=session)
        if kind not in CRASHES:
            return
        if session is None:
            core.spare_backoff.fail(now)
        else:
            session.backoff.fail(now)
            core.backing_off[session.key] = session
        core.backoff.fail(now)
        if core.backoff.is_exhausted:
            self._park(FailureKind.CRASH_LOOP)

    def fail_turn(self, session: Session, kind: FailureKind, words: str) -> None:
        """Stops the running turn; its outcome is a failure of that kind."""
        turn = session.running
        if turn is not None and not turn.stop_reason:
            turn.ask_to_stop(words, fails_as=kind)
            self._stopping.interrupt(session, words)

    def unpark(self) -> None:
        """Lets one turn go first. Nothing happens when it was not parked."""
        core = self._core
        core.host.parks.exhausted.discard(core.provider)
        if core.park.kind is not None:
            core.park.open(core.clock.steady())
            core.parked_until_at = None

    def advance(self, now: float) -> None:
        """`now` in steady seconds."""
        core = self._core
        core.host.parks.open_due(now)
        if core.park.is_due(now):
            self.unpark()
            if core.state is InstanceState.PARKED:
                core.set_state(InstanceState.RUNNING, "tries again after it was parked, one turn first")

    def _other_provider(self, session: Session | None) -> str:
        """The provider that the session's client was started for; empty where it is the instance's own."""
        provider = session.slot.provider if session is not None and session.slot is not None else ""
        return provider if provider not in ("", self._core.provider) else ""

    def _park(self, kind: FailureKind, seconds: float | None = None, *, session: Session | None = None) -> None:
        """Stops an instance that runs; queued prompts stay queued. What runs goes on. What is heard from a client of
        another provider parks that one, and no other turn waits for it."""
        core = self._core
        slot = session.slot if session is not None else None
        if kind is FailureKind.RATE_LIMIT and slot is not None and slot.choice.model:
            settings = core.host.providers.get(slot.provider).settings
            if settings.fallback_model and slot.choice.model in settings.fallback_model:
                core.host.parks.exhausted.add(slot.provider)
        if other := self._other_provider(session):
            if core.host.parks.close(other, kind, core.clock.steady(), seconds):
                self._tell_parked(other, kind)
            return
        if core.state not in (InstanceState.RUNNING, InstanceState.PARKED):
            return
        now = core.clock.steady()
        if not core.park.close(kind, now, seconds):
            return
        core.parked_until_at = core.clock.wall() + core.park.left(now)
        core.touch(None)
        until = time.strftime("%H:%M:%S", time.localtime(core.parked_until_at))
        core.set_state(InstanceState.PARKED, f"{_WORDS[kind]}; tries again at {until}, one turn first")

    def _tell_parked(self, provider: str, kind: FailureKind) -> None:
        core = self._core
        until = core.clock.wall() + core.host.parks.left(provider, core.clock.steady())
        core.publish(past.ProviderParked, provider=provider, kind=kind, until=until)
        core.touch(None)
        for session in core.sessions.values():
            if len(session.mailbox):
                core.touch(session)
