"""The sleep of one client: its processes are stopped and their memory is handed back, until it is woken.

A process that is stopped answers nothing, so nothing is asked of it. After it was woken nothing is known of it before
its first sign of life, and a prompt that was written meanwhile may still lie in the pipe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic

import anyio

from supervisor.in_thread import run_in_thread
from supervisor.process.connection import Connection
from supervisor.process.listener import Listener, PlaceT
from supervisor.process.process_tree import LOST, ProcessTable, TreeUsage
from supervisor.process.standstill import happens_within


class ClientSleep(Generic[PlaceT]):
    """`begin` and `wake` are synchronous; `obey` runs as long as the process is connected."""

    def __init__(
        self,
        place: PlaceT,
        connection: Connection,
        listener: Listener[PlaceT],
        *,
        ask: Callable[[], Coroutine[Any, Any, None]],
        deadline: float,
        on_silence: Callable[[], None],
    ) -> None:
        """`ask` asks it for a sign of life, and notes that. `on_silence` is called when it gives none within `deadline`
        seconds after it was woken."""
        self.is_down = False
        """From when it is put to sleep until it is woken."""
        self.is_waking = False
        """It was woken, and has given no sign of life yet."""
        self._place = place
        self._connection = connection
        self._listener = listener
        self._ask = ask
        self._deadline = deadline
        self._on_silence = on_silence
        self._wanted = asyncio.Event()
        """Set when the client is put to sleep, or woken."""
        self._signed = asyncio.Event()
        """Set when the client has given a sign of life."""
        self._falling: anyio.CancelScope | None = None
        """Of the last time that it was put to sleep."""
        self._times_woken = 0
        self._woken_at = 0.0

    # Commands

    def begin(self) -> None:
        self.is_down = True
        self._wanted.set()

    def wake(self) -> None:
        """Continues the processes at once. `is_waking` holds until the first sign of life."""
        self.is_down, self.is_waking = False, True
        self._times_woken += 1
        self._woken_at = anyio.current_time()
        self._signed = asyncio.Event()
        self._connection.wake()
        if self._falling is not None:
            self._falling.cancel()  # it may still wait for its turn to be stopped, behind many others
        self._wanted.set()

    # What is heard of it

    def note_sign(self) -> None:
        """Called when the client has said something, answered or asked. A client that was to sleep is woken."""
        if self.is_down:
            # It has said that before it was stopped: it is not idle.
            self.wake()
        if self.is_waking:
            self.is_waking = False
            self._signed.set()
            self._listener.client_woke(self._place, anyio.current_time() - self._woken_at)

    async def has_signed(self) -> None:
        """Returns when it is awake, and has shown it."""
        times = self._times_woken
        while self.is_waking and times == self._times_woken:
            await self._signed.wait()

    # The task

    async def obey(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = asyncio.Event()
            if self.is_down:
                with anyio.CancelScope() as self._falling:
                    await self._fall_asleep()
                self._falling = None
            if self.is_waking:
                await self._wait_for_a_sign()

    async def _fall_asleep(self) -> None:
        before = self._times_woken
        is_asleep = await self._connection.suspend()
        if is_asleep and before == self._times_woken:
            measure = await run_in_thread(self._measure, abandon_on_cancel=True)
            if before == self._times_woken:
                self._listener.client_slept(self._place, measure)
        elif before == self._times_woken:
            # Something of it could not be stopped: all of it runs on, and shows it.
            self.is_down = False
            self._listener.client_woke(self._place, 0.0)

    def _measure(self) -> TreeUsage:
        """Measures the process tree; an empty `TreeUsage` when that is not possible now."""
        try:
            return self._connection.measure(ProcessTable())
        except LOST:
            return TreeUsage()

    async def _wait_for_a_sign(self) -> None:
        times = self._times_woken
        async with anyio.create_task_group() as group:
            group.start_soon(self._ask)
            await happens_within(self._deadline, self.has_signed)
            group.cancel_scope.cancel()
        if self.is_waking and times == self._times_woken:
            self._on_silence()
