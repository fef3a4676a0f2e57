"""The embedded Messages endpoint: what the real CLI talks to when nothing is to leave this machine."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from supervisor.late_imports import import_late
from supervisor.rehearsal.environment import rehearsal_environment

if TYPE_CHECKING:
    from supervisor.rehearsal.reply import Fault, Reply
    from supervisor.rehearsal.request import MessagesRequest
    from supervisor.rehearsal.server import RehearsalServer


MOST_OCCASIONS = 10_000
"""Retries come within minutes: so many occasions later, nothing is tried again."""


class Rehearsal:
    """Serves the Messages API on a loopback port, with scripted replies. Use it as an async context manager.

    `seed` chooses among plausible replies; the same seed and the same conversation give the same words. `pace`
    multiplies every scripted delay: 1 is for watching, 0.01 for tests. `keep` is how many requests the record holds,
    each about as large as it was sent: 10 to 50 kB at first, and more with every turn of a conversation. Prompts may
    say what is to happen: see `supervisor.rehearsal.directions`.
    """

    def __init__(self, seed: int = 1, pace: float = 1.0, *, keep: int = 1_000) -> None:
        self.seed = seed
        self.pace = pace
        self.url = ""
        """Base address, from entering the context on."""
        self._record: deque[MessagesRequest] = deque(maxlen=keep)
        self._attempts: OrderedDict[int, int] = OrderedDict()
        """How often each of the last occasions came, by its hash."""
        self._faults: deque[tuple[Fault, str]] = deque()
        self._outages: list[Fault] = []
        self._listener: socket.socket | None = None
        self._server: RehearsalServer | None = None
        self._serving: asyncio.Task[None] | None = None
        """From the first connection on."""
        self._is_over = False

    @property
    def record(self) -> list[MessagesRequest]:
        """The last requests for a message, at most `keep`, oldest first."""
        return list(self._record)

    def environment(self, config_dir: Path) -> dict[str, str]:
        """What a CLI process gets so that it talks to this endpoint and to nothing else."""
        return rehearsal_environment(self.url, config_dir, os.environ)

    # Faults

    def fail_next(self, fault: Fault, times: int = 1, *, containing: str = "") -> None:
        """Meets the next `times` requests with a fault; only those whose prompt contains `containing`, if given."""
        self._faults.extend([(fault, containing)] * times)

    @contextmanager
    def outage(self, fault: Fault) -> Iterator[None]:
        """Meets every request inside the block with a fault."""
        self._outages.append(fault)
        try:
            yield
        finally:
            self._outages.remove(fault)

    # Answering

    def reply_to(self, request: MessagesRequest) -> tuple[Reply, str]:
        """Records a request and decides its reply; also a text for the ids in it, new for each attempt."""
        from supervisor.rehearsal.script import decide, salt

        self._record.append(request)
        attempt = self._count(hash(request.occasion))
        fault = self._next_fault(request)
        reply = (fault,) if fault else decide(request, seed=self.seed, attempt=attempt)
        return reply, f"{salt(request, self.seed)}{attempt:02d}"

    def _count(self, occasion: int) -> int:
        attempt = self._attempts.pop(occasion, 0) + 1
        self._attempts[occasion] = attempt
        if len(self._attempts) > MOST_OCCASIONS:
            self._attempts.popitem(last=False)
        return attempt

    def _next_fault(self, request: MessagesRequest) -> Fault | None:
        if self._outages:
            return self._outages[-1]
        for waiting in self._faults:
            fault, containing = waiting
            if containing in request.prompt:
                self._faults.remove(waiting)
                return fault
        return None

    # Life

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        # The kernel takes connections already. The server takes longer to import than a screen takes to be painted.
        asyncio.get_running_loop().add_reader(self._listener, self._begin)
        return self

    def _begin(self) -> None:
        """The first client has come."""
        assert self._listener is not None, "it listens"
        asyncio.get_running_loop().remove_reader(self._listener)
        self._serving = asyncio.create_task(self._serve(self._listener), name="rehearsal endpoint")

    async def _serve(self, listener: socket.socket) -> None:
        server = await import_late("supervisor.rehearsal.server")
        if self._is_over:
            listener.close()
            return
        self._server = server.RehearsalServer(server.compose_app(self))
        await self._server.serve(sockets=[listener])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        if self._serving is None:
            if self._listener is not None:
                asyncio.get_running_loop().remove_reader(self._listener)
                self._listener.close()
            return
        with anyio.CancelScope(shield=True):
            if self._server is not None:
                self._server.should_exit = True
            await self._serving
