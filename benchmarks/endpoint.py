"""The rehearsal endpoint in a process of its own: prints its address, and ends when its input is closed."""

from __future__ import annotations

import sys

import anyio
import anyio.to_thread

from supervisor import Rehearsal

KEEP = 1
"""Requests on record: every request is compared with those, which would slow the endpoint down."""


async def serve() -> None:
    # Pace 0: the reply comes at once, so what is measured is not hidden behind the model's time.
    async with Rehearsal(pace=0, keep=KEEP) as rehearsal:
        print(rehearsal.url, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(serve)
