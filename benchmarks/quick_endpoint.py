"""An endpoint that answers within a millisecond: one reply, prepared once, whatever is asked. Runs in a process of its
own, prints its address, and ends when its input is closed.

The rehearsal endpoint reads every request and thinks of a reply, which takes longer than all that is measured here.
"""

from __future__ import annotations

import asyncio
import json
import sys

import anyio
import anyio.to_thread

from supervisor.rehearsal.reply import Say, fragments
from supervisor.rehearsal.wire import MODELS, Envelope, block_events, closing_events, opening_events

WORDS = 20
"""Of every reply, each in an event of its own, as in the other parts of the benchmark."""


def prepare_reply() -> bytes:
    """The whole answer to a request that streams, headers included."""
    said = Say(fragments(" ".join(f"word{number:02d}" for number in range(WORDS)), size=1))
    opening = Envelope("msg_quick", MODELS[1], input_tokens=10, cache_read=100, cache_creation=0)
    body = b"".join((opening_events(opening), *block_events(said, 0, "quick"), closing_events(opening, (said,))))
    return _response(b"text/event-stream; charset=utf-8", body)


def _response(kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


REPLY = prepare_reply()
NOTHING = _response(b"application/json", json.dumps({"input_tokens": 100, "data": []}).encode())
"""To everything but a message: counts of tokens, lists of models."""


class QuickEndpoint(asyncio.Protocol):
    """One connection of one CLI, which keeps it open and waits for each answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a socket"
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            _, _, rest = head.partition(b"\r\ncontent-length:")
            whole = end + 4 + int(rest.split(b"\r\n", 1)[0] or 0)
            if len(self._received) < whole:
                return
            del self._received[:whole]
            is_message = head.startswith(b"post /v1/messages") and not head.startswith(b"post /v1/messages/count")
            self._transport.write(REPLY if is_message else NOTHING)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(QuickEndpoint, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await anyio.to_thread.run_sync(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    anyio.run(serve)
