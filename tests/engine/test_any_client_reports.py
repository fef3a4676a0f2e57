"""Whatever lines one client writes, in whatever order: the engine lives, others are answered, and a drain ends."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from supervisor.api.outcomes import Done, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.unit.claude.test_messages import KEYS, TYPES, odd
from tests.unit.test_bounds import leaves
from tests.waiting import until

OURS = "OURS"
"""Stands for the id of the prompt whose turn runs."""

USAGE = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
RESULTS: tuple[dict[str, Any], ...] = (
    {"user_message_uuids": [OURS]},
    {"user_message_uuids": ["another", OURS]},
    {"user_message_uuids": []},
    {},
    {"user_message_uuids": [OURS], "api_error_status": 400},
    {"user_message_uuids": [OURS], "terminal_reason": "aborted_streaming"},
)
SOUND: tuple[dict[str, Any], ...] = (
    {"type": "system", "subtype": "session_state_changed", "state": "running"},
    {"type": "system", "subtype": "session_state_changed", "state": "idle"},
    {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 1,
        "max_retries": 3,
        "retry_delay_ms": 10,
        "error_status": 500,
    },
    {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"pre_tokens": 5, "post_tokens": 1}},
    {"type": "system", "subtype": "status", "status": "requesting", "user_message_uuids": [OURS]},
    {"type": "system", "subtype": "task_updated", "task_id": "t", "patch": {}},
    {"type": "stream_event", "event": {"type": "message_start"}, "uuid": "u", "session_id": "s"},
    {
        "type": "stream_event",
        "event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
        "uuid": "u",
        "session_id": "s",
    },
    {"type": "assistant", "message": {"model": "m", "content": [{"type": "text", "text": "a"}], "usage": USAGE}},
    {
        "type": "assistant",
        "message": {
            "model": "m",
            "content": [{"type": "tool_use", "id": "c", "name": "Bash", "input": {"command": "x"}}],
        },
    },
    {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "c", "content": "x"}]}},
    {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}, "uuid": "u", "session_id": "s"},
    *(
        {
            "type": "result",
            "subtype": "success",
            "duration_ms": 1,
            "duration_api_ms": 1,
            "is_error": is_error,
            "num_turns": 1,
            "session_id": "s",
            "result": "fine",
            "total_cost_usd": 0.1,
            "usage": USAGE,
            "modelUsage": {"m": {"contextWindow": 1000}},
            **more,
        }
        for is_error in (False, True)
        for more in RESULTS
    ),
)
"""Lines as they may be, each in the place of another."""


def bent(line: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """That line with values of some keys missing, exchanged or added."""
    changed = st.dictionaries(st.sampled_from((*line, *KEYS)), odd, max_size=2)
    missing = st.sets(st.sampled_from((*line,)), max_size=1)
    return st.builds(
        lambda more, gone: {key: value for key, value in {**line, **more}.items() if key not in gone or key == "type"},
        changed,
        missing,
    )


def lines() -> st.SearchStrategy[list[Any]]:
    sound = st.sampled_from(SOUND)
    wild = st.fixed_dictionaries({"type": st.sampled_from(TYPES) | leaves}, optional=dict.fromkeys(KEYS[1:], odd))
    return st.lists(sound | sound.flatmap(bent) | wild, max_size=12)


def placed(value: Any, uuid: str) -> Any:
    match value:
        case dict():
            return {key: placed(one, uuid) for key, one in value.items()}
        case list():
            return [placed(one, uuid) for one in value]
        case _:
            return uuid if value == OURS else value


@pytest.mark.slow
@given(lines())
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_whatever_one_client_writes_others_are_answered_and_a_drain_ends(words: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(_play, Path(folder), words)


async def _play(folder: Path, words: list[Any]) -> None:
    world = FakeWorld(on_prompt=hold)
    keys = {"concurrency": {"maxSessions": 2}, "pool": {"spares": 0}, "path": folder / "desk.md"}
    template = Template.model_validate({"name": "desk", "description": "d", **keys})
    async with Supervisor([template], Settings(state_dir=folder / "state"), connect=world.connect) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "odd", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        connection = world.connections[0]
        uuid = connection.prompt_uuid
        for line in words:
            connection.write(placed(line, uuid))
        await until(lambda: not connection.is_alive or not connection._out.statistics().current_buffer_used)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.1):
            await ticket.outcome()
        # One that goes on with its turn, or has begun one of its own, would be waited for.
        if connection.is_alive and (await supervisor.snapshot()).sessions[0].turn_id:
            connection.die()
        world.on_prompt = _answer
        if (await supervisor.snapshot()).instances[0].state is InstanceState.PARKED:
            await supervisor.resume("desk")
        with anyio.fail_after(5):
            assert isinstance(await (await supervisor.submit(Prompt("desk", "well?", user="other"))).outcome(), Done)
            await ticket.outcome()
        assert supervisor.failure is None
        assert not supervisor._instances["desk"].pool.failures[FailureKind.ENGINE]
        await supervisor.drain("desk")
        with anyio.fail_after(5):
            await supervisor.drained()


def _answer(connection: FakeConnection, text: str) -> None:
    connection.reply("fine")
