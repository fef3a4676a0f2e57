"""Asks the engine for something that is wanted again and again, of which only the newest counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from textual.dom import DOMNode

from supervisor import BullpenError
from tui.terminal.input_queue import ENGINE_WORK
from tui.terminal.workers import start_worker

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")


class Newest(Generic[Wanted, Found]):
    """One question at a time. What is wanted while an answer is on its way is asked for next, and only the newest of
    it: answers keep coming however often the want changes, and however slow the engine is."""

    def __init__(
        self,
        node: DOMNode,
        ask: Callable[[Wanted], Awaitable[Found]],
        show: Callable[[Wanted, Found], object],
    ) -> None:
        """`show` is given each answer with what it answers, and knows whether that is still to be seen. What the engine
        refuses is shown as it was."""
        self._node = node
        self._ask = ask
        self._show = show
        self._wanted: list[Wanted] = []
        """Empty, or the one thing that is wanted."""
        self._is_asking = False

    def want(self, wanted: Wanted) -> None:
        self._wanted = [wanted]
        if not self._is_asking:
            self._is_asking = True
            start_worker(self._node.app, self._ask_all, group=ENGINE_WORK)

    async def _ask_all(self) -> None:
        try:
            while self._wanted:
                (wanted,) = self._wanted
                self._wanted = []
                with suppress(BullpenError):
                    self._show(wanted, await self._ask(wanted))
        finally:
            self._is_asking = False
