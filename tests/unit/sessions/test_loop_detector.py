"""Which calls are a circle (S4.15-16)."""

from __future__ import annotations

import pytest

from supervisor.sessions.loop_detector import LoopDetector, TurnLoops, describe_loop


def _found(calls: str, count: int = 3, exempt: str = "") -> tuple[str, ...]:
    """Letters are calls: a capital is a tool, a digit behind it another input."""
    detector = LoopDetector()
    found: tuple[str, ...] = ()
    for call in calls.split():
        found = detector.note(call[0], call, count, exempt)
    return found


@pytest.mark.parametrize(
    ("calls", "tools"),
    [
        ("A A A", ("A",)),
        ("B A A A", ("A",)),
        ("A B A B A B", ("A", "B")),
        ("X A1 A2 A1 A2 A1 A2", ("A", "A")),
        ("A B C A B C A B C", ("A", "B", "C")),
    ],
)
def test_the_same_calls_over_and_over_are_a_circle(calls: str, tools: tuple[str, ...]) -> None:
    assert _found(calls) == tools
    assert _found(" ".join(calls.split()[:-1])) == ()


@pytest.mark.parametrize(
    "calls",
    [
        "A1 A2 A3 A4 A5 A6",
        "A A B A A B A A",
        "A E1 A E2 A E3 A E4",
        "A B A C A B A D",
        "A B C D A B C D A B C D",
    ],
)
def test_another_input_or_call_in_between_breaks_it(calls: str) -> None:
    """As an edit does between two runs of the same command."""
    assert _found(calls) == ()


def test_a_tool_that_is_exempt_is_passed_over() -> None:
    assert _found("A A A A A", exempt="A") == ()
    assert _found("A P A P A", exempt="P") == ("A",)


def test_sub_agents_are_watched_each_for_itself() -> None:
    loops = TurnLoops()
    assert [loops.note(within, "A", "A", 2, ()) for within in ("one", "two", "", "two")] == [(), (), (), ("A",)]


def test_the_reason_names_the_tools() -> None:
    assert describe_loop(("Bash",), 10) == (
        "the agent called Bash 10 times in a row with the same input, so its turn was stopped (doomLoop: 10)"
    )
    assert "called Read, Grep and Bash in turn 4 times" in describe_loop(("Read", "Grep", "Bash"), 4)
