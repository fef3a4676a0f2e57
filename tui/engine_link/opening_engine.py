"""An engine that is still being opened, for a screen that is there before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio

from supervisor import Engine


class OpeningEngine:
    """Stands for an engine until it is there: a verb that is called before that waits for it, and those that wait reach
    it in the order in which they were called."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._is_there = anyio.Event()

    @property
    def as_engine(self) -> Engine:
        """This object, for what is written against the contract."""
        return cast(Engine, self)

    def arrive(self, engine: Engine) -> None:
        """From here on every call goes to that engine."""
        self._engine = engine
        self._is_there.set()

    def __getattr__(self, name: str) -> Any:
        if self._engine is not None:
            return getattr(self._engine, name)
        if not callable(getattr(Engine, name, None)):
            raise AttributeError(name)
        return self._after_opening(name)

    def _after_opening(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **named: Any) -> Any:
            await self._is_there.wait()
            return await getattr(self._engine, name)(*args, **named)

        return call
