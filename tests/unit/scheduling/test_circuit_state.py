from __future__ import annotations

import pytest

from supervisor.api.outcomes import FailureKind
from supervisor.scheduling.circuit_state import PAUSES, Park


@pytest.mark.parametrize("kind", PAUSES)
def test_it_parks_longer_each_time_until_a_good_turn(kind: FailureKind) -> None:
    first, longest = PAUSES[kind]
    park, pauses = Park(), []
    for _ in range(10):
        park.close(kind, 0.0)
        pauses.append(park.left(0.0))
        park.open(0.0)
    assert pauses[:2] == [first, 2 * first]
    assert pauses[-1] == longest
    park.note_good_turn(1)
    park.close(kind, 0.0)
    assert park.left(0.0) == first


def test_what_is_heard_while_it_is_parked_is_the_same_occasion() -> None:
    park = Park()
    assert park.close(FailureKind.RATE_LIMIT, 0.0)
    until = park.until
    assert not park.close(FailureKind.RATE_LIMIT, 1.0)
    assert park.until == until
    assert park.close(FailureKind.RATE_LIMIT, 1.0, seconds=500.0), "the provider asks for more time"
    assert park.until == 501.0
    assert not park.close(FailureKind.RATE_LIMIT, 1.0, seconds=5.0), "and does not take it back"


def test_one_turn_goes_first_and_each_good_one_doubles_how_many_may() -> None:
    park = Park()
    park.close(FailureKind.RATE_LIMIT, 0.0)
    assert not park.is_due(park.until - 0.001)
    assert park.is_due(park.until)
    park.open(0.0)
    allowed = [park.trial]
    while park.trial is not None:
        park.note_good_turn(5)
        allowed.append(park.trial)
    assert allowed == [1, 2, 4, None]


def test_time_left_is_nothing_when_it_is_not_parked() -> None:
    assert Park().left(0.0) == 0.0
