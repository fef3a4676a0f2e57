"""Five probes that caught earlier designs. Each has two halves, both with the bundled CLI on rehearsal.

The naive use of the SDK shows the fault, so the probe can fail: that is known, and looked at again by `make soak`. The
supervisor in the same situation does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import psutil
import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState, SlotState
from supervisor.process.process_tree import LOST, MARK, is_alive
from supervisor.rehearsal import Rehearsal
from tests.acceptance.conftest import PACE, Bullpen, Open, find_clients
from tests.waiting import at_once, until

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeSDKClient, ResultMessage

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
"""Seconds until a half of a probe that hangs has failed."""


class Bare:
    """Clients of the SDK with nobody in charge of them."""

    def __init__(self, rehearsal: Rehearsal, folder: Path) -> None:
        self.rehearsal = rehearsal
        self._folder = folder

    async def connect(self, **more: Any) -> ClaudeSDKClient:
        """Carries a mark, so that one that is left over fails the test as any other client would."""
        import claude_agent_sdk as sdk

        environment = {**self.rehearsal.environment(self._folder / "claude"), MARK: "bare"}
        options = sdk.ClaudeAgentOptions(
            env=environment,
            cwd=self._folder,
            tools=[],
            setting_sources=[],
            include_partial_messages=True,
            stderr=lambda line: None,
            **more,
        )
        client = sdk.ClaudeSDKClient(options)
        await client.connect()
        return client

    @asynccontextmanager
    async def client(self, **more: Any) -> AsyncIterator[ClaudeSDKClient]:
        client = await self.connect(**more)
        try:
            yield client
        finally:
            await client.disconnect()


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Bare]:
    async with Rehearsal(pace=PACE, keep=10_000) as rehearsal:
        with anyio.fail_after(PATIENCE):
            yield Bare(rehearsal, tmp_path)


async def ask(client: ClaudeSDKClient, text: str, **more: str) -> ResultMessage:
    """The naive turn: query, then whatever result comes first."""
    from claude_agent_sdk import ResultMessage

    await client.query(text, **more)
    messages = [message async for message in client.receive_response()]
    assert isinstance(messages[-1], ResultMessage)
    return messages[-1]


async def done(bullpen: Bullpen, text: str, user: str = "ana") -> str:
    outcome = await (await bullpen.supervisor.submit(Prompt("desk", text, user=user))).outcome()
    assert isinstance(outcome, Done)
    return outcome.text


async def hibernate(bullpen: Bullpen, user: str = "ana") -> None:
    """Ends the session's client; what the session says next comes from a resumed one."""
    key = SessionKey("desk", user, "default")
    await until(lambda: row_of(bullpen, user).state is SessionState.IDLE, within=30)
    await bullpen.supervisor.hibernate(key)
    await until(lambda: row_of(bullpen, user).state is SessionState.HIBERNATED and not row_of(bullpen, user).client_id)


def row_of(bullpen: Bullpen, user: str) -> Any:
    return next(row for row in bullpen.supervisor.view.snapshot().sessions if row.key.user == user)


class Writers:
    """How many CLI processes named a session at once; what was seen, not what is believed."""

    def __init__(self) -> None:
        self.most = 0
        self.pids: set[int] = set()

    def look(self, session: str) -> None:
        now = set()
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(*LOST):
                # Its guard starts with the same words, and writes nothing.
                is_cli = Path(process.exe()).name == "claude"
                if is_cli and any(session in word for word in process.cmdline()) and is_alive(process):
                    now.add(process.pid)
        self.most = max(self.most, len(now))
        self.pids |= now


@asynccontextmanager
async def counting_writers(bullpen: Bullpen, user: str) -> AsyncIterator[Writers]:
    """Looks at the process table all the time, from its first client on; a CLI takes half a second to start."""
    writers = Writers()

    async def look_on() -> None:
        while True:
            for row in (await bullpen.supervisor.snapshot()).sessions:
                if row.key.user == user and row.session_uuid:
                    writers.look(row.session_uuid)
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as group:
        group.start_soon(look_on)
        yield writers
        group.cancel_scope.cancel()


