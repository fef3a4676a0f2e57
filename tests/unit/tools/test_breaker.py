"""When calls are kept from a shared server that does not answer."""

from __future__ import annotations

from supervisor.api.shared_servers import BreakerState
from supervisor.tools.breaker import OPEN_FOR, OPENS_AFTER, Breaker


def _opened() -> Breaker:
    breaker = Breaker()
    for _ in range(OPENS_AFTER):
        assert breaker.admit(0.0)
        breaker.note_failure(0.0)
    return breaker


def test_it_opens_after_failures_in_a_row_alone() -> None:
    breaker = Breaker()
    for _ in range(3 * OPENS_AFTER):
        breaker.note_failure(0.0)
        breaker.note_answer()
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert _opened().state(0.0) is BreakerState.OPEN


def test_after_a_while_one_call_tries_and_its_end_decides() -> None:
    breaker = _opened()
    assert not breaker.admit(OPEN_FOR - 1)
    assert breaker.left(OPEN_FOR - 1) == 1
    assert breaker.admit(OPEN_FOR)
    assert breaker.state(OPEN_FOR) is BreakerState.TRYING
    assert not breaker.admit(OPEN_FOR)
    breaker.note_failure(OPEN_FOR)
    assert not breaker.admit(OPEN_FOR + 1)
    assert breaker.admit(2 * OPEN_FOR)
    breaker.note_answer()
    assert breaker.state(2 * OPEN_FOR) is BreakerState.CLOSED
    assert breaker.admit(2 * OPEN_FOR)


def test_a_try_that_its_caller_gives_up_says_nothing() -> None:
    breaker = _opened()
    assert breaker.admit(OPEN_FOR)
    breaker.note_no_end()
    assert breaker.admit(OPEN_FOR)
