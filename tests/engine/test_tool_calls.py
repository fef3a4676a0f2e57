"""Calls of Python functions as tools: whatever a function does, its call is a result, and nothing else is held up."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import types
from pydantic import BaseModel, model_serializer

from supervisor.api.tools import MARK, Declared, RunContext
from supervisor.config.tool_functions import _read_plain
from supervisor.tools.calls import run_call
from supervisor.tools.functions import Functions
from supervisor.tools.results import MOST_CHARACTERS, as_sdk_result
from tests.waiting import until

pytestmark = pytest.mark.anyio

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(8)


class Room(BaseModel):
    number: int


class Caller:
    """Calls functions in the name of one user."""

    def __init__(self, folder: Path, places: int = 2) -> None:
        self.context = RunContext("desk", "ana", "default", "turn", folder / "ana")
        self.places = anyio.CapacityLimiter(places)

    async def call(self, function: Callable[..., Any], /, timeout: float = 10, **given: Any) -> types.CallToolResult:
        setattr(function, MARK, Declared(timeout=timeout))
        return await run_call(_read_plain("m:f", function, "1"), self.context, given, self.places)


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


def _words(result: types.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "text"),
        (None, "Done."),
        (True, "true"),
        (1.5, "1.5"),
        (math.nan, "null"),
        ({"a": [1]}, '{\n "a": [\n  1\n ]\n}'),
        (Room(number=3), '{\n "number": 3\n}'),
        ([Room(number=3)], '[\n {\n  "number": 3\n }\n]'),
        ("\ud800", "?"),
    ],
)
async def test_results_are_text_or_json(caller: Caller, value: object, words: str) -> None:
    """Typed results (S3.6)."""

    def give() -> object:
        return value

    result = await caller.call(give)
    assert _words(result) == words
    assert not result.isError


async def test_pictures_are_pictures_alone_and_beside_words(caller: Caller) -> None:
    def draw() -> list[object]:
        return ["Here:", PICTURE, types.TextContent(type="text", text="there")]

    result = await caller.call(draw)
    assert [one.type for one in result.content] == ["text", "image", "text"]
    assert isinstance(picture := result.content[1], types.ImageContent)
    assert (base64.b64decode(picture.data), picture.mimeType) == (PICTURE, "image/png")


@pytest.mark.parametrize(
    ("value", "name"), [(object(), "object"), (b"%PDF", "bytes"), ({1: object()}, "dict"), (threading.Lock(), "lock")]
)
async def test_what_cannot_be_told_is_an_error_that_names_it(caller: Caller, value: object, name: str) -> None:
    def give() -> object:
        return value

    result = await caller.call(give)
    assert result.isError
    assert f"give returned {'_thread.' if name == 'lock' else ''}{name}, which cannot be told to a model" in _words(
        result
    )


async def test_a_giant_result_is_an_error(caller: Caller) -> None:
    def give() -> str:
        return "x" * (MOST_CHARACTERS + 1)

    assert "a result holds 4,194,304 at most" in _words(await caller.call(give))


@pytest.mark.parametrize(
    "error", [ValueError("bad\nluck"), SystemExit(3), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_exception_is_an_error_result(caller: Caller, error: BaseException, is_async: bool) -> None:
    """Never the end of the client, of the loop or of this program (S3.6)."""

    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    result = await caller.call(fail_later if is_async else fail)
    assert result.isError
    assert "failed" in _words(result) or "was cancelled from within" in _words(result)
    if isinstance(error, ValueError):
        assert _words(result).endswith("failed: ValueError: bad luck")


class Wordless(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


class Late(str):
    def encode(self, *arguments: str) -> bytes:
        raise SystemExit(5)


class Nameless(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise SystemExit(6)


class Nothing(metaclass=Nameless):
    pass


async def exit_later() -> None:
    raise SystemExit(7)


def exit_when_asked() -> object:
    return exit_later()


def fail_without_words() -> None:
    raise Wordless


async def fail_without_words_later() -> None:
    raise Wordless


def give_late() -> str:
    return Late("x")


async def give_late_later() -> str:
    return Late("x")


def give_nothing() -> object:
    return Nothing()


def give_what_is_no_json() -> types.CallToolResult:
    return types.CallToolResult(content=[], structuredContent={"x": object()})


@pytest.mark.parametrize(
    "function",
    [
        exit_when_asked,
        fail_without_words,
        fail_without_words_later,
        give_late,
        give_late_later,
        give_nothing,
        give_what_is_no_json,
    ],
)
async def test_code_that_runs_when_a_result_is_told_ends_nothing_either(
    caller: Caller, function: Callable[..., Any]
) -> None:
    """An exit of what a function returns, or of its error's words, would end bullpen; what cannot be written, the
    connection (S3.6)."""
    assert (await caller.call(function)).isError


async def test_what_takes_long_to_be_told_is_told_beside_the_loop(caller: Caller) -> None:
    """The others' turns go on meanwhile (S3.6)."""
    threads: list[threading.Thread] = []

    class Slow(BaseModel):
        @model_serializer
        def write(self) -> str:
            threads.append(threading.current_thread())
            return "written"

    async def give_later() -> object:
        return Slow()

    def give() -> object:
        return Slow()

    assert [_words(await caller.call(one)) for one in (give_later, give)] == ['"written"'] * 2
    assert threading.main_thread() not in threads