# A client that has served one user serves another


@pytest.mark.exhaustive
async def test_a_bare_client_used_for_another_user_sends_the_first_ones_words(bare: Bare) -> None:
    """S2.11: naming another session in the query changes nothing."""
    async with bare.client() as client:
        first = await ask(client, "[[echo]] I am ana, marmalade-7")
        second = await ask(client, "[[echo]] I am boris", session_id="boris")
    request = bare.rehearsal.record[-1]
    assert "I am boris" in request.prompt
    assert "marmalade-7" in request.text
    assert first.session_id == second.session_id


async def test_a_place_used_for_another_user_sends_nothing_of_the_first_one(open_bullpen: Open) -> None:
    """S2.4, S2.11: one place, three users in turn and again; the client goes with its session, the place stays."""
    secrets = {"ana": "marmalade-7", "boris": "quicksand-3", "chen": "saxophone-9"}
    async with open_bullpen(1) as bullpen:
        served: dict[int, str] = {}
        for number in range(2):
            for user, secret in secrets.items():
                await done(bullpen, f"[[echo]] I am {user}, {secret}, round {number}", user)
                (pid,) = bullpen.pids
                assert served.setdefault(pid, user) == user
        for user, secret in secrets.items():
            requests = bullpen.requests_of(f"I am {user}")
            assert len(requests) == 2
            for text in requests:
                assert secret in text
                assert not any(other in text for other in secrets.values() if other != secret)


# One session is resumed by several clients at once


@pytest.mark.exhaustive
async def test_bare_clients_that_resume_one_session_at_once_lose_turns(bare: Bare) -> None:
    """S2.6: no lock, no error. Each writes a branch of its own, and a later resume follows one of them."""
    async with bare.client() as client:
        session = (await ask(client, "[[echo]] the beginning")).session_id
    colours = ("crimson", "emerald", "sapphire")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(bare.client(resume=session)) for _ in colours]
        results = await asyncio.gather(
            *(ask(client, f"[[echo]] {colour}") for client, colour in zip(clients, colours, strict=True))
        )
        assert [result.result for result in results] == list(colours), "everybody was told that all is well"
        assert {result.session_id for result in results} == {session}
    async with bare.client(resume=session) as client:
        await ask(client, "[[recall]]")
    text = bare.rehearsal.record[-1].text
    assert "the beginning" in text
    assert sum(colour in text for colour in colours) == 1


async def test_prompts_of_one_session_at_once_are_served_one_after_another_and_all_kept(open_bullpen: Open) -> None:
    """S2.6, S3.13–16: each request holds the turns before it; a later resume sends them all. Three places are free."""
    colours = ("crimson", "emerald", "sapphire")
    async with open_bullpen(3) as bullpen, counting_writers(bullpen, "ana") as writers:
        await done(bullpen, "[[echo]] the beginning")
        await hibernate(bullpen)
        async with anyio.create_task_group() as group:
            for colour in colours:
                group.start_soon(done, bullpen, f"[[slow: 1]] [[echo]] {colour}")
        for number, colour in enumerate(colours, 1):
            (request,) = (request for request in bullpen.rehearsal.record if request.prompt.endswith(colour))
            said = " ".join(text for role, text in request.turns if role == "assistant")
            answered = [other for other in colours if other in said]
            assert answered == list(colours[: number - 1]), "the answers before it, in order, and no other"
        before = bullpen.pids
        await hibernate(bullpen)
        recalled = await done(bullpen, "[[recall]]")
        assert bullpen.pids.isdisjoint(before)
        places = [recalled.index(text) for text in ("the beginning", *colours)]
        assert places == sorted(places)
        assert all(recalled.count(colour) == 1 for colour in colours)
        assert writers.most == 1
        assert len(writers.pids) == 3


# Whoever waits for an answer is cancelled in the middle


