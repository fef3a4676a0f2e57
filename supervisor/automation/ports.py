"""What hooks and schedules need besides the `Engine` that they call. `engine.automation` provides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from supervisor.api.automation import OpenRun, ScheduleMark
from supervisor.api.events import TurnFinished
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Question
from supervisor.api.states import Archetype


class HookRunStore(Protocol):
    """Keeps open runs of hooks and the marks of schedules; `journal.RunBook` is one."""

    def keep(self, run: OpenRun) -> None: ...
    def settle(self, run_id: str, *, may_wait: bool = False) -> None: ...
    def mark(self, mark: ScheduleMark, runs: Iterable[OpenRun], on_written: Callable[[], object]) -> None: ...
    def unmark(self, name: str) -> None: ...


class LinkMaker(Protocol):
    """Makes the address of a page that answers one question; `api.answer_links.AnswerLinks` is one."""

    def make(self, question: Question, *, is_sample: bool = False) -> str:
        """Empty when it is not known by which address bullpen is reached."""


Resolve = Callable[[Mapping[str, str], Path], tuple[dict[str, str], dict[str, str]]]
"""Follows references (`env:NAME`, `file:PATH`): the values by name, and by name what is wrong with the others."""


class AutomationContext(NamedTuple):
    """Access to turns, agents, questions, the journal and the clock, for hooks and schedules."""

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
    find_book: Callable[[], HookRunStore | None]
    """None while nothing can be recorded."""
    links: LinkMaker | None = None
    mark: str = ""
    """What a program carries in its environment, so that the next start finds what is left of it."""