async def test_arguments_that_do_not_fit_are_told_and_nothing_runs(caller: Caller) -> None:
    ran = []

    def reserve(room: int) -> None:
        ran.append(room)

    result = await caller.call(reserve, room="x", seats=1)
    assert result.isError
    assert "reserve was not called: room: " in _words(result)
    assert "seats is no argument of it" in _words(result)
    assert not ran


async def test_what_the_model_sends_as_the_context_changes_nothing(caller: Caller) -> None:
    """It cannot name another user, neither as the context nor as anything else (S3.6)."""

    def who(context: RunContext) -> str:
        return context.user

    assert _words(await caller.call(who, context={"user": "eve"})) == "ana"


async def test_a_context_that_is_returned_is_told_by_its_fields(caller: Caller) -> None:
    """S3.6: as anything else that has fields, also inside of something."""

    def who(context: RunContext) -> list[RunContext]:
        return [context]

    result = await caller.call(who)
    assert not result.isError
    (told,) = json.loads(_words(result))
    assert (told["user"], told["session"], told["folder"]) == ("ana", "default", str(caller.context.folder))


async def test_a_blocking_function_does_not_stall_the_loop(caller: Caller) -> None:
    """While it holds its thread, everything else goes on (S3.6)."""
    release = threading.Event()

    def block() -> str:
        release.wait(10)
        return "over"

    async with anyio.create_task_group() as group:
        results: list[types.CallToolResult] = []

        async def call() -> None:
            results.append(await caller.call(block))

        group.start_soon(call)
        await until(lambda: caller.places.borrowed_tokens == 1)
        release.set()
    assert _words(results[0]) == "over"


async def test_calls_that_never_end_keep_their_places_and_no_more(caller: Caller) -> None:
    """A thread cannot be stopped: blocking calls beyond the limit wait, and run into their own time-outs."""
    release = threading.Event()
    ran = []

    def block() -> None:
        ran.append(1)
        release.wait(30)

    first = [await caller.call(block, timeout=0.05) for _ in range(2)]
    assert all("did not end within" in _words(one) for one in first)
    told = _words(await caller.call(block, timeout=0.05))
    assert told == "block was not called: too many blocking functions ran all the time of 50ms"
    assert len(ran) == 2
    release.set()
    await until(lambda: caller.places.borrowed_tokens == 0)
    assert _words(await caller.call(block)) == "Done."


async def test_a_call_ends_with_its_time_out(caller: Caller) -> None:
    ended = []

    async def sleep() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(1)

    result = await caller.call(sleep, timeout=0.05)
    assert result.isError
    assert "sleep did not end within 50ms, its time-out" in _words(result)
    assert ended


async def test_a_call_that_is_cancelled_ends_its_function(caller: Caller) -> None:
    began, ended = asyncio.Event(), []

    async def sleep() -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(caller.call, sleep)
        await began.wait()
        group.cancel_scope.cancel()
    assert ended


async def test_a_function_that_refuses_to_be_cancelled_is_left_alone(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.tools.calls.LEAVES_WITHIN", 0.05)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    result = await caller.call(stubborn, timeout=0.05)
    assert "did not end within" in _words(result)
    release.set()


async def test_the_folder_of_the_user_is_there_and_private(caller: Caller) -> None:
    def keep(context: RunContext) -> str:
        (context.folder / "note").write_text("x")
        return oct(context.folder.stat().st_mode & 0o777)

    assert _words(await caller.call(keep)) == "0o700"


async def test_a_call_without_a_turn_is_refused(caller: Caller) -> None:
    def who(context: RunContext) -> str:
        return context.user

    source = Functions([_read_plain("m:who", who, "1")], caller.places)
    result = await source.call_tool("who", {}, lambda: None)
    assert "was not called: no turn of this session runs" in _words(result)
    assert "there is no tool whom; there are who" in _words(await source.call_tool("whom", {}, lambda: None))


async def test_what_a_tool_of_the_sdk_returns_is_taken_as_it_is() -> None:
    good = as_sdk_result("f", {"content": [{"type": "text", "text": "hi"}], "is_error": True})
    assert (_words(good), good.isError) == ("hi", True)
    assert "and no mapping with a list as content" in _words(as_sdk_result("f", "hi"))
    assert "content that MCP does not have" in _words(as_sdk_result("f", {"content": [{"type": "smell"}]}))


async def test_calls_of_many_run_at_once(caller: Caller) -> None:
    """One function, registered once, for all sessions (S3.6)."""
    running, all_run = 0, anyio.Event()

    async def wait_for_all() -> None:
        nonlocal running
        running += 1
        if running == 50:
            all_run.set()
        await all_run.wait()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(caller.call, wait_for_all)
    assert running == 50