@pytest.mark.exhaustive
async def test_after_a_cancelled_consumer_a_bare_client_is_one_answer_behind(bare: Bare) -> None:
    """Sdk-facts §2: the turn goes on, and what is left of it answers the next prompt."""
    from claude_agent_sdk.types import StreamEvent

    async with bare.client() as client:
        await client.query("[[stream: 20 words, 0.2]] [[say: the old answer]]")
        with anyio.CancelScope() as scope:
            async for message in client.receive_response():
                if isinstance(message, StreamEvent) and message.event["type"] == "content_block_delta":
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        behind = await ask(client, "[[say: the new answer]]")
        assert "the new answer" not in str(behind.result)
        (late,) = [message async for message in client.receive_response() if type(message) is type(behind)]
        assert late.result == "the new answer"


@pytest.mark.parametrize("way", [pytest.param("outcome", marks=pytest.mark.exhaustive), "stream"])
async def test_after_a_cancelled_caller_the_next_answer_is_the_right_one(open_bullpen: Open, way: str) -> None:
    """S2.20, S3.13–16: the session is held until the turn's Result, whoever still waits for it."""
    async with open_bullpen(1) as bullpen:
        supervisor = bullpen.supervisor
        old = await supervisor.submit(Prompt("desk", "[[stream: 20 words, 0.2]] [[say: the old answer]]", user="ana"))

        async def wait(scope: anyio.CancelScope) -> None:
            with scope:
                if way == "outcome":
                    await old.outcome()
                async for _ in old.stream():
                    pass

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(wait, scope)
            await until(lambda: "word3" in at_once(supervisor.conversation(old.key)).read().opened, within=30)
            scope.cancel()
        assert scope.cancelled_caught
        assert old.finished is None, "the cancelled caller took nothing with it"
        pids = bullpen.pids
        assert await done(bullpen, "[[say: the new answer]]") == "the new answer"
        assert await done(bullpen, "[[say: and the next]]") == "and the next"
        assert isinstance(old.finished, Done)
        assert old.finished.text.endswith("the old answer")
        assert bullpen.pids == pids


# A warm client stays behind while another process writes to its session


@pytest.mark.exhaustive
async def test_a_bare_warm_client_does_not_see_another_writers_turn_and_loses_it(bare: Bare) -> None:
    """S2.6: two processes name the session at once, which is also how the counting is known to see it."""
    writers = Writers()
    async with bare.client() as warm:
        session = (await ask(warm, "[[echo]] the beginning")).session_id
        async with bare.client(resume=session) as other:
            await ask(other, "[[echo]] written elsewhere")
        await ask(warm, "[[echo]] the warm one goes on")
        assert "written elsewhere" not in bare.rehearsal.record[-1].text
    async with bare.client(resume=session) as one, bare.client(resume=session):
        writers.look(session)
        await ask(one, "[[recall]]")
    request = bare.rehearsal.record[-1]
    assert "the warm one goes on" in request.text
    assert "written elsewhere" not in request.text
    assert writers.most == 2


async def test_an_evicted_session_has_one_writer_at_any_time_and_misses_no_turn(open_bullpen: Open) -> None:
    """S2.4, S2.6, R3: another user takes its place each time."""
    async with open_bullpen(1) as bullpen, counting_writers(bullpen, "ana") as writers:
        said = [f"evicted-{number}" for number in range(2)]
        for text in said:
            await done(bullpen, f"[[echo]] {text}")
            await done(bullpen, "[[echo]] I need the place", "boris")
            assert row_of(bullpen, "ana").state is SessionState.HIBERNATED
        await expect_recall(bullpen, said, writers)


async def test_a_prompt_does_not_overtake_the_end_of_its_sessions_last_client(open_bullpen: Open) -> None:
    """S2.6, R3: there is room for a second client all the time; it starts when the first one is verified to be gone."""
    async with open_bullpen(3) as bullpen, counting_writers(bullpen, "ana") as writers:
        said = [f"hibernated-{number}" for number in range(2)]
        for text in said:
            await done(bullpen, f"[[echo]] {text}")
            await until(lambda: row_of(bullpen, "ana").state is SessionState.IDLE, within=30)
            await bullpen.supervisor.hibernate(SessionKey("desk", "ana", "default"))
            (closing,) = (await bullpen.supervisor.snapshot()).clients
            assert closing.state is SlotState.CLOSING, "the next prompt comes while it is still going"
        await expect_recall(bullpen, said, writers)


