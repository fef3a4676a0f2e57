"""What a process says reaches its connection in order and in few steps, and the SDK only what it waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from claude_agent_sdk import ClaudeAgentOptions

from supervisor.api.errors import ClientDied
from supervisor.claude.arrivals import MOST, Arrivals, Pieces
from supervisor.claude.last_words import LastWords
from supervisor.claude.messages import Translator
from supervisor.claude.sdk_connection import SdkConnection
from supervisor.claude.transport import QuietTransport
from supervisor.process.reports import ClientEvent

pytestmark = pytest.mark.anyio

Message = dict[str, Any]


async def take(arrivals: Arrivals, into: list[list[Message]] | None = None) -> list[list[Message]]:
    """What is read in each step, until there is no more."""
    taken = [] if into is None else into
    with anyio.fail_after(5):
        await arrivals.read(taken.append)
    return taken


async def test_all_that_has_come_is_read_in_one_step_and_in_order() -> None:
    arrivals = Arrivals()
    for number in range(3):
        assert arrivals.put({"number": number})
    arrivals.close()
    assert await take(arrivals) == [[{"number": 0}, {"number": 1}, {"number": 2}]]


async def test_what_was_said_before_an_end_is_read_before_it_and_the_end_stays() -> None:
    arrivals = Arrivals()
    arrivals.put({"last": "words"})
    arrivals.close(OSError("gone"))
    arrivals.close()
    taken: list[list[Message]] = []
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await take(arrivals, taken)
    assert taken == [[{"last": "words"}]]


async def test_what_is_handed_over_is_read_at_once_and_an_end_hands_over_the_rest() -> None:
    """In the step that read the pipe: no turn of the loop is needed."""
    arrivals = Arrivals()
    taken: list[list[Message]] = []
    async with anyio.create_task_group() as group:
        group.start_soon(take, arrivals, taken)
        await anyio.wait_all_tasks_blocked()
        arrivals.put({"a": 1})
        arrivals.put({"b": 2})
        assert taken == []
        arrivals.hand_over()
        arrivals.hand_over()
        assert taken == [[{"a": 1}, {"b": 2}]]
        arrivals.put({"c": 3})
        arrivals.close()
        assert taken == [[{"a": 1}, {"b": 2}], [{"c": 3}]]


async def test_a_mistake_of_the_reader_is_raised_to_it_and_to_no_other_and_it_reads_no_more() -> None:
    arrivals = Arrivals()
    taken: list[list[Message]] = []

    def read(messages: list[Message]) -> None:
        taken.append(messages)
        raise ValueError("a mistake")

    async def wait() -> None:
        with pytest.raises(ValueError, match="a mistake"):
            await arrivals.read(read)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            arrivals.put({"a": 1})
            arrivals.hand_over()
            arrivals.put({"b": 2})
            arrivals.hand_over()
            arrivals.close(OSError("later"))
    assert taken == [[{"a": 1}]]


async def test_a_reader_that_has_left_reads_no_more() -> None:
    arrivals = Arrivals()
    taken: list[list[Message]] = []
    async with anyio.create_task_group() as group:
        group.start_soon(take, arrivals, taken)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    arrivals.put({})
    arrivals.close()
    assert taken == []


async def test_a_pipe_that_nobody_reads_is_not_read_on_for_ever() -> None:
    arrivals, put = Arrivals(), 0
    taken: list[list[Message]] = []

    async def pump() -> None:
        nonlocal put
        for _ in range(3 * MOST):
            if not arrivals.put({}):
                await arrivals.wait_for_room()
            put += 1

    async with anyio.create_task_group() as group:
        group.start_soon(pump)
        await anyio.wait_all_tasks_blocked()
        assert put == MOST - 1
        group.start_soon(take, arrivals, taken)
        await anyio.wait_all_tasks_blocked()
        assert put == 3 * MOST
        assert [len(messages) for messages in taken] == [MOST] * 3
        group.cancel_scope.cancel()


async def test_all_messages_of_a_piece_of_output_are_handed_over_before_the_next_is_waited_for() -> None:
    steps: list[str] = []

    async def come() -> AsyncIterator[str]:
        for piece in ("first", "second"):
            steps.append(f"read {piece}")
            yield piece

    async for piece in Pieces(come(), lambda: steps.append("hand over")):
        steps.append(f"took {piece}")
    assert steps == [
        *("hand over", "read first", "took first"),
        *("hand over", "read second", "took second"),
        "hand over",
    ]


async def divide(*messages: Message, is_connected: bool = True) -> tuple[list[Message], list[Message]]:
    """What the SDK is given of them, and the connection."""
    transport = QuietTransport(ClaudeAgentOptions(), lambda _: None)
    transport.is_connected = is_connected

    async def come() -> AsyncIterator[Message]:
        for message in messages:
            yield message

    given = [one async for one in transport._divide(come())]
    return given, [message for step in await take(transport.arrivals) for message in step]


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
    taken: list[list[Message]] = []
    with pytest.raises(OSError, match="broken"):
        await take(transport.arrivals, taken)
    assert taken == [[{"type": "system"}]]


@pytest.mark.parametrize(
    ("of_reader", "of_pipe", "raised"),
    [
        (ValueError("a mistake"), None, "a mistake"),
        (None, ClientDied("too deep"), "too deep"),
        (None, OSError("broken"), "OSError: broken"),
    ],
)
async def test_what_a_listener_raises_is_its_mistake_and_no_death_of_the_process(
    of_reader: Exception | None, of_pipe: Exception | None, raised: str
) -> None:
    connection = SdkConnection.__new__(SdkConnection)
    arrivals, translator = Arrivals(), Translator(Path())
    connection._arrivals, connection._translator = arrivals, translator
    connection._last_words = LastWords()

    def hear(event: ClientEvent) -> None:
        if of_reader is not None:
            raise of_reader

    arrivals.put({"type": "system", "subtype": "session_state_changed", "state": "idle"})
    arrivals.close(of_pipe)
    with anyio.fail_after(5), pytest.raises(ValueError if of_reader else ClientDied, match=raised):
        await connection.listen(hear)
