"""What hooks need besides the `Engine` that they call: handed in by the one who puts the rooms together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from supervisor.api.automation import OpenRun, ScheduleMark
from supervisor.api.events import TurnFinished
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Question
from supervisor.api.states import Archetype


class RunBook(Protocol):
    """Where it is kept."""

    def keep(self, run: OpenRun) -> None: ...
    def settle(self, run_id: str, *, may_wait: bool = False) -> None: ...
    def mark(self, mark: ScheduleMark, runs: Iterable[OpenRun], on_written: Callable[[], object]) -> None: ...
    def unmark(self, name: str) -> None: ...


class AnswerLinks(Protocol):
    """Makes the address of a page that answers one question."""

    def make(self, question: Question, *, is_sample: bool = False) -> str:
        """Empty when it is not known by which address bullpen is reached."""


Resolve = Callable[[Mapping[str, str], Path], tuple[dict[str, str], dict[str, str]]]
"""Follows references (`env:NAME`, `file:PATH`): the values by name, and by name what is wrong with the others."""


class Surroundings(NamedTuple):
    """All of it."""

    wall: Callable[[], float]
    """Unix seconds."""
    find_prompt: Callable[[str], Prompt | None]
    """Of a turn that waits or runs, by its id."""
    find_end: Callable[[str], TurnFinished | None]
    """Of a turn that has ended, by its id, as the journal keeps it."""
    find_archetype: Callable[[str], Archetype | None]
    """Of an agent, by its name; None where there is none."""
    find_question: Callable[[str], Question | None]
    """An open one, by its id."""
    resolve: Resolve
    guard: Sequence[str]
    """What a program is started through, so that nothing of it outlives bullpen; empty where there is no such thing."""
    find_book: Callable[[], RunBook | None]
    """None while nothing can be recorded."""
    links: AnswerLinks | None = None
    mark: str = ""
    """What a program carries in its environment, so that the next start finds what is left of it."""
