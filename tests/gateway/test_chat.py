"""`bullpen chat` over the socket of a running bullpen, with a person who types what the test says."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervisor import Allow, InvalidPrompt, Prompt, Refused, RemoteEngine, SessionKey
from supervisor.files.socket_path import SOCKET
from supervisor.gateway.tokens import Role
from supervisor.permissions.requests import ToolRequest
from supervisor.testing import FakeConnection, FakeWorld
from tests.gateway.conftest import Bullpen, MakeTemplate, Open
from tests.waiting import until
from tui.cli.chat import chat as chat_module
from tui.cli.chat.lines import PlainLines
from tui.cli.chat.opening import Talk, chat_there, choose
from tui.cli.exit_codes import DONE, FAILED
from tui.cli.signals import SIGNALS

pytestmark = pytest.mark.anyio

KEY = SessionKey("desk", "ana", "default")
ANA = Talk("desk", "ana")


class Person:
    """`Lines` of a test: messages and answers come when the test gives them."""

    def __init__(self, *messages: str, is_attended: bool = True) -> None:
        self.is_attended = is_attended
        self.recalled: list[str] = []
        self.prompts: list[str] = []
        """Of questions that are being put."""
        self.drafts: list[str] = []
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        for text in messages:
            self.say(text)
        if not is_attended:
            self.leave()

    def say(self, text: str) -> None:
        self._messages.put_nowait(text)

    def leave(self) -> None:
        self._messages.put_nowait(None)

    def reply(self, text: str) -> None:
        self._answers.put_nowait(text)

    def recall(self, earlier: Iterable[str]) -> None:
        self.recalled += earlier

    async def message(self, prompt: str, draft: str = "") -> str | None:
        self.drafts.append(draft)
        return await self._messages.get()

    async def answer(self, prompt: str) -> str:
        self.prompts.append(prompt)
        try:
            return await self._answers.get()
        finally:
            self.prompts.remove(prompt)

    async def above(self, show: Callable[[], Awaitable[object]]) -> None:
        await show()


class Chatting:
    """A chat that runs, and what it has printed."""

    def __init__(self, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
        self.person = person
        self.code: int | None = None
        self.out = self.err = ""
        self._capsys = capsys

    def says(self, text: str) -> bool:
        told = self._capsys.readouterr()
        self.out += told.out
        self.err += told.err
        return text in self.out + self.err

    async def sees(self, text: str) -> None:
        try:
            await until(lambda: self.says(text))
        except TimeoutError:
            raise AssertionError(f"no {text!r} in:\n{self.out}\n{self.err}") from None

    async def ends(self) -> int:
        await until(lambda: self.code is not None)
        self.says("")
        assert self.code is not None
        return self.code


Begin = Callable[..., Any]


@pytest.fixture
def chatting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Begin:
    @asynccontextmanager
    async def begin(home: Bullpen, person: Person, talk: Talk = ANA, **token: str) -> AsyncIterator[Chatting]:
        monkeypatch.setattr("tui.cli.chat.opening.open_lines", lambda: person)
        monkeypatch.setattr(chat_module, "FIRST_LOOK", 0.01)
        monkeypatch.setattr(chat_module, "LOOKS", 0.01)
        monkeypatch.setattr(chat_module, "UNREACHABLE_LOOKS", 0.01)
        monkeypatch.setattr(chat_module, "END_SHOWN_WITHIN", 0.3)
        running = Chatting(person, capsys)
        url = {"url": home.door.url, **token} if token else {"socket": home.folder / SOCKET}
        async with RemoteEngine(**url) as engine, anyio.create_task_group() as group:  # type: ignore[arg-type]

            async def run() -> None:
                running.code = await chat_there(talk, engine)

            group.start_soon(run)
            yield running
            if running.code is None:
                person.leave()
                with anyio.move_on_after(2):
                    await until(lambda: running.code is not None)
            group.cancel_scope.cancel()

    return begin


def hold(connection: FakeConnection, text: str) -> None:
    """The fake answers when the test says so."""


async def test_messages_go_to_one_session_and_the_way_back_is_told(
    bullpen: Open, world: FakeWorld, chatting: Begin
) -> None:
    async with bullpen() as home, chatting(home, Person("hello", "  ", "/help", "more")) as chat:
        await chat.sees("You said: more")
        chat.person.leave()
        assert await chat.ends() == DONE
        assert chat.out == "You said: hello\nYou said: more\n"
        assert "a new conversation" in chat.err
        assert "begin a new line" in chat.err
        assert "to come back: bullpen chat desk --user ana --session default" in chat.err
        assert [str(row.key) for row in (await home.supervisor.snapshot()).sessions] == [str(KEY)]


async def test_who_comes_back_sees_the_last_exchange_and_recalls_what_was_said(
    bullpen: Open, world: FakeWorld, chatting: Begin
) -> None:
    async with bullpen() as home:
        for text in ("first", "second"):
            await (await home.supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
        async with chatting(home, Person(), Talk("desk/ana/default")) as chat:
            await chat.sees("You said: second")
            assert "You said: first" not in chat.out
            assert "2 turns so far" in chat.err
            assert chat.person.recalled == ["first", "second"]


async def test_a_turn_that_waits_says_why_and_where_it_stands(bullpen: Open, world: FakeWorld, chatting: Begin) -> None:
    world.on_prompt = hold
    async with bullpen() as home:
        await home.supervisor.submit(Prompt("desk", "long", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        async with chatting(home, Person("mine")) as chat:
            await chat.sees("waits (session-busy): an earlier turn of this session runs")
            world.connections[0].reply("of the other")
            await until(lambda: len(world.connections[0].prompts) == 2)
            world.connections[0].reply("of mine")
            await chat.sees("of mine")
            assert chat.out == "of the other\nof mine\n", "what others say in it is seen too"


def asking_first(group: anyio.abc.TaskGroup, verdicts: list[object]) -> Callable[[FakeConnection, str], None]:
    def ask_first(connection: FakeConnection, text: str) -> None:
        async def put() -> None:
            verdicts.append(await connection.ask(ToolRequest("Bash", {"command": "ls"})))
            connection.reply("done")

        group.start_soon(put)

    return ask_first


async def test_a_question_is_put_in_the_chat_and_denied_with_a_reason(
    bullpen: Open, world: FakeWorld, chatting: Begin
) -> None:
    verdicts: list[Any] = []
    async with anyio.create_task_group() as group, bullpen() as home, chatting(home, Person("go")) as chat:
        world.on_prompt = asking_first(group, verdicts)
        await chat.sees("May Bash run?")
        chat.person.reply("what?")
        chat.person.reply("d not on a Friday")
        await until(lambda: verdicts)
        assert "not on a Friday" in str(verdicts[0])
        await chat.sees("done")


async def test_a_question_that_another_answers_is_taken_back(bullpen: Open, world: FakeWorld, chatting: Begin) -> None:
    verdicts: list[Any] = []
    async with anyio.create_task_group() as group, bullpen() as home, chatting(home, Person("go")) as chat:
        world.on_prompt = asking_first(group, verdicts)
        await until(lambda: chat.person.prompts)
        (question,) = (await home.supervisor.snapshot()).questions
        await home.supervisor.answer(question.id, Allow(), by="ben")
        await until(lambda: not chat.person.prompts)
        await chat.sees("approved by ben")
        await chat.sees("done")


async def test_ctrl_c_stops_the_turn_and_a_second_one_leaves(bullpen: Open, world: FakeWorld, chatting: Begin) -> None:
    world.on_prompt = hold
    async with bullpen() as home, chatting(home, Person("long")) as chat:
        await until(lambda: world.connections and world.connections[0].prompts)
        assert SIGNALS._on_interrupt is not None
        SIGNALS._on_interrupt()
        await chat.sees("stopped")
        await until(lambda: len(chat.person.drafts) == 2)
        assert SIGNALS._on_interrupt is None, "while a message is written it is a key"
        chat.person.say("again")
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 2)
        assert SIGNALS._on_interrupt is not None
        SIGNALS._on_interrupt()
        SIGNALS._on_interrupt()
        assert await chat.ends() == 130
        assert "to come back" in chat.err


async def test_a_refused_message_comes_back_as_the_draft(bullpen: Open, world: FakeWorld, chatting: Begin) -> None:
    async with bullpen() as home, chatting(home, Person()) as chat:
        await home.supervisor.drain("desk")
        chat.person.say("hello")
        await until(lambda: len(chat.person.drafts) == 2)
        assert chat.person.drafts[1] == "hello"
        assert chat.says("drain")


async def test_a_session_that_is_closed_in_between_begins_anew(
    bullpen: Open, world: FakeWorld, chatting: Begin
) -> None:
    async with bullpen() as home, chatting(home, Person("one")) as chat:
        await chat.sees("You said: one")
        await until(lambda: len(chat.person.drafts) == 2)
        await home.supervisor.close_session(KEY)
        await until(lambda: home.supervisor.view.session_row(KEY) is None)
        for text in ("two", "three"):
            chat.person.say(text)
            await until(lambda text=text: chat.says(f"You said: {text}"), within=10)
        assert chat.out.count("You said:") == 3


async def test_a_message_waits_for_a_bullpen_that_is_away(bullpen: Open, world: FakeWorld, chatting: Begin) -> None:
    async with bullpen() as home, chatting(home, Person("one")) as chat:
        await chat.sees("You said: one")
        away = home.folder / "away.sock"
        (home.folder / SOCKET).rename(away)
        home.door.hang_up()
        chat.person.say("two")
        await chat.sees("no bullpen answers")
        away.rename(home.folder / SOCKET)
        await chat.sees("You said: two")
        assert chat.out.count("You said:") == 2


async def test_lines_of_a_pipe_are_messages_until_one_is_not_done(
    bullpen: Open, world: FakeWorld, chatting: Begin
) -> None:
    def fail_second(connection: FakeConnection, text: str) -> None:
        if "two" in text:
            connection.fail(500)
        else:
            connection.reply(f"You said: {text}")

    world.on_prompt = fail_second
    async with bullpen() as home, chatting(home, Person("one", "two", "three", is_attended=False)) as chat:
        assert await chat.ends() == FAILED
        assert "three" not in chat.out
        assert chat.err.startswith("bullpen: desk failed")
    async with bullpen() as home, chatting(home, Person("one", "three", is_attended=False)) as chat:
        assert await chat.ends() == DONE
        assert chat.out == "You said: one\nYou said: three\n"


async def test_a_users_token_chats_in_its_own_session_and_names_its_agent(
    bullpen: Open, world: FakeWorld, chatting: Begin
) -> None:
    async with bullpen() as home:
        _, token = home.door.tokens.add(Role.USER, user="zoe")
        async with chatting(home, Person("hello"), Talk("desk"), token=token) as chat:
            await chat.sees("You said: hello")
            chat.person.leave()
            assert await chat.ends() == DONE
            assert "--user zoe" in chat.err
        with pytest.raises(Refused, match="say which agent"):
            async with RemoteEngine(url=home.door.url, token=token) as engine:
                await chat_there(Talk(), engine)


async def test_all_of_a_chat_with_a_tool_is_one_conversation(
    bullpen: Open, world: FakeWorld, chatting: Begin, make_template: MakeTemplate
) -> None:
    look = make_template("look", archetype="tool")
    async with bullpen(look) as home, chatting(home, Person("one", "two"), Talk(user="ana")) as chat:
        await chat.sees("You said: two")
        assert len(world.connections) == 1


async def test_an_agent_is_chosen_where_there_are_several() -> None:
    person = Person()
    person.reply("nobody")
    person.reply("2")
    assert (await choose(Talk(), ["admin", "desk"], person)).agent == "desk"
    with pytest.raises(Refused, match="admin, desk"):
        await choose(Talk(), ["admin", "desk"], Person(is_attended=False))
    assert (await choose(Talk(), ["desk"], person)).agent == "desk"


async def test_without_an_editor_a_line_that_was_given_up_is_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of a terminal cannot be taken back."""
    end, keyboard = os.pipe()
    with os.fdopen(end, encoding="utf-8") as stdin, os.fdopen(keyboard, "wb", buffering=0) as typed:
        monkeypatch.setattr(sys, "stdin", stdin)
        lines = PlainLines()
        with anyio.move_on_after(0.02) as given_up:
            await lines.answer("? ")
        assert given_up.cancelled_caught
        typed.write("hëllo\n".encode())
        assert await lines.message("> ") == "hëllo"
        typed.write(b"\xff\n")
        with pytest.raises(InvalidPrompt, match="not UTF-8"):
            await lines.message("> ")
        typed.close()
        assert await lines.message("> ") is None