async def expect_recall(bullpen: Bullpen, said: list[str], writers: Writers) -> None:
    """Every turn in order, by a fresh process each time, and never two of them."""
    recalled = await done(bullpen, "[[recall]]")
    places = [recalled.index(text) for text in said]
    assert places == sorted(places)
    assert writers.most == 1
    assert len(writers.pids) == len(said) + 1


# A client is let go of without being ended


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")
async def test_an_abandoned_bare_client_runs_on(bare: Bare, tmp_path: Path) -> None:
    """Sdk-facts §1.1: neither `del` nor a collection ends a CLI."""
    async with bare.client() as first:
        await ask(first, "[[say: the endpoint has begun]]")
    before = asyncio.all_tasks()
    client = await bare.connect()
    await ask(client, "[[say: hi]]")
    (process,) = find_clients(tmp_path)
    del client
    gc.collect()
    async with bare.client() as other:
        await ask(other, "[[say: time goes by]]")
    gc.collect()
    assert find_clients(tmp_path) == [process]
    process.kill()
    await until(lambda: find_clients(tmp_path) == [] and asyncio.all_tasks() <= before)
    # What it leaves behind is closed by the collector: here, not in the middle of another test.
    gc.collect()


async def test_dropped_tickets_leave_no_client(open_bullpen: Open, tmp_path: Path) -> None:
    """S2.20, R3: idle, in the middle of a turn, and waiting; nobody holds a ticket when the supervisor stops."""
    async with open_bullpen(2) as bullpen:
        supervisor = bullpen.supervisor
        await done(bullpen, "[[say: hi]]", "ana")
        for text in ("[[stream: 5000 words, 0.1]]", "[[say: never]]"):
            await supervisor.submit(Prompt("desk", text, user="boris"))
        gc.collect()
        await until(
            lambda: at_once(supervisor.conversation(SessionKey("desk", "boris", "default"))).read().opened, within=30
        )
        assert len(find_clients(tmp_path)) == 2, "they are the supervisor's, not the tickets'"
        await supervisor.close_session(SessionKey("desk", "ana", "default"))
        await until(lambda: len(find_clients(tmp_path)) == 1, within=30)
    assert find_clients(tmp_path) == []


@pytest.mark.parametrize(
    ("native", "moment"),
    [
        pytest.param(False, "connecting", id="scope-connecting"),
        pytest.param(True, "in the middle of a turn", id="task-in the middle of a turn"),
        pytest.param(True, "connecting", id="task-connecting", marks=pytest.mark.exhaustive),
        pytest.param(
            False, "in the middle of a turn", id="scope-in the middle of a turn", marks=pytest.mark.exhaustive
        ),
    ],
)
async def test_a_cancelled_supervisor_leaves_no_client(
    open_bullpen: Open, tmp_path: Path, moment: str, native: bool
) -> None:
    """S2.20, R3: cancelled by its scope, or as a task, which no shield holds up."""
    opened: list[Bullpen] = []

    async def keep_bullpen_open(scope: anyio.CancelScope) -> None:
        with scope:
            async with open_bullpen(2) as bullpen:
                await done(bullpen, "[[say: hi]]", "ana")
                await bullpen.supervisor.submit(Prompt("desk", "[[stream: 5000 words, 0.1]]", user="boris"))
                opened.append(bullpen)
                await anyio.sleep_forever()

    def is_time() -> bool:
        if not opened:
            return False
        if moment == "connecting":
            return len(find_clients(tmp_path)) >= 2
        return bool(at_once(opened[0].supervisor.conversation(SessionKey("desk", "boris", "default"))).read().opened)

    scope = anyio.CancelScope()
    task = asyncio.create_task(keep_bullpen_open(scope))
    # What is just starting may be counted twice: as its guard, and as the copy of it that becomes the CLI.
    await until(is_time, within=30)
    if native:
        task.cancel()
    else:
        scope.cancel()
    with anyio.fail_after(PATIENCE), contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.done()
    assert find_clients(tmp_path) == []
