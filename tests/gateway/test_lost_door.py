"""A bullpen whose door is lost goes on, says so in one line, and opens it again."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from supervisor import Prompt, RemoteEngine, Settings, Supervisor
from supervisor.files.socket_path import SOCKET
from supervisor.gateway import door
from supervisor.gateway.mirror import Mirror
from supervisor.testing import FakeWorld
from tests.gateway.conftest import MakeTemplate
from tests.waiting import until
from tui.cli import open_door

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def kept_open(
    tmp_path: Path, world: FakeWorld, make_template: MakeTemplate, told: list[str], listen: str = ""
) -> AsyncIterator[Supervisor]:
    settings = Settings.model_validate({"state_dir": tmp_path, "gateway": {"listen": listen} if listen else {}})
    running = Supervisor([make_template()], settings, connect=world.connect)
    async with running as supervisor, anyio.create_task_group() as group:
        group.start_soon(
            open_door.keep_door_open, supervisor, settings, lambda: None, lambda line, is_bad: told.append(line)
        )
        yield supervisor
        group.cancel_scope.cancel()


async def reach(folder: Path) -> str:
    async with RemoteEngine(socket=folder / SOCKET) as engine:
        ticket = await engine.submit(Prompt("desk", "hello", user="ana"))
        await ticket.outcome()
        return ticket.turn_id


async def test_a_socket_that_is_removed_is_bound_again(
    tmp_path: Path, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOOKS", 0.01)
    monkeypatch.setattr(open_door, "AGAIN", 0.01)
    told: list[str] = []
    async with kept_open(tmp_path, world, make_template, told) as supervisor:
        await until((tmp_path / SOCKET).exists)
        await reach(tmp_path)
        (tmp_path / SOCKET).unlink()
        await until(lambda: len(told) == 2)
        await until(lambda: supervisor.view.host_row().door == str(tmp_path / SOCKET))
        assert f"{tmp_path / SOCKET} was removed; all else goes on" in told[0]
        assert told[1] == "the door is open again"
        await reach(tmp_path)


async def test_a_port_that_is_taken_is_tried_again_and_told_once(
    tmp_path: Path, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_door, "AGAIN", 0.01)
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with kept_open(tmp_path, world, make_template, told, f"127.0.0.1:{port}") as supervisor:
            await until(lambda: told)
            assert f"cannot listen at 127.0.0.1:{port}" in told[0]
            door_as_told = (await supervisor.snapshot()).host.door
            assert door_as_told.startswith(f"closed: cannot listen at 127.0.0.1:{port}"), "H says so for as long"
            await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
            other.close()
            await until(lambda: len(told) == 2)
            assert told[1] == "the door is open again"
            await reach(tmp_path)
            assert f"bullpen.sock and http://127.0.0.1:{port}" in (await supervisor.snapshot()).host.door


async def test_a_task_of_the_door_that_fails_ends_the_door_alone(
    tmp_path: Path, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_door, "AGAIN", 0.01)
    told: list[str] = []
    run, failures = Mirror.run, [ZeroDivisionError("ours")]

    async def fail_once(self: Mirror, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        if failures:
            task_status.started()
            raise failures.pop()
        await run(self, task_status=task_status)

    monkeypatch.setattr(Mirror, "run", fail_once)
    async with kept_open(tmp_path, world, make_template, told):
        await until(lambda: len(told) == 2)
        assert "internal error ZeroDivisionError('ours')" in told[0]
        assert "\n" not in told[0]
        await reach(tmp_path)


async def test_a_socket_that_is_removed_before_the_door_serves_is_missed_as_well(
    tmp_path: Path, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOOKS", 0.01)
    monkeypatch.setattr(open_door, "AGAIN", 0.01)
    begin, left = Mirror.run, [1]

    async def remove_first(self: Mirror, **told: object) -> None:
        if left:
            left.clear()
            (tmp_path / SOCKET).unlink()
        await begin(self, **told)  # type: ignore[arg-type]

    monkeypatch.setattr(Mirror, "run", remove_first)
    told: list[str] = []
    async with kept_open(tmp_path, world, make_template, told):
        await until(lambda: told[1:] == ["the door is open again"])
        await reach(tmp_path)
