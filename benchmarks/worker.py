"""One contender in a process of its own, told what to do by lines of JSON. Both ends are here."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import psutil

from supervisor import pace_interpreter

ROOT = Path(__file__).resolve().parents[1]

FAREWELL = 60.0
"""Seconds a process has to end what it started before it is ended with all its children."""


class Child:
    """A Python module of ours in a process of its own, talked to in lines. Nothing of it is left when it is exited."""

    def __init__(self, *command: str) -> None:
        self._command = command

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=64 * 1024 * 1024,
            cwd=ROOT,
            # Not reached by a ctrl-c at the terminal: it is ended here, in order.
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            self._process.stdin.close()  # type: ignore[union-attr]
            with anyio.move_on_after(FAREWELL if error is None else 5):
                await self._process.wait()
                return
            await self._end_tree()

    async def _end_tree(self) -> None:
        with suppress(psutil.Error, OSError):
            root = psutil.Process(self._process.pid)
            for process in [*root.children(recursive=True), root]:
                with suppress(psutil.Error, OSError):
                    process.kill()
        await self._process.wait()

    async def read_line(self, within: float) -> str:
        """Raises when nothing comes for so many seconds, or the process has ended."""
        with anyio.fail_after(within):
            line = await self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended with {await self._process.wait()}")
        return line.decode().rstrip("\n")

    async def ask(self, command: dict[str, Any], within: float) -> Any:
        self._process.stdin.write(json.dumps(command).encode() + b"\n")  # type: ignore[union-attr]
        return json.loads(await self.read_line(within))


class Worker(Child):
    """A contender as the benchmark sees it."""

    def __init__(self, contender: str, users: int, url: str, folder: Path) -> None:
        self.contender = contender
        self.users = users
        super().__init__("benchmarks.worker", contender, str(users), url, str(folder / f"{contender}-{users}"))

    async def opened(self) -> None:
        """Waits until it is in the state it is in between two turns."""
        await self.read_line(within=60 + 10 * self.users)

    async def turns(self, count: int, text: str, users: list[str] | None = None) -> dict[str, Any]:
        """`count` turns of every user one after the other, users in parallel.

        `timings`: [first, result] of each turn in seconds; `cpu`: seconds of processor that the process itself used.
        """
        command = {"do": "turns", "count": count, "text": text, "users": users}
        return await self.ask(command, within=60 + 5 * count * self.users)  # type: ignore[no-any-return]

    async def call(self, method: str) -> None:
        await self.ask({"do": method}, within=120)


async def _serve(name: str, users: int, url: str, folder: Path) -> None:
    from benchmarks.contenders import CONTENDERS, Stage

    contender = CONTENDERS[name](Stage(url, folder, users))
    commands = asyncio.StreamReader(limit=2**20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), os.fdopen(0, "rb"))
    async with anyio.create_task_group() as tasks:
        async with AsyncExitStack() as ends:
            await contender.open(tasks, ends)
            answer: Any = None
            while True:
                print(json.dumps(answer), flush=True)
                if not (line := await commands.readline()):
                    break
                command = json.loads(line)
                match command.pop("do"):
                    case "turns":
                        answer = await _take_turns(contender, **command)
                    case method:
                        answer = await getattr(contender, method)()
        tasks.cancel_scope.cancel()


async def _take_turns(contender: Any, count: int, text: str, users: list[str] | None) -> dict[str, Any]:
    timings: list[tuple[float, float]] = []

    async def take(user: str) -> None:
        for number in range(count):
            timing = await contender.turn(user, f"{text} Turn {number} of {user}.")
            timings.append((round(timing.first, 6), round(timing.result, 6)))

    cpu = time.process_time()
    async with anyio.create_task_group() as group:
        for user in users or contender.users:
            group.start_soon(take, user)
    return {"timings": timings, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    pace_interpreter()  # as the program does
    Path(sys.argv[4]).mkdir(parents=True)
    anyio.run(_serve, sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
