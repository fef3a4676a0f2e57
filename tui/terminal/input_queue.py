"""Keys, pastes and clicks one at a time: the next one goes out when the one before has taken its whole effect.

Textual hands a key to the focused widget's own queue at once, and runs bindings, mounts screens and moves the focus
from other queues. So of keys that arrive together a letter could be overtaken by a backspace, and what was typed after
the key that opens a dialog went to the screen behind it. Here a key waits until nothing that the earlier one set off is
under way: then the screen it opened is mounted, and the focus is where that key put it.

A key that comes alone goes out at once; only keys behind it wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from textual import events
from textual.app import ScreenError

if TYPE_CHECKING:
    from textual._queue import Queue
    from textual.app import App
    from textual.message import Message
    from textual.message_pump import MessagePump
    from textual.worker import Worker

PATIENCE = 2_000
"""Turns of the event loop that a key waits at most for the effect of the one before. A screen with a hundred widgets is
mounted after a few hundred turns, however slow the machine. What takes longer hangs: it is not waited for again until
it has come to rest once, so that one handler does not lock the keyboard."""
BRISK = 300
"""Turns without a pause between them; then about a thousand a second."""
WORKER_PATIENCE = 0.25
"""The same for work that a key has begun beside the queues, such as the search of the palette."""

ENGINE_WORK = "engine"
"""Group of the workers that wait for the engine, which may be far away: no key waits for them."""

INPUT = (events.InputEvent, events.Paste, events.AppFocus, events.AppBlur)
"""What comes from the terminal in an order that means something."""


class InputQueue:
    """Stands before the app's own queue. All its methods run on the event loop."""

    def __init__(self, app: App[Any], release: Callable[[Message], bool]) -> None:
        """`release` hands an event to Textual."""
        self._app = app
        self._release = release
        self._waiting: deque[Message | Callable[[], object]] = deque()
        self._settling: asyncio.Task[None] | None = None
        self._stuck: WeakSet[MessagePump] = WeakSet()
        """Message pumps that did not come to rest in time."""
        self._passes: Callable[[Message], bool] | None = None
        """Which events are not held, while others are."""
        self.pressed_at = 0.0
        """Seconds of the steady clock: when the event that has its effect now came from the terminal."""

    def take(self, event: Message) -> bool:
        """Hands the event on, now or when those before it are done. False when the app takes no more events."""
        if self._app.return_code is not None:
            return False
        is_held = self._passes is not None and not self._passes(event)
        if is_held or (self._settling is not None and self._passes is None):
            if self._waiting and _replaces(event, self._waiting[-1]):
                self._waiting.pop()
            self._waiting.append(event)
            return True
        workers = self._workers()
        was_taken = self._send(event)
        if was_taken and _has_effect(event):
            self._settling = asyncio.get_running_loop().create_task(self._go_on(workers))
        return was_taken

    def hold(self, passes: Callable[[Message], bool]) -> None:
        """Keeps what comes until `go_on`, in its order. Events that `passes` names overtake it."""
        self._passes = passes

    def go_on(self) -> None:
        """What was held has its effect now, one after the other, and what comes later after it."""
        self._passes = None
        if self._waiting and self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._go_on(self._workers()))

    def between(self, call: Callable[[], object]) -> None:
        """Calls `call` between two keys: earlier keys have had their effect, and later ones wait. For calls that no key
        caused and that move the focus."""
        if self._settling is not None:
            # What it mounts finds its app by the caller's context: keys come from a thread that knows of none.
            self._waiting.appendleft(partial(copy_context().run, call))
        else:
            workers = self._workers()
            call()
            self._settling = asyncio.get_running_loop().create_task(self._go_on(workers))

    def _send(self, event: Message) -> bool:
        self.pressed_at = event.time
        return self._release(event)

    async def _go_on(self, workers: set[Worker[Any]]) -> None:
        """Waits for the effect of what was sent, then sends what waits, one after the other."""
        try:
            await self._settle(workers)
            while self._waiting and self._app.return_code is None and self._passes is None:
                event = self._waiting.popleft()
                workers = self._workers()
                if callable(event):
                    event()
                    await self._settle(workers)
                elif self._send(event) and _has_effect(event):
                    await self._settle(workers)
        finally:
            self._settling = None

    async def _settle(self, workers: set[Worker[Any]]) -> None:
        """Returns when every queue that the operator's input can reach is at rest, or after `PATIENCE`."""
        now = asyncio.get_running_loop().time
        begun = now()
        busy: MessagePump | None = self._app
        for turn in range(PATIENCE):
            if not self._app.is_running:
                return
            if busy is not None and not _is_at_rest(busy):
                pass  # the one that was busy still is: the others need no look
            elif (busy := next(self._busy(), None)) is None and (
                now() - begun > WORKER_PATIENCE or not self._is_working(workers)
            ):
                return
            await asyncio.sleep(0 if turn < BRISK else 0.001)
        self._stuck.update(self._busy())

    def _busy(self) -> Iterator[MessagePump]:
        for pump in self._reachable():
            if _is_at_rest(pump):
                self._stuck.discard(pump)
            elif pump not in self._stuck:
                yield pump

    def _reachable(self) -> Iterator[MessagePump]:
        """The app, and the screen in front with all that it shows."""
        yield self._app
        with suppress(ScreenError):  # before the first one is there
            yield from self._app.screen.walk_children(with_self=True)

    def _workers(self) -> set[Worker[Any]]:
        return {worker for worker in self._app.workers if worker.group != ENGINE_WORK}

    def _is_working(self, earlier: set[Worker[Any]]) -> bool:
        return any(not worker.is_finished for worker in self._workers() - earlier)


def _is_at_rest(pump: MessagePump) -> bool:
    """Whether it has nothing to handle and handles nothing: it has ended, or waits at its empty queue.

    Textual has no public word for that: a queue may be empty while its pump still awaits a handler.
    """
    if pump._task is None and not pump.is_running:
        return True
    queue: Queue[Message | None] = pump._message_queue
    return not queue.values and bool(queue.ready_event._waiters)


def _has_effect(event: Message) -> bool:
    """A pointer that only moves, or turns the wheel, changes nothing that a key depends on."""
    return not isinstance(event, events.MouseMove | events.MouseScrollDown | events.MouseScrollUp)


def _replaces(event: Message, earlier: object) -> bool:
    """Of a pointer that moves only the latest place counts."""
    return type(event) is type(earlier) is events.MouseMove
