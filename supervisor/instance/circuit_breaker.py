"""When an instance stops itself and when it tries again. All synchronous; the clients' reports lead here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from supervisor.api.types import Done, Failed, FailureKind, InstanceState, Outcome
from supervisor.process.reports import ClientEvent, Limited, Retrying

if TYPE_CHECKING:
    from supervisor.instance.instance import Instance
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


def hear(instance: Instance, session: Session, event: ClientEvent) -> None:
    """What a running turn's client says about the provider. A refused credential stops the turn at once: the CLI would
    repeat it for minutes (measured: a constant 401 held a turn for 178 s)."""
    match event:
        case Retrying(status=status, delay=delay) if status in _REFUSED_CREDENTIALS:
            park(instance, FailureKind.AUTHENTICATION)
            fail_turn(instance, session, FailureKind.AUTHENTICATION, f"the API refused the credentials ({status})")
        case Retrying(status=status, delay=delay) if status == _LIMITED:
            park(instance, FailureKind.RATE_LIMIT, delay if delay > LONGEST_RETRY else None)
            if delay > LONGEST_RETRY:
                words = f"the provider's limit is reached; it asks to wait {delay:.0f} s"
                fail_turn(instance, session, FailureKind.RATE_LIMIT, words)
        case Limited(is_rejected=True, resets_at=resets_at):
            left = None if resets_at is None else max(1.0, resets_at - instance.clock.wall())
            park(instance, FailureKind.RATE_LIMIT, left)
        case _:
            pass


def note_outcome(instance: Instance, session: Session, outcome: Outcome) -> None:
    """What a turn's end says about the pool. Only a good turn releases the brakes (S1.18)."""
    match outcome:
        case Done():
            session.backoff.release()
            instance.backoff.release()
            instance.spare_backoff.release()
            was_trying = instance.park.trial is not None
            instance.park.note_good_turn(instance.max_sessions)
            if was_trying and instance.park.trial is None and instance.state is InstanceState.RUNNING:
                instance.set_state(InstanceState.RUNNING)
        case Failed(kind=FailureKind.AUTHENTICATION | FailureKind.RATE_LIMIT as kind):
            park(instance, kind)
        case _:
            pass


def note_bad_end(instance: Instance, session: Session | None, kind: FailureKind) -> None:
    """A client ended badly: its session waits before the next start, and a pool whose clients all do parks."""
    now = instance.clock.steady()
    if kind is FailureKind.AUTHENTICATION:
        park(instance, kind)
    if kind not in CRASHES:
        return
    if session is None:
        instance.spare_backoff.fail(now)
    else:
        session.backoff.fail(now)
    instance.backoff.fail(now)
    if instance.backoff.is_exhausted:
        park(instance, FailureKind.CRASH_LOOP)


def fail_turn(instance: Instance, session: Session, kind: FailureKind, words: str) -> None:
    """Stops the running turn; its outcome is a failure of that kind."""
    turn = session.running
    if turn is not None and not turn.stop_reason:
        turn.fails_as = kind
        instance.stop_turn(session, words)


def park(instance: Instance, kind: FailureKind, seconds: float | None = None) -> None:
    """Stops an instance that runs; queued prompts stay queued. What runs goes on."""
    if instance.state not in (InstanceState.RUNNING, InstanceState.PARKED):
        return
    now = instance.clock.steady()
    if not instance.park.close(kind, now, seconds):
        return
    instance.parked_until_at = instance.clock.wall() + instance.park.left(now)
    instance.touch(None)
    until = time.strftime("%H:%M:%S", time.localtime(instance.parked_until_at))
    instance.set_state(InstanceState.PARKED, f"{_WORDS[kind]}; tries again at {until}, one turn first")


def unpark(instance: Instance) -> None:
    """Lets one turn go first. Nothing happens when it was not parked."""
    if instance.park.kind is not None:
        instance.park.open(instance.clock.steady())
        instance.parked_until_at = None


def advance(instance: Instance, now: float) -> None:
    """`now` in steady seconds."""
    if instance.park.is_due(now):
        unpark(instance)
        if instance.state is InstanceState.PARKED:
            instance.set_state(InstanceState.RUNNING, "tries again after it was parked, one turn first")
            instance.kick()
