"""What the commands of the command line say and do in a running bullpen, over its socket."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer.testing
from anyio.abc import TaskGroup
from msgspec.structs import replace

from supervisor import NotReached, RemoteEngine
from supervisor.api.engine import Engine
from supervisor.api.errors import Refused
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.questions import ChoiceItem
from supervisor.api.states import InstanceState, SessionState
from supervisor.files.socket_path import SOCKET
from supervisor.gateway.tokens import Role
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.testing import FakeConnection, FakeWorld
from tests.engine.test_questions import asking
from tests.gateway.conftest import Bullpen, MakeTemplate, Open
from tests.waiting import until
from tui.cli import ask, exit_codes, queries, stopping, verbs
from tui.cli import running_engine as finding
from tui.cli.examples import EXAMPLES
from tui.cli.forget import forget_there
from tui.cli.main import app
from tui.cli.options import Common
from tui.cli.questions import read_choice

pytestmark = pytest.mark.anyio

HELLO = Prompt("desk", "hello", user="ana")
KEY = SessionKey("desk", "ana", "default")
PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text("utf-8")
Printed = Callable[[], str]


def hold(connection: FakeConnection, text: str) -> None:
    """The fake answers when the test says so."""


class Heard:
    """All that has been printed; called with some words, it says whether they stand in it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], stream: str) -> None:
        """`stream`: `out` or `err`. What the other one holds is lost."""
        self.text = ""
        self._capsys = capsys
        self._stream = stream

    def __call__(self, words: str) -> bool:
        self.text += getattr(self._capsys.readouterr(), self._stream)
        return words in self.text


@asynccontextmanager
async def far(home: Bullpen) -> AsyncIterator[RemoteEngine]:
    async with RemoteEngine(socket=home.folder / SOCKET) as engine:
        yield engine


async def running(world: FakeWorld, engine: Engine) -> str:
    ticket = await engine.submit(HELLO)
    await until(lambda: bool(world.connections) and bool(world.connections[-1].prompts))
    return ticket.turn_id


