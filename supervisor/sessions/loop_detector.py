"""Notices that an agent goes round in a circle: the same calls, with the same input, over and over (S4.15-16)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

LONGEST_CIRCLE = 3
"""Calls of the longest circle that is noticed: A, then A B A B, then A B C A B C."""


class LoopDetector:
    """Finds repeated tool calls in one turn, for its main agent or one of its sub-agents.

    A circle is one call, or two or three in the same order, with nothing else in between. Another input is another
    call, so an edit between two runs of the same command breaks the circle.
    """

    def __init__(self) -> None:
        self._latest: deque[tuple[str, str]] = deque()
        """Tools and fingerprints of their whole calls, the latest last."""

    def note(self, tool: str, call: str, count: int, exempt: Iterable[str]) -> tuple[str, ...]:
        """The tools of a circle that this call has closed for the `count`th time; empty while there is none. A call of
        an `exempt` tool is passed over."""
        if tool in exempt:
            return ()
        self._latest.append((tool, call))
        while len(self._latest) > LONGEST_CIRCLE * count:
            self._latest.popleft()
        calls = list(self._latest)
        for length in range(1, LONGEST_CIRCLE + 1):
            tail = calls[-length * count :]
            if len(tail) == length * count and tail[length:] == tail[:-length]:
                return tuple(name for name, _ in tail[-length:])
        return ()


class TurnLoops:
    """The detectors of one turn."""

    def __init__(self) -> None:
        self._of_agents: dict[str, LoopDetector] = {}

    def note(self, within: str, tool: str, call: str, count: int, exempt: Iterable[str]) -> tuple[str, ...]:
        """`within` is the call that a sub-agent works for; empty for the main agent."""
        detector = self._of_agents.setdefault(within, LoopDetector())
        return detector.note(tool, call, count, exempt)


def describe_loop(tools: tuple[str, ...], count: int) -> str:
    """A sentence about the repeated calls."""
    what = tools[0] if len(tools) == 1 else f"{', '.join(tools[:-1])} and {tools[-1]} in turn"
    return (
        f"the agent called {what} {count} times in a row with the same input, so its turn was stopped "
        f"(doomLoop: {count})"
    )
