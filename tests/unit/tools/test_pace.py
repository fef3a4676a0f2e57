from __future__ import annotations

from supervisor.tools.pace import CALM, MOST, Pace


def test_the_pause_is_twice_as_long_each_time_until_there_was_calm() -> None:
    """S4.7-11: a list of tools that is told to have changed again and again."""
    pace, now, pauses = Pace(), 100.0, []
    for _ in range(10):
        pauses.append(pace.pause(now))
        now += pauses[-1]
        pace.note(now)
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MOST, MOST, MOST]
    assert pace.pause(now + CALM + 1) == 0.0
