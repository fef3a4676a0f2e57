"""Whatever functions do, and however many of all users are called at once: each call is a result of its own."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import types

from supervisor.api.tools import MARK, Declared, RunContext
from supervisor.config.tool_functions import FunctionTool, _read_plain
from supervisor.tools.functions import Functions
from tests.waiting import until

ERRORS: dict[str, type[BaseException]] = {
    one.__name__: one
    for one in (ValueError, SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit, asyncio.CancelledError)
}
_RELEASE = threading.Event()


async def _do(context: RunContext, does: str) -> str:
    if does == "hang":
        await asyncio.sleep(600)
    return _say(context, does)


def _say(context: RunContext, does: str) -> str:
    if does in ERRORS:
        raise ERRORS[does]("bad luck")
    return f"{context.user} {context.session} {context.turn}"


async def later(context: RunContext, does: str) -> str:
    return await _do(context, does)


def at_once(context: RunContext, does: str) -> str:
    if does == "hang":
        _RELEASE.wait(60)
    return _say(context, does)


def made(context: RunContext, does: str) -> object:
    return _do(context, does)


FUNCTIONS: tuple[Callable[..., Any], ...] = (later, at_once, made)
QUICK, PATIENT = 0.2, 600.0
"""Seconds of time-out of those that are to hang, and of all others: a busy machine lets none of these run into it."""


@dataclass(frozen=True)
class Plan:
    """Of one call."""

    user: str
    function: str
    does: str
    is_stopped: bool
    sends: str
    """What the model sends as the context."""


PLANS = st.builds(
    Plan,
    user=st.sampled_from(["ana", "ben", "cia"]),
    function=st.sampled_from([one.__name__ for one in FUNCTIONS]),
    does=st.sampled_from(["say", "say", "hang", *ERRORS]),
    is_stopped=st.booleans(),
    sends=st.sampled_from(["", "ana", "ben"]),
)


@given(st.lists(PLANS, min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_every_call_is_a_result_of_its_own(plans: list[Plan]) -> None:
    """S3.6"""
    _RELEASE.clear()
    with tempfile.TemporaryDirectory(prefix="bullpen-any-tools-") as folder:
        anyio.run(_run, plans, Path(folder))


async def _run(plans: list[Plan], folder: Path) -> None:
    places = anyio.CapacityLimiter(len(plans))
    source = Functions([_read(one, timeout) for one in FUNCTIONS for timeout in (QUICK, PATIENT)], places)
    results: dict[int, types.CallToolResult] = {}
    scopes = [anyio.CancelScope() for _ in plans]

    async def call(number: int) -> None:
        plan = plans[number]
        context = RunContext("desk", plan.user, f"s{number}", f"t{number}", folder / plan.user)
        sent = {"context": {"user": plan.sends}} if plan.sends else {}
        with scopes[number]:
            name = _name(plan.function, QUICK if plan.does == "hang" else PATIENT)
            results[number] = await source.call_tool(name, {"does": plan.does, **sent}, lambda: context)

    async with anyio.create_task_group() as group:
        for number in range(len(plans)):
            group.start_soon(call, number)
        await anyio.wait_all_tasks_blocked()
        for plan, scope in zip(plans, scopes, strict=True):
            if plan.is_stopped:
                scope.cancel()
    for number, plan in enumerate(plans):
        if (result := results.get(number)) is None:
            assert plan.is_stopped, "every other call has come to an end"
            continue
        (block,) = result.content
        assert isinstance(block, types.TextContent)
        assert result.isError == (plan.does != "say")
        if not result.isError:
            assert block.text == f"{plan.user} s{number} t{number}", "whose call it is, whatever the model sends"
    _RELEASE.set()
    await until(lambda: not places.borrowed_tokens)


def _read(function: Callable[..., Any], timeout: float) -> FunctionTool:
    setattr(function, MARK, Declared(name=_name(function.__name__, timeout), timeout=timeout))
    return _read_plain(f"m:{function.__name__}", function, "1")


def _name(function: str, timeout: float) -> str:
    return f"{function}_{timeout:.0f}"
