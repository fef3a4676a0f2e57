"""A headless Chromium, told what to do over its DevTools protocol by a pair of pipes: nothing is installed for it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
REBOUND = "rebound.test"
"""A name that the browser is made to believe points here."""
_AS_THREE_AND_FOUR = (
    "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"
)
"""It reads its commands from descriptor 3, and answers on 4."""


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def run(self, script: str, *arguments: object) -> Any:
        """What an `async` function of JavaScript returns for these arguments."""
        call = f"({script})({', '.join(map(json.dumps, arguments))})"
        told = await self._browser.send(
            "Runtime.evaluate", self._session, expression=call, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["exception"].get("description", told["exceptionDetails"]))
        return told["result"].get("value")

    async def until(self, expression: str) -> None:
        """Waits until an expression of JavaScript is true."""
        with anyio.fail_after(20):
            while not await self._holds(expression):  # noqa: ASYNC110 - the page does not tell it
                await anyio.sleep(0.02)

    async def _holds(self, expression: str) -> bool:
        """False also where the page gives way to the next one while it is asked."""
        try:
            return bool(await self.run(f"async () => Boolean({expression})"))
        except RuntimeError as error:
            if any(words in str(error) for words in ("navigated", "Execution context", "Cannot find context")):
                return False
            raise

    async def send(self, method: str, **parameters: object) -> Any:
        """A command of the DevTools protocol, for this tab."""
        return await self._browser.send(method, self._session, **parameters)

    async def goto(self, url: str) -> None:
        await self._browser.send("Page.navigate", self._session, url=url)
        await self.until(f"document.readyState == 'complete' && location.href == {json.dumps(url)}")


class Browser:
    def __init__(self, reader: asyncio.StreamReader, descriptor: int) -> None:
        self._reader = reader
        self._descriptor = descriptor
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def read(self) -> None:
        """Hands answers to those who wait for them, until it is cancelled."""
        while True:
            told = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            if (waiting := self._answers.pop(told.get("id", 0), None)) is not None:
                waiting.set_result(told)

    async def send(self, method: str, session: str = "", **parameters: object) -> Any:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._answers[number] = asyncio.get_running_loop().create_future()
        os.write(self._descriptor, json.dumps(command).encode() + b"\0")
        with anyio.fail_after(60):
            told = await self._answers[number]
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        return told["result"]

    async def open(self, url: str) -> Page:
        target = await self.send("Target.createTarget", url="about:blank")
        session = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, session["sessionId"])
        await page.goto(url)
        return page


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """Reaches nothing but loopback. It is gone at the end, with all that it has started."""
    options = [
        "--headless=new",
        "--no-sandbox",  # as root it would not start
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--user-data-dir={folder}",
        "--remote-debugging-pipe",
    ]
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _AS_THREE_AND_FOUR, str(theirs_in), str(theirs_out), CHROMIUM, *options,
        pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    reader = asyncio.StreamReader(limit=2**24)
    pipe = os.fdopen(ours_in, "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    browser = Browser(reader, ours_out)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(browser.read)
            yield browser
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            os.close(ours_out)  # it ends when nothing can tell it what to do any more
            with anyio.fail_after(20):
                await process.wait()
            transport.close()