async def test_tables_for_people_are_aligned_and_json_is_for_programs(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen() as home, far(home) as engine:
        await (await engine.submit(Prompt("desk", "a \x1b[31mred\x1b[0m hello", user="ana"))).outcome()
        world.on_prompt = hold
        await running(world, engine)
        await engine.submit(Prompt("desk", "second", user="ana"))
        await engine.pause("desk")
        capsys.readouterr()
        for show in (queries.status, queries.sessions, queries.clients, queries.queue, queries.audit, queries.contexts):
            await show(engine)
            told = capsys.readouterr()
            assert "\x1b" not in told.out
            heading, row = [line for line in told.out.splitlines() if not line.startswith("bullpen ")][:2]
            starts = [found.start() for found in re.finditer(r"(?<=  )\S|^\S", heading)]
            assert all(row[start - 2 : start].strip() == "" for start in starts[1:]), f"{heading}\n{row}"
            await show(engine, as_json=True)
            told = capsys.readouterr()
            assert told.out.isascii()
            assert json.loads(told.out)
        await queries.limits(engine, "desk")
        assert "queue.maxWait" in capsys.readouterr().out
        await queries.questions(engine)
        assert capsys.readouterr().err == "bullpen: no question is open\n"
        await queries.events(engine)
        assert "operator by command: pause" in capsys.readouterr().out


async def test_a_conversation_is_printed_and_followed(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen() as home, far(home) as engine:
        await (await engine.submit(HELLO)).outcome()
        await queries.logs(engine, "ana")
        assert re.findall(r"\d\d:\d\d:\d\d  (.*)", capsys.readouterr().out) == ["ana: hello", "You said: hello"]
        said = Heard(capsys, "out")
        async with anyio.create_task_group() as group:
            group.start_soon(queries.logs, engine, "desk/ana/default", True)
            await until(lambda: said("You said: hello"))
            await (await engine.submit(Prompt("desk", "more", user="ana"))).outcome()
            await until(lambda: said("You said: more"))
            group.cancel_scope.cancel()


async def test_words_are_followed_as_they_are_written(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.on_prompt = hold
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    async with bullpen() as home, far(home) as engine, anyio.create_task_group() as group:
        await running(world, engine)
        group.start_soon(queries.logs, engine, "ana", True)
        said = Heard(capsys, "out")
        world.connections[0].say("Half a sen")
        await until(lambda: said("Half a sen"))
        assert not said.text.endswith("\n")
        world.connections[0].reply("tence.")
        await until(lambda: said("tence.\n"))
        assert re.findall(r"(?m)^\d\d:\d\d:\d\d  (.*)$", said.text) == ["ana: hello", "Half a sentence."]
        group.cancel_scope.cancel()


async def test_events_begin_with_what_is_remembered_and_go_on_without_a_gap(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also across a break of the line."""
    async with bullpen() as home, far(home) as engine:
        await (await engine.submit(HELLO)).outcome()
        await queries.events(engine, 50, False, True)
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        kinds = [kind for kind, _ in told]
        assert kinds.index("turn-queued") < kinds.index("turn-started") < kinds.index("turn-finished")
        await queries.events(engine, 1, False, True)
        assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == told[-1:]
        lines: list[Any] = []

        def tells(turn: str) -> bool:
            lines.extend(json.loads(line) for line in capsys.readouterr().out.splitlines())
            return any(kind == "turn-finished" and one["turn"] == turn for kind, one in lines)

        async with anyio.create_task_group() as group:
            group.start_soon(queries.events, engine, 50, True, True)
            await until(lambda: tells("") or lines[: len(told)] == told)
            away = home.folder / "away.sock"
            (home.folder / SOCKET).rename(away)
            home.door.hang_up()
            ticket = await home.supervisor.submit(Prompt("desk", "meanwhile", user="ana"))
            await ticket.outcome()
            away.rename(home.folder / SOCKET)
            await until(lambda: tells(ticket.turn_id))
            group.cancel_scope.cancel()
        assert len({json.dumps(one) for one in lines}) == len(lines), "nothing is told twice"


async def test_a_forgotten_user_is_in_no_event_that_is_remembered(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, far(home) as engine:
        await (await engine.submit(HELLO)).outcome()
        with await engine.watch(1_000) as feed:
            assert any(event.user == "ana" for event in feed.take().events)
        await engine.forget_user("ana")

        feed = home.supervisor._feed
        await until(lambda: not any(event.user == "ana" for event in feed.watch(1_000).take().events))
        for count in (-1, 1_001, "x"):
            with pytest.raises(Refused):
                await engine.watch(count)  # type: ignore[arg-type]


async def test_a_turn_says_how_it_ended_and_fails_with_it(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen() as home, far(home) as engine:
        done = await engine.submit(HELLO)
        assert await queries.turn(engine, done.turn_id, follow=True) == 0
        assert "You said: hello" in capsys.readouterr().out
        world.on_prompt = lambda connection, text: connection.fail(500)
        failed = await engine.submit(Prompt("desk", "hello", user="ben"))
        assert await queries.turn(engine, failed.turn_id, follow=True) == 1
        assert "turn failed" in capsys.readouterr().out
        assert await verbs.withdraw(engine, failed.turn_id, yes=True) == 1, "it has ended"


async def test_an_interrupted_turn_names_the_commands_that_decide_about_it(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.on_prompt = hold
    async with bullpen() as home:
        turn = await running(world, home.supervisor)
    async with bullpen() as home, far(home) as engine:
        assert await queries.turn(engine, turn) == 1
        assert (
            "bullpen replay desk/ana/default sends it again; bullpen drop desk/ana/default" in capsys.readouterr().out
        )
        await engine.drop_offer(KEY)
        assert await queries.turn(engine, turn) == 1
        assert "replay" not in capsys.readouterr().out, "it is decided"


async def test_a_verb_does_it_and_says_so(bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        turn = await running(world, engine)
        second = await engine.submit(Prompt("desk", "second", user="ana"))
        calls: list[tuple[Any, tuple[Any, ...], str]] = [
            (verbs.pause, ("desk",), "desk is paused"),
            (verbs.resume, ("desk",), "desk runs"),
            (verbs.scale, ("desk", 3), "up to 3 turns"),
            (verbs.scale, ("desk", 1), "up to 1 turn in parallel\n"),
            (verbs.set_, ("desk.maxWait", "9s"), "desk.maxWait is 9s"),
            (verbs.set_, ("max_agents", "9"), "max_agents is 9"),
            (verbs.withdraw, (second.turn_id, True), f"turn {second.turn_id} is withdrawn"),
            (verbs.interrupt, ("ana", True), "the turn of desk/ana/default is stopped"),
        ]
        for verb, arguments, words in calls:
            assert not await verb(engine, *arguments)
            assert words in capsys.readouterr().out
        await (await engine.ticket(turn)).outcome()
        assert await verbs.interrupt(engine, "ana", True) == 1
        assert "no turn to stop" in capsys.readouterr().err
        await until(lambda: home.supervisor.view.snapshot().sessions[0].state is SessionState.IDLE)
        await verbs.cleanup(engine)
        assert "1 idle session hibernated" in capsys.readouterr().out
        assert await verbs.clear(engine, "desk", yes=True) == 0
        assert await verbs.close(engine, "ana", yes=True) == 0
        assert await verbs.kill(engine, "desk", yes=True) == 0
        assert (await engine.snapshot()).sessions == ()
        await until(lambda: home.supervisor.view.snapshot().instances[0].state is InstanceState.STOPPED)
        await queries.status(engine)
        assert "resume opens it again" in capsys.readouterr().out, "a command's verb, and no key of the dashboard"


async def test_a_drain_shows_how_far_it_is_and_returns_when_it_is_over(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        await running(world, engine)
        await engine.submit(Prompt("desk", "second", user="ana"))
        codes = []

        async def drain() -> None:
            codes.append(await verbs.drain(engine, "desk", deadline=60, wait=True, yes=True))

        says = Heard(capsys, "err")
        async with anyio.create_task_group() as group:
            group.start_soon(drain)
            await until(lambda: says("0 of 2 turns over, 1 client left"))
            await until(lambda: says("desk/ana/default"))
            world.connections[0].reply("One.")
            await until(lambda: says("1 of 2 turns over"))
            await until(lambda: len(world.connections[0].prompts) == 2)
            world.connections[0].reply("Two.")
        assert says("2 of 2 turns over, 0 clients left")
        assert codes == [0]


async def test_a_drain_calls_no_turn_done_that_it_has_cut_off(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """S1.17"""
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        await running(world, engine)
        await engine.submit(Prompt("desk", "second", user="ana"))
        await until(lambda: home.supervisor.view.snapshot().instances[0].waiting == 1)
        assert await verbs.drain(engine, "desk", deadline=0, wait=True, yes=True) == 0
        progress = capsys.readouterr().err
    assert "2 of 2 turns over, 0 clients left" in progress
    assert "done" not in progress


async def test_the_question_before_a_drain_says_what_becomes_of_what_waits(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1.17: at the deadline, and at once where the agent drains already."""
    asked: list[str] = []

    async def declines(question: str, facts: list[str], *, is_sure: bool) -> bool:
        asked.append(facts[-1])
        return False

    world.on_prompt = hold
    monkeypatch.setattr(verbs, "is_agreed", declines)
    async with bullpen() as home, far(home) as engine:
        await running(world, engine)
        assert await verbs.drain(engine, "desk", deadline=60, wait=True, yes=False) == 1
        assert (await engine.snapshot()).instances[0].state is InstanceState.RUNNING
        await engine.drain("desk")
        assert await verbs.drain(engine, "desk", deadline=60, wait=True, yes=False) == 1
        assert (await engine.snapshot()).instances[0].active_sessions == 1
    assert asked == [
        "what still runs after 60 s is interrupted, what still waits is cancelled; bullpen resume desk takes it back "
        "until then",
        "it drains already: asked again, what runs is interrupted and what waits is cancelled at once",
    ]


async def test_fewer_turns_in_parallel_than_run_are_told_and_a_stop_says_what_is_left(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        await running(world, engine)
        await engine.submit(Prompt("desk", "hello", user="ben"))
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 2)
        await verbs.scale(engine, "desk", 1)
        assert "1 turn more than that is let end" in capsys.readouterr().out
        says = Heard(capsys, "err")
        async with anyio.create_task_group() as group:
            group.start_soon(stopping.stop, engine, True)
            await home.left.wait()
            await until(lambda: says("draining: 2 turns left · ctrl+c ends it now"))
            for connection in world.connections:
                connection.reply("Done.")
            await until(lambda: says("ending: 1 client left · desk-"))
            await home.supervisor.stop()
            group.cancel_scope.cancel()


async def test_a_question_is_shown_whole_and_answered_by_the_session_that_asks(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    request = ToolRequest("Bash", {"command": "ls"})
    async with bullpen() as home, far(home) as engine, asking(home.supervisor, world, request) as verdicts:
        (question,) = (await engine.snapshot()).questions
        await queries.questions(engine, str(question.key))
        assert f"bullpen answer {question.id} allow" in capsys.readouterr().out
        with pytest.raises(Refused, match="allow or deny"):
            await verbs.answer(engine, question.id[:6], ["maybe"], False, "")
        await verbs.answer(engine, str(question.key), ["allow"], False, "")
        await until(lambda: verdicts)


async def test_a_tool_of_a_server_is_called_as_on_the_screen(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    request = ToolRequest("mcp__bullpen__reserve", {"room": 9})
    async with bullpen() as home, far(home) as engine, asking(home.supervisor, world, request):
        await queries.questions(engine)
        await queries.questions(engine, str(KEY))
        told = capsys.readouterr().out
        assert told.count("reserve (bullpen)") >= 2


@pytest.mark.parametrize("verb", [verbs.kill, verbs.close, verbs.interrupt, verbs.clear])
async def test_what_ends_something_is_not_done_unasked(bullpen: Open, world: FakeWorld, verb: Any) -> None:
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        await running(world, engine)
        with pytest.raises(Refused, match="--yes"):
            await verb(engine, "desk" if verb in (verbs.kill, verbs.clear) else "ana", False)
        assert await engine.audit() == ()


async def test_a_name_that_may_mean_several_is_refused_with_them(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with bullpen() as home, far(home) as engine:
        for user in ("ana", "anabel"):
            await (await engine.submit(Prompt("desk", "hello", user=user))).outcome()
        with pytest.raises(Refused, match="may mean 2: desk/ana/default, desk/anabel/default"):
            await queries.logs(engine, "desk")
        await queries.logs(engine, "ana")
        with pytest.raises(Refused, match="no session nobody: `bullpen sessions`"):
            await queries.logs(engine, "nobody")
        with pytest.raises(Refused, match="no agent nobody; there are: desk"):
            await verbs.drain(engine, "nobody", deadline=None, wait=True, yes=True)


async def test_ask_asks_the_bullpen_that_runs(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen() as home:
        _, token = home.door.tokens.add(Role.USER, user="zoe")
        async with far(home) as engine, RemoteEngine(url=home.door.url, token=token) as users:
            assert await ask.ask_there(HELLO, engine) == 0
            assert capsys.readouterr().out == "You said: hello\n"
            assert await ask.ask_there(Prompt("desk", "hi", user=""), users) == 0
            assert capsys.readouterr().out == "You said: hi\n"
            world.on_prompt = lambda connection, text: connection.fail(500)
            assert await ask.ask_there(HELLO, engine) == 1
            assert "desk failed" in capsys.readouterr().err
            world.on_prompt = hold
            async with anyio.create_task_group() as group:
                group.start_soon(ask.ask_there, Prompt("desk", "long", user="leo"), engine)
                await until(lambda: any("long" in str(one.prompts) for one in world.connections))
                group.cancel_scope.cancel()
            (row,) = [one for one in (await home.supervisor.snapshot()).sessions if one.key.user == "leo"]
            await until(lambda: not home.supervisor.view.session_row(row.key).turn_id)  # type: ignore[union-attr]


async def test_ask_writes_the_whole_turn_as_json(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen() as home, far(home) as engine:
        assert await ask.ask_there(HELLO, engine, as_json=True) == 0
        told = json.loads(capsys.readouterr().out)
        word, outcome = told["outcome"]
        assert (told["key"][0], word, outcome["text"]) == ("desk", "done", "You said: hello")
        world.on_prompt = lambda connection, text: connection.fail(500)
        assert await ask.ask_there(HELLO, engine, as_json=True) == 1
        assert json.loads(capsys.readouterr().out)["outcome"][0] == "failed"


async def test_a_person_is_forgotten_in_the_bullpen_that_runs(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen() as home, far(home) as engine:
        assert await ask.ask_there(HELLO, engine) == 0
        capsys.readouterr()
        assert await forget_there("ana", engine, is_trial=True, is_sure=False) == exit_codes.DONE
        assert capsys.readouterr().out == "of ana in the bullpen that runs: 1 session\n"
        assert await forget_there("ana", engine, is_trial=False, is_sure=False) == exit_codes.REFUSED
        assert len((await engine.snapshot()).sessions) == 1
        assert await forget_there("ana", engine, is_trial=False, is_sure=True) == exit_codes.DONE
        await until(lambda: not home.supervisor.view.snapshot().sessions)
        with pytest.raises(Refused, match="no session of user ana"):
            await forget_there("ana", engine, is_trial=False, is_sure=True)


async def test_the_answer_of_a_call_that_leaves_nothing_behind_is_no_failure(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen(make_template("look", archetype="tool")) as home, far(home) as engine:
        for _ in range(5):
            assert await ask.ask_there(Prompt("look", "hi", user="ana"), engine) == 0
        told = capsys.readouterr()
        assert (told.out, told.err) == ("You said: hi\n" * 5, "")


async def test_what_is_followed_says_when_the_line_breaks_and_when_it_is_back(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "LOOK_SECONDS", 0.01)
    says = Heard(capsys, "err")
    async with bullpen() as home, far(home) as engine, anyio.create_task_group() as group:
        group.start_soon(queries.events, engine, 50, True)
        await until(lambda: says("following"))
        home.door.hang_up()
        await until(lambda: says("the line to bullpen at") or says("waiting for it to come back"))
        await until(lambda: says("connected again"))
        group.cancel_scope.cancel()


def ask_first(world: FakeWorld, group: TaskGroup, request: ToolRequest) -> list[Verdict]:
    """Has each turn ask before it replies. Returns the verdicts, as they come."""
    verdicts: list[Verdict] = []

    async def put(connection: FakeConnection) -> None:
        verdicts.append(await connection.ask(request))
        connection.reply("done")

    world.on_prompt = lambda connection, text: group.start_soon(put, connection)
    return verdicts


async def test_a_question_of_the_asked_turn_is_left_to_an_operator_without_a_terminal(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    from supervisor.api.questions import Allow

    async with bullpen() as home, far(home) as engine, anyio.create_task_group() as group:
        verdicts = ask_first(world, group, ToolRequest("Bash", {"command": "ls"}))
        group.start_soon(ask.ask_there, HELLO, engine)
        says = Heard(capsys, "err")
        await until(lambda: says("waits for an operator: bullpen answer"))
        assert not verdicts
        (question,) = (await engine.snapshot()).questions
        await engine.answer(question.id, Allow())
        await until(lambda: verdicts)


async def test_a_choice_is_told_with_its_numbers_and_allow_is_no_answer_to_it(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"questions": [{"question": "Milk?", "options": [{"label": "oat"}, {"label": "cow"}]}]}

    async with bullpen() as home, far(home) as engine, anyio.create_task_group() as group:
        ask_first(world, group, ToolRequest("AskUserQuestion", given))
        group.start_soon(ask.ask_there, HELLO, engine)
        says = Heard(capsys, "err")
        await until(lambda: says("NUMBER (1 oat, 2 cow)"))
        (question,) = (await engine.snapshot()).questions
        with pytest.raises(Refused, match="Milk\\? is a choice: say a number \\(1 oat, 2 cow\\), other words, or deny"):
            await verbs.answer(engine, question.id, ["allow"])
        no_option = """Milk?: there is no option 7 (1 oat, 2 cow); 7 as text is written '"7"'"""
        with pytest.raises(Refused, match=f"^{re.escape(no_option)}$"):
            await verbs.answer(engine, question.id, ["7"])
        await verbs.answer(engine, question.id, ["2"])
        await until(lambda: not home.supervisor.view.snapshot().questions)


COLOURS = ChoiceItem("Which?", "", (("red", ""), ("blue", "")))


@pytest.mark.parametrize(
    ("item", "typed", "meant"),
    [
        (COLOURS, "2", "blue"),
        (COLOURS, "02", "blue"),
        (COLOURS, "green, or 7", "green, or 7"),
        (COLOURS, '"7"', "7"),
        (COLOURS, '"deny"', "deny"),
        (COLOURS, 'neither "red" nor "blue"', 'neither "red" nor "blue"'),
        (COLOURS, "7", 'there is no option 7 (1 red, 2 blue); 7 as text is written "7"'),
        (COLOURS, "0", "there is no option 0"),
        (COLOURS, "-1", "there is no option -1"),
        (COLOURS, "9" * 5000, "there is no option 999"),
        (COLOURS, "1,2", "only one option can be chosen"),
        (replace(COLOURS, multiple=True), "2, 1,2", "blue, red"),
        (replace(COLOURS, multiple=True), "1,7", "there is no option 7"),
        (replace(COLOURS, options=(("30", ""), ("60", ""))), "30", "30"),
        (replace(COLOURS, options=()), "7", "7"),
    ],
)
def test_a_number_that_no_option_has_is_no_answer(item: ChoiceItem, typed: str, meant: str) -> None:
    """S5.15: what was meant is asked again, before the agent is told."""
    if meant.startswith(("there is", "only one")):
        with pytest.raises(Refused, match=f"^Which\\?: {re.escape(meant)}"):
            read_choice(item, typed)
    else:
        assert read_choice(item, typed) == meant


async def test_the_bullpen_is_found_by_its_state_directory(bullpen: Open, tmp_path: Path) -> None:
    common = Common(state=tmp_path / "state")
    with pytest.raises(NotReached, match="no bullpen runs over"):
        await finding.find_socket(common)
    async with bullpen() as home:
        assert await finding.find_socket(common) == home.folder / SOCKET
        with pytest.raises(NotReached, match=r"in rehearsal over .*`bullpen serve --rehearsal`"):
            await finding.find_socket(Common(state=tmp_path / "state", rehearsal=True))
        above = home.folder.rename(tmp_path / "rehearsal")
        assert await finding.find_socket(Common(state=tmp_path)) == above / SOCKET
        above.rename(home.folder)
    with pytest.raises(Refused, match="BULLPEN_TOKEN"):
        async with finding.reach(finding.Where(Common(), "http://127.0.0.1:1")):
            pass


def commands() -> dict[str, Any]:
    """Every command and what it is, groups opened."""
    found: dict[str, Any] = {}
    group = typer.main.get_command(app)
    for name, each in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(each, "commands"):
            found |= {f"{name} {inner}": one for inner, one in each.commands.items()}
        else:
            found[name] = each
    return found


def _name_in(usage: str) -> str:
    """`token new [--user U]` → `token new`."""
    return " ".join(word for word in usage.split("[")[0].split() if word.islower())


def test_every_command_and_option_is_on_the_page_and_no_other() -> None:
    sections = dict(re.findall(r"^\| `bullpen ([^`]*)` \|(.*)\|$", PAGE, re.MULTILINE))
    written = {_name_in(usage) for usage in sections}
    assert written - {""} == {*commands()}
    common = {"--templates", "--config", "--state", "--rehearsal", "--real", "--help", "--url", "--token", "--json"}
    for usage, words in sections.items():
        name = _name_in(usage)
        if not name:
            continue
        options = {flag for one in commands()[name].params for flag in (*one.opts, *one.secondary_opts) if "--" in flag}
        shown = set(re.findall(r"--[a-z][a-z-]*", usage + words))
        assert options - common <= shown, f"{name}: not on the page: {options - common - shown}"
        assert shown <= options | common, f"{name}: not there: {shown - options}"


def test_help_says_in_one_short_sentence_what_each_command_does() -> None:
    for name, each in commands().items():
        line = each.get_short_help_str(100)
        assert line, name
        assert "..." not in each.get_short_help_str(66), f"{name}: {line}"
    help_text = typer.testing.CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    listed = help_text.partition("Open it:")[2]
    assert "..." not in listed
    assert sorted(re.findall(r"^  ([a-z]+) ", listed.partition("Examples:")[0], re.M)) == sorted(
        {name.split()[0] for name in commands()}
    )


def test_every_command_has_examples_that_can_be_typed() -> None:
    assert {*EXAMPLES} == {"", *commands()}
    for name, lines in EXAMPLES.items():
        for line in lines:
            typed = line[line.index("bullpen") + len("bullpen") :].strip(" )")
            words = shlex.split(typed.partition(" <")[0])
            if name:
                assert words[: len(name.split())] == name.split(), line
                commands()[name].make_context(name, words[len(name.split()) :])
    shown = typer.testing.CliRunner().invoke(app, ["ask", "--help"], env={"COLUMNS": "80"}).output
    assert all(f"\n    {line}\n" in shown for line in EXAMPLES["ask"])


def test_help_of_every_command_fits_80_columns_and_spells_its_arguments_as_they_are_typed() -> None:
    for name in ("", *commands()):
        text = typer.testing.CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80"}).output
        assert text.startswith("Usage:")
        assert max(map(len, text.splitlines())) <= 80, name
        assert "[[" not in text, name
        assert "......" not in text, name


def test_exit_codes_are_on_the_page_and_no_other() -> None:
    codes = {name: code for name, code in vars(exit_codes).items() if name.isupper()}
    signals = {name for name, code in codes.items() if code >= exit_codes.SIGNAL}
    written = set(re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))
    assert written == {str(code) for name, code in codes.items() if name not in signals}
    assert re.search(r"^\| 128 \+ n \|", PAGE, re.MULTILINE)


def test_no_other_exit_code_is_written_in_the_command_line() -> None:
    for path in (Path(__file__).parents[2] / "tui/cli").rglob("*.py"):
        found = re.findall(
            r"(?:typer\.Exit|return_code=|SystemExit)\(?\s*\d+|^\s+return \d+$", path.read_text("utf-8"), re.M
        )
        assert not [one for one in found if not one.strip().endswith(" 0")], f"{path.name}: {found}"
