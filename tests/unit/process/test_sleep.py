"""The sleep of one client, with a connection that does what each test wants: orders that processes rarely show."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import psutil
import pytest

from supervisor.process.connection import Connection
from supervisor.process.listener import AnyPlace, Listener
from supervisor.process.process_tree import ProcessTable, TreeUsage
from supervisor.process.sleep import ClientSleep
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Stage:
    """A connection, a listener and a place at once, as far as sleeping needs them."""

    id = "desk-1"

    def __init__(self) -> None:
        self.suspending = self.suspensions = self.asked = self.woke = self.silences = 0
        self.deadline = 60.0
        self.becomes_asleep: bool | None = None
        """What comes of stopping it; None: others are being stopped, and it is not its turn."""
        self.slept: list[TreeUsage] = []

    async def suspend(self) -> bool:
        self.suspending += 1
        self.suspensions += 1
        try:
            if self.becomes_asleep is None:
                await anyio.sleep_forever()
        finally:
            self.suspending -= 1
        return bool(self.becomes_asleep)

    def measure(self, table: ProcessTable) -> TreeUsage:
        raise psutil.NoSuchProcess(1)

    def client_slept(self, place: AnyPlace, measure: TreeUsage) -> None:
        self.slept.append(measure)

    def wake(self) -> None:
        pass

    def client_woke(self, place: AnyPlace, seconds: float) -> None:
        self.woke += 1

    async def ask(self) -> None:
        self.asked += 1

    def give_up(self) -> None:
        self.silences += 1

    @asynccontextmanager
    async def sleep(self) -> AsyncIterator[ClientSleep[AnyPlace]]:
        connection, listener = cast(Connection, self), cast(Listener[AnyPlace], self)
        sleep = ClientSleep(
            cast(AnyPlace, self), connection, listener, ask=self.ask, deadline=self.deadline, on_silence=self.give_up
        )
        async with anyio.create_task_group() as group:
            group.start_soon(sleep.obey)
            yield sleep
            group.cancel_scope.cancel()


async def test_one_that_is_woken_before_its_turn_to_be_stopped_has_come_is_asked_for_a_sign_at_once() -> None:
    """It holds one of the few places of those that wake until it has given one."""
    stage = Stage()
    async with stage.sleep() as sleep:
        sleep.begin()
        await until(lambda: stage.suspending == 1)
        sleep.wake()
        await until(lambda: stage.asked == 1)
        assert stage.suspending == 0
        sleep.note_sign()
        sleep.begin()
        await until(lambda: stage.suspending == 1)
    assert (stage.suspensions, stage.woke, stage.silences) == (2, 1, 0)


async def test_what_it_has_said_before_it_was_stopped_wakes_it() -> None:
    """It is not idle."""
    stage = Stage()
    async with stage.sleep() as sleep:
        sleep.begin()
        await until(lambda: stage.suspending == 1)
        sleep.note_sign()
        assert (sleep.is_down, sleep.is_waking, stage.woke) == (False, False, 1)
        await until(lambda: stage.suspending == 0)


async def test_one_that_could_not_be_stopped_is_awake_and_need_not_show_it() -> None:
    stage = Stage()
    stage.becomes_asleep = False
    async with stage.sleep() as sleep:
        sleep.begin()
        await until(lambda: stage.woke == 1)
        assert (sleep.is_down, sleep.is_waking) == (False, False)
        await _let_others_run()
        assert (stage.asked, stage.slept) == (0, [])


async def test_one_that_has_slept_again_meanwhile_has_its_whole_time_to_give_a_sign() -> None:
    stage = Stage()
    async with stage.sleep() as sleep:
        sleep.wake()
        await until(lambda: stage.asked == 1)
        sleep.note_sign()
        sleep.begin()
        sleep.wake()
        await until(lambda: stage.asked == 2)
        await _let_others_run()
        assert (stage.woke, stage.silences) == (1, 0)


async def test_where_it_cannot_be_measured_it_sleeps_all_the_same() -> None:
    stage = Stage()
    stage.becomes_asleep = True
    async with stage.sleep() as sleep:
        sleep.begin()
        await until(lambda: stage.slept == [TreeUsage()])
        assert sleep.is_down


@pytest.mark.parametrize("is_alive", [True, False])
async def test_time_in_which_the_supervisor_itself_stood_still_is_no_silence(is_alive: bool) -> None:
    """As after Ctrl+Z and `fg`: what the process has said meanwhile is read only now."""
    stage = Stage()
    stage.deadline = 0.5
    async with stage.sleep() as sleep:
        sleep.begin()
        await until(lambda: stage.suspending == 1)
        sleep.wake()
        await until(lambda: stage.asked == 1)
        time.sleep(stage.deadline * 2)  # noqa: ASYNC251 - that is what it is about
        await _let_others_run()
        assert stage.silences == 0
        if is_alive:
            sleep.note_sign()
            await _let_others_run()
            assert (stage.woke, stage.silences) == (1, 0)
        else:
            await until(lambda: stage.silences == 1)


async def _let_others_run() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
