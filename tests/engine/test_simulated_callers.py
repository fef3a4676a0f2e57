"""The simulated callers against an engine that answers at once, or refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from supervisor.api.engine import Engine
from supervisor.api.errors import JournalFailed, NotAccepting, Saturated, Suspended, UnknownAgent
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Outcome
from supervisor.api.prompts import Prompt
from supervisor.rehearsal.callers import MAX_OUTSTANDING, MAX_TRIES, PEOPLE, play

pytestmark = pytest.mark.anyio

AGENTS = ("helpdesk", "admin", "clerk", "lookup")


class FakeTicket:
    def __init__(self, desk: FakeDesk, prompt: Prompt) -> None:
        self._desk = desk
        self._prompt = prompt
        self.turn_id = "t"
        self.key = SessionKey(prompt.agent, prompt.user, prompt.session)
        self.finished: Outcome | None = None

    async def outcome(self) -> Outcome:
        await anyio.lowlevel.checkpoint()
        if self._desk.closes_with is not None:
            self._desk.outstanding[self._prompt.user] -= 1
            raise self._desk.closes_with
        if self.finished is None:
            self.finished = Done("ok")
            self._desk.outstanding[self._prompt.user] -= 1
        return self.finished

    async def stream(self, whole: bool = False) -> AsyncIterator[str]:
        yield "ok"


class FakeDesk:
    """Only what a caller may call: `submit`."""

    def __init__(self, enough: int, agents: tuple[str, ...] = AGENTS, refusal: Exception | None = None) -> None:
        self.prompts: list[Prompt] = []
        self.refused: list[Prompt] = []
        self.outstanding: Counter[str] = Counter()
        self.most_outstanding = 0
        self.is_enough = anyio.Event()
        self.closes_with: Exception | None = None
        """What whoever waits for a turn is told instead of its outcome."""
        self._enough = enough
        self._agents = agents
        self._refusal = refusal

    async def submit(self, prompt: Prompt) -> FakeTicket:
        if len(self.prompts) + len(self.refused) >= self._enough:
            self.is_enough.set()
        if prompt.agent not in self._agents:
            self.refused.append(prompt)
            raise UnknownAgent(prompt.agent)
        if self._refusal is not None:
            self.refused.append(prompt)
            raise self._refusal
        self.prompts.append(prompt)
        self.outstanding[prompt.user] += 1
        self.most_outstanding = max(self.most_outstanding, *self.outstanding.values())
        return FakeTicket(self, prompt)


async def _play_until_enough(desk: FakeDesk, pace: float = 0.0005) -> None:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(play, cast(Engine, desk), 1, pace)
            await desk.is_enough.wait()
            group.cancel_scope.cancel()


async def test_everybody_comes_and_nobody_waits_for_more_than_a_few_turns() -> None:
    desk = FakeDesk(enough=400)

    await _play_until_enough(desk)

    assert {prompt.user for prompt in desk.prompts} == {person.name for person in PEOPLE}
    assert {prompt.agent for prompt in desk.prompts} == set(AGENTS)
    assert len({(prompt.agent, prompt.user, prompt.session) for prompt in desk.prompts}) > len(PEOPLE)
    assert 1 < desk.most_outstanding <= MAX_OUTSTANDING


@pytest.mark.parametrize(
    "refusal",
    [
        NotAccepting("draining"),
        Saturated("helpdesk", total=3, active=3, idle=0, waiting=9, retry_after=2.0, why="full"),
    ],
)
async def test_refusals_are_taken_in_stride(refusal: Exception) -> None:
    desk = FakeDesk(enough=PEOPLE.__len__() * MAX_TRIES * 3, refusal=refusal)

    await _play_until_enough(desk, pace=0.0002)

    assert {prompt.user for prompt in desk.refused} == {person.name for person in PEOPLE}


@pytest.mark.parametrize("error", [Suspended("bullpen stops"), JournalFailed("the disk is full")])
async def test_who_is_told_that_the_bullpen_closes_makes_no_scene(error: Exception) -> None:
    """R2: the queue is kept; that is no failure of the program that had asked."""
    desk = FakeDesk(enough=60)
    desk.closes_with = error

    await _play_until_enough(desk)

    assert len(desk.prompts) >= 60


async def test_people_without_an_agent_stay_at_home() -> None:
    desk = FakeDesk(enough=60, agents=("clerk",))

    await _play_until_enough(desk)

    assert {prompt.agent for prompt in desk.prompts} == {"clerk"}
    assert Counter((prompt.user, prompt.agent) for prompt in desk.refused).most_common(1)[0][1] <= MAX_OUTSTANDING
