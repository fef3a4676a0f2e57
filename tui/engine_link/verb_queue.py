"""Tells the engine what the operator wants, beside the screen: no key waits for an answer, and none is overtaken."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from textual.app import App

from supervisor import BullpenError, Refused
from tui.terminal.input_queue import ENGINE_WORK
from tui.terminal.workers import start_worker

Act = Callable[[], Awaitable[str]]
"""Tells the engine, and returns the sentence that says what was done. Raises `BullpenError`."""


class VerbQueue:
    """One verb at a time, in the order of the keys: the next is told when the engine has answered the one before."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._waiting: deque[Callable[[], Awaitable[object]]] = deque()
        self._is_telling = False
        self._told = anyio.Event()
        """Set when nothing is left to tell."""

    @property
    def is_idle(self) -> bool:
        """Whether every verb has been sent and answered."""
        return not self._is_telling

    async def idle(self) -> None:
        """Returns when everything has been told and answered."""
        while self._is_telling:
            await self._told.wait()

    def put(self, verb: Callable[[], Awaitable[object]]) -> None:
        """Awaits `verb` once all that came before it is done. `verb` itself handles the engine's refusals."""
        self._waiting.append(verb)
        if not self._is_telling:
            self._is_telling, self._told = True, anyio.Event()
            start_worker(self._app, self._tell_all, group=ENGINE_WORK)

    def attempt(self, act: Act, *, timeout: float = 4) -> None:
        """Does it and says so for `timeout` seconds, or says why it was refused."""

        async def verb() -> None:
            try:
                self._app.notify(await act(), markup=False, timeout=timeout)
            except BullpenError as error:
                self.tell_refusal(error)

        self.put(verb)

    def tell_refusal(self, error: BullpenError) -> None:
        """The one line of an error: what was refused has changed nothing, anything else is worse."""
        self._app.notify(str(error), severity="warning" if isinstance(error, Refused) else "error", markup=False)

    async def _tell_all(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
        finally:
            self._is_telling = False
            self._told.set()
