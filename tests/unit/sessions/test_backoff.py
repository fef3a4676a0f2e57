from __future__ import annotations

from supervisor.sessions.backoff import Backoff


def test_it_doubles_from_its_base_to_its_cap() -> None:
    """S1.18: base 1 s, cap 60 s."""
    backoff = Backoff()
    assert [backoff.fail(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_it_is_exhausted_after_five_tries() -> None:
    """S1.18"""
    backoff = Backoff()
    states = []
    for _ in range(5):
        backoff.fail(0.0)
        states.append(backoff.is_exhausted)
    assert states == [False, False, False, False, True]


def test_it_holds_until_its_time_and_time_alone_does_not_reset_it() -> None:
    backoff = Backoff()
    backoff.fail(10.0)
    assert backoff.holds(10.9)
    assert not backoff.holds(11.0)
    assert backoff.fail(1_000.0) == 2.0, "only a good turn resets it"
    backoff.release()
    assert not backoff.holds(1_000.0)
    assert backoff.fail(2_000.0) == 1.0


def test_many_failures_do_not_overflow() -> None:
    backoff = Backoff()
    assert {backoff.fail(0.0) for _ in range(2_000)} == {1, 2, 4, 8, 16, 32, 60}
