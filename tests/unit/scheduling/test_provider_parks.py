"""Providers that other instances' prompts ask for: parked alone, tried again when they are due."""

from __future__ import annotations

from supervisor.api.outcomes import FailureKind
from supervisor.scheduling.provider_parks import ProviderParks

LIMIT = FailureKind.RATE_LIMIT


def parked() -> ProviderParks:
    parks = ProviderParks()
    assert parks.close("spare", LIMIT, 0.0, 10.0)
    parks.exhausted.add("spare")
    return parks


def test_a_question_changes_nothing() -> None:
    """Also of one that is due: only the clock opens it."""
    parks = parked()
    park = parks._parks["spare"]
    before = vars(park).copy()
    for now, kind, is_exhausted in ((9.0, LIMIT, True), (10.0, None, False), (99.0, None, False), (9.0, LIMIT, True)):
        assert (parks.kind("spare", now), parks.is_exhausted("spare", now)) == (kind, is_exhausted)
    assert (parks.kind("other", 9.0), parks.is_exhausted("other", 9.0)) == (None, False)
    assert vars(park) == before
    assert parks.exhausted == {"spare"}
    assert parks.any


def test_one_that_is_due_is_tried_again_and_forgotten_after_a_good_turn() -> None:
    parks = parked()
    parks.open_due(9.0)
    assert parks._parks["spare"].kind is LIMIT
    parks.open_due(10.0)
    assert (parks._parks["spare"].kind, parks.exhausted) == (None, set())
    parks.note_good_turn("spare")
    assert not parks.any


def test_one_that_is_due_and_has_not_been_tried_parks_anew_and_for_longer() -> None:
    parks = ProviderParks()
    parks.close("spare", LIMIT, 0.0)
    first = parks.left("spare", 0.0)
    assert not parks.close("spare", LIMIT, 1.0), "the same occasion"
    assert parks.close("spare", LIMIT, first)
    assert parks.left("spare", first) > first
