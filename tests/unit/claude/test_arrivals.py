"""What a process says reaches its connection in order and in few steps, and the SDK only what it waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from claude_agent_sdk import ClaudeAgentOptions

from supervisor.claude.arrivals import MOST, Arrivals
from supervisor.claude.transport import QuietTransport

pytestmark = pytest.mark.anyio

Message = dict[str, Any]


async def test_all_that_has_come_is_taken_in_one_step_and_in_order() -> None:
    arrivals = Arrivals()
    for number in range(3):
        assert arrivals.put({"number": number})
    assert [one["number"] for one in await arrivals.take()] == [0, 1, 2]


async def test_what_was_said_before_an_end_is_taken_before_it_and_the_end_stays() -> None:
    arrivals = Arrivals()
    arrivals.put({"last": "words"})
    arrivals.close(OSError("gone"))
    arrivals.close()
    assert await arrivals.take() == [{"last": "words"}]
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await arrivals.take()


async def test_a_reader_that_waits_is_woken_by_a_message_and_by_the_end() -> None:
    arrivals = Arrivals()
    taken: list[list[Message]] = []

    async def read() -> None:
        while found := await arrivals.take():
            taken.append(found)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            arrivals.put({})
            await anyio.wait_all_tasks_blocked()
            arrivals.close()
    assert taken == [[{}]]


async def test_a_pipe_that_nobody_reads_is_not_read_on_for_ever() -> None:
    arrivals, read = Arrivals(), 0

    async def pump() -> None:
        nonlocal read
        for _ in range(3 * MOST):
            if not arrivals.put({}):
                await arrivals.wait_for_room()
            read += 1

    async with anyio.create_task_group() as group:
        group.start_soon(pump)
        await anyio.wait_all_tasks_blocked()
        assert read == MOST - 1
        assert len(await arrivals.take()) == MOST
        await anyio.wait_all_tasks_blocked()
        assert read == 2 * MOST - 1
        group.cancel_scope.cancel()


async def divide(*messages: Message, is_connected: bool = True) -> tuple[list[Message], list[Message]]:
    """What the SDK is given of them, and the connection."""
    transport = QuietTransport(ClaudeAgentOptions(), lambda _: None)
    transport.is_connected = is_connected

    async def come() -> AsyncIterator[Message]:
        for message in messages:
            yield message

    given = [one async for one in transport._divide(come())]
    return given, await transport.arrivals.take()


async def test_the_sdk_is_given_what_it_answers_and_waits_for_and_the_connection_the_rest() -> None:
    control = [{"type": kind} for kind in ("control_response", "control_request", "control_cancel_request")]
    rest: list[Message] = [{"type": kind} for kind in ("stream_event", "assistant", "result", "system", "new")]
    assert await divide(*control, {"type": "command_lifecycle"}, *rest) == (control, rest)


async def test_an_error_that_is_told_while_it_connects_is_for_the_sdk_too() -> None:
    refused = {"type": "result", "is_error": True}
    assert await divide(refused, is_connected=False) == ([refused], [refused])


async def test_the_state_that_is_told_to_the_sdk_alone_is_not_heard_twice() -> None:
    state = {"type": "system", "subtype": "session_state_changed", "state": "idle"}
    assert await divide(state, {**state, "sdk_host_only": True}) == ([], [state])


async def test_a_pipe_that_breaks_ends_both() -> None:
    transport = QuietTransport(ClaudeAgentOptions(), lambda _: None)

    async def come() -> AsyncIterator[Message]:
        yield {"type": "system"}
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        _ = [one async for one in transport._divide(come())]
    assert await transport.arrivals.take() == [{"type": "system"}]
    with pytest.raises(OSError, match="broken"):
        await transport.arrivals.take()
