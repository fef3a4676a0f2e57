"""Two verbs in one moment, in every state of a session: each is done or refused, and nothing waits for ever.

Whatever the order: every prompt that was taken has one outcome, a user who was forgotten has no session, another
user is served, and the engine stops in time.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from supervisor.api.errors import AlreadyAnswered, Refused
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, QuestionOutcome
from supervisor.api.states import InstanceState
from supervisor.engine.supervisor import Supervisor
from supervisor.permissions.requests import ToolRequest
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn
from supervisor.testing import FakeConnection, FakeWorld, answer_at_once, compact_at_once, hold
from tests import waiting
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import at_once

pytestmark = pytest.mark.anyio


async def until(condition: Callable[[], object], story: str = "") -> None:
    try:
        await waiting.until(condition, within=10)
    except TimeoutError:
        pytest.fail(f"not within ten seconds: {story}")


BASH = ToolRequest("Bash", {"command": "touch done"}, "toolu_1")


class Scene:
    """One session of `ana`, in some state, and what was taken for it."""

    def __init__(self, supervisor: Supervisor, world: FakeWorld, user: str) -> None:
        self.supervisor, self.world, self.user = supervisor, world, user
        self.key = SessionKey("desk", user, "default")
        self.tickets: list[Turn] = []
        self.questions: list[str] = []
        self.verdicts: list[object] = []

    @property
    def session(self) -> Session:
        return self.supervisor._instances["desk"].sessions[self.key]

    @property
    def connection(self) -> FakeConnection | None:
        """Of its client."""
        live = [one for one in self.world.live if one.launch.session_uuid == self.session.uuid]
        return live[-1] if live else None

    def submit(self) -> None:
        self.tickets.append(at_once(self.supervisor.submit(Prompt("desk", "go", user=self.user))))

    def ask(self, connection: FakeConnection, text: str) -> None:
        async def put() -> None:
            self.verdicts.append(await connection.ask(BASH))

        assert self.supervisor._tasks is not None
        self.supervisor._tasks.start_soon(put)

    async def talk(self) -> None:
        self.world.on_prompt = answer_at_once
        self.submit()
        await self.tickets[-1].outcome()


async def hibernated(scene: Scene) -> None:
    await scene.talk()
    await until(lambda: scene.session.slot is not None and scene.session.slot.is_evictable, "idle")
    await scene.supervisor.hibernate(scene.key)
    await until(lambda: scene.session.slot is None, "hibernated")


async def starting(scene: Scene) -> None:
    scene.world.gate = anyio.Event()
    scene.submit()
    await until(lambda: scene.world.starting == 1, "starting")


async def working(scene: Scene) -> None:
    scene.world.on_prompt = hold
    scene.submit()
    await until(lambda: (one := scene.connection) is not None and one.is_in_turn, "working")


async def asking(scene: Scene) -> None:
    scene.world.on_prompt = scene.ask
    scene.submit()
    await until(lambda: scene.session.questions, "asking")
    scene.questions = list(scene.session.questions)


async def away(scene: Scene) -> None:
    """Its client was freed, and the question is open."""
    await asking(scene)
    scene.world.on_prompt = hold
    others = [await scene.supervisor.submit(Prompt("desk", "me too", user=f"{name}-{scene.user}")) for name in "bc"]
    await until(lambda: scene.session.slot is None, "away")
    scene.tickets += others


async def compacting(scene: Scene) -> None:
    await scene.talk()
    scene.world.on_command = hold
    scene.tickets.append(await scene.supervisor.compact(scene.key))
    await until(lambda: (one := scene.connection) is not None and one.commands, "compacting")


async def queued_behind_a_compaction(scene: Scene) -> None:
    await compacting(scene)
    scene.submit()


STATES = [hibernated, starting, working, asking, away, queued_behind_a_compaction]


def answer(scene: Scene) -> None:
    at_once(scene.supervisor.answer(scene.questions[0] if scene.questions else "none", Allow(always=True)))


def submit(scene: Scene) -> None:
    scene.submit()


def compact(scene: Scene) -> None:
    scene.tickets.append(at_once(scene.supervisor.compact(scene.key)))


VERBS: dict[str, Callable[[Scene], object]] = {
    "submit": submit,
    "answer": answer,
    "compact": compact,
    "interrupt": lambda scene: at_once(scene.supervisor.interrupt(scene.key)),
    "close": lambda scene: at_once(scene.supervisor.close_session(scene.key)),
    "forget": lambda scene: at_once(scene.supervisor.forget_user(scene.user)),
    "kill": lambda scene: at_once(scene.supervisor.kill("desk")),
}
DEEP = {"answer", "compact", "close", "forget"}
PAIRS = [pair for pair in itertools.product(VERBS, VERBS) if DEEP & {*pair}]


def attempt(scene: Scene, verb: str) -> bool:
    """Whether it was done; a refusal is one of the engine's own errors."""
    try:
        VERBS[verb](scene)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_two_verbs_in_one_moment_are_each_done_or_refused(
    start: Start, world: FakeWorld, make_template: MakeTemplate, state: Callable[[Scene], Awaitable[None]]
) -> None:
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 0, "askingTtl": 0.02})
    async with start(template) as supervisor:
        for number, (first, second) in enumerate(PAIRS):
            await play(Scene(supervisor, world, f"ana-{number}"), state, first, second, pause=3 * (number % 2))
    assert world.violations == []


async def play(scene: Scene, state: Callable[[Scene], Awaitable[None]], first: str, second: str, pause: int) -> None:
    supervisor, world = scene.supervisor, scene.world
    story = f"{state.__name__}: {first}, {second}"
    await state(scene)
    done = [attempt(scene, first)]
    for _ in range(pause):
        await anyio.lowlevel.checkpoint()
    done.append(attempt(scene, second))

    if world.gate is not None:
        world.gate.set()
        world.gate = None
    world.on_prompt, world.on_command = answer_at_once, compact_at_once
    instance = supervisor._instances["desk"]
    await until(lambda: instance.state not in (InstanceState.DRAINING, InstanceState.KILLING), story)
    if instance.state is not InstanceState.RUNNING:
        await supervisor.resume("desk")
    for question in (await supervisor.snapshot()).questions:
        with suppress(AlreadyAnswered):
            await supervisor.answer(question.id, Allow())
    for ticket in scene.tickets:
        for connection in world.live:
            if connection.is_in_turn:
                connection.reply("ok")
        await until(lambda ticket=ticket: ticket.finished is not None, story)  # type: ignore[misc]
    if ("forget", True) in ((first, done[0]), (second, done[1])):
        await until(lambda: scene.user not in supervisor._forgotten, story)
        assert scene.key not in instance.sessions, story
    for question_id in scene.questions:
        if await outcome_of(supervisor, question_id) == QuestionOutcome.APPROVED:
            assert any(verdict is not None for verdict in scene.verdicts) or done[0] or done[1], story
    other = await supervisor.submit(Prompt("desk", "hello", user="boris"))
    await until(lambda: other.finished is not None, story)
    assert isinstance(other.finished, Done), story


async def outcome_of(supervisor: Supervisor, question_id: str) -> str:
    journal = supervisor._host.journal
    await journal.flush()
    cursor = await journal._connection.execute("SELECT outcome FROM questions WHERE id = ?", (question_id,))
    row = await cursor.fetchone()
    return str(row[0]) if row is not None else ""
