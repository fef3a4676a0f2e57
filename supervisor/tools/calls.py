"""Runs one call of a function: in its time, off the loop where it blocks, and whatever it does it is a result.

Everything of the function runs where an exit, or another exception that ends programs, is one of the function: its
arguments' validators, what it returns, and the words of its errors too.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import types

from supervisor.api.tools import RunContext
from supervisor.config.durations import spell_duration
from supervisor.config.tool_functions import FunctionTool
from supervisor.files.private import make_private_dir
from supervisor.text.cleaning import clean, one_line
from supervisor.tools.results import as_error, as_result, as_sdk_result, say
from supervisor.tools.threads import run_blocking

LEAVES_WITHIN = 2.0
"""Seconds that a coroutine that was cancelled may take; then it is left alone."""
SHORT = 10_000
"""Characters of a text that is told in no time."""

_log = logging.getLogger(__name__)


async def run_call(
    tool: FunctionTool, context: RunContext, arguments: Mapping[str, Any], places: anyio.CapacityLimiter
) -> types.CallToolResult:
    """Never raises but for a cancel. `places` limit how many blocking functions run at once."""
    try:
        given = tool.validate(arguments)
    except ValueError as error:
        return as_error(f"{tool.name} was not called: {_tell_invalid(error)}")
    except BaseException as error:
        return as_error(f"{tool.name} was not called, its arguments could not be looked at: {say(error)}")
    began = asyncio.Event()
    work = asyncio.create_task(_work(tool, context, given, places, began), name=f"tool {tool.name}")
    try:
        done, _ = await asyncio.wait({work}, timeout=tool.declared.timeout)
    except asyncio.CancelledError:
        await _leave(work, tool)
        raise
    if not done:
        await _leave(work, tool)
        limit = spell_duration(tool.declared.timeout)
        if not began.is_set():
            _log.warning("tool %s was not called: %g blocking functions have not ended", tool.name, places.total_tokens)
            return as_error(f"{tool.name} was not called: too many blocking functions ran all the time of {limit}")
        return as_error(f"{tool.name} did not end within {limit}, its time-out; what it has done so far stays done")
    if work.cancelled():
        return as_error(f"{tool.name} was cancelled from within")
    if (failure := work.exception()) is not None:
        _log.warning("tool %s failed in %s/%s", tool.name, context.instance, context.session, exc_info=failure)
        return as_error(f"{tool.name} failed: {say(failure)}")
    return work.result()


async def _work(
    tool: FunctionTool,
    context: RunContext,
    given: dict[str, Any],
    places: anyio.CapacityLimiter,
    began: asyncio.Event,
) -> types.CallToolResult:
    """Sets `began` when the function is called."""
    _make_folder(context.folder)
    try:
        if tool.is_async:
            began.set()
            value: Any = tool.call(context, given)
        else:
            value = await run_blocking(partial(_call_and_tell, tool, context, given), places, tool.name, began.set)
            if isinstance(value, types.CallToolResult):
                return value
        return await _tell_beside(tool, await value)
    except (SystemExit, KeyboardInterrupt) as error:
        # Of a task they would end the loop.
        raise RuntimeError(say(error)) from error


def _call_and_tell(tool: FunctionTool, context: RunContext, given: dict[str, Any]) -> Any:
    """The result, or what has to be awaited for it. Blocking."""
    value = tool.call(context, given)
    return value if inspect.isawaitable(value) else _tell(tool, value)


async def _tell_beside(tool: FunctionTool, value: object) -> types.CallToolResult:
    """The value as a result of the tool. Large values, and those with code of their own, are written in a thread,
    because they take their time."""
    if value is None or (type(value) is str and len(value) < SHORT):
        return _tell(tool, value)
    result: types.CallToolResult = await run_blocking(partial(_tell, tool, value), anyio.CapacityLimiter(1), tool.name)
    return result


def _tell(tool: FunctionTool, value: object) -> types.CallToolResult:
    return (as_sdk_result if tool.is_of_sdk else as_result)(tool.name, value)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        make_private_dir(folder)


async def _leave(work: asyncio.Task[Any], tool: FunctionTool) -> None:
    work.cancel()
    work.add_done_callback(_look_at)
    with anyio.CancelScope(shield=True):
        await asyncio.wait({work}, timeout=LEAVES_WITHIN)
    if not work.done():
        _log.warning("tool %s does not end when it is cancelled: it is left alone", tool.name)


def _look_at(work: asyncio.Task[Any]) -> None:
    """So that asyncio does not complain of an exception that nothing asked for."""
    if not work.cancelled():
        work.exception()


def _tell_invalid(error: ValueError) -> str:
    errors: Callable[[], list[dict[str, Any]]] | None = getattr(error, "errors", None)
    if errors is None:
        return one_line(clean(str(error)), 500)
    told = []
    for one in errors()[:10]:
        way = ".".join(str(part) for part in one["loc"])
        is_unknown = one["type"] == "extra_forbidden"
        told.append(f"{way} is no argument of it" if is_unknown else f"{way}: {one['msg']}")
    return one_line(clean("; ".join(told)), 1_000)
