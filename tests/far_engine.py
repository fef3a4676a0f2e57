"""An engine at the far end of a slow and uneven line.

Every call, answer and change is written by the codec, takes a while, and is read again on the other side. Each call and
each reader takes its own time: an answer may overtake the change of a row that belongs to it, and the other way round.
What one reader gets keeps its order, as on any stream.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, get_type_hints

import anyio

from supervisor.api.changes import Changes
from supervisor.api.codec import (
    pack,
    pack_error,
    pack_fragment,
    unpack,
    unpack_error,
    unpack_fragment,
)
from supervisor.api.engine import ConversationReader, Engine, FeedReader, Ticket
from supervisor.api.entries import Cursor, Reading
from supervisor.api.errors import BullpenError, Refused
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import Snapshot
from supervisor.conversation import Conversation

QUIET = 12
"""Turns of the loop without anything on the line, after which everybody has acted on what arrived."""


class Line:
    """How long what crosses takes, from a seed."""

    def __init__(self, seed: int, least: float = 0.001, most: float = 0.008) -> None:
        """`least` and `most`: seconds, one way."""
        self._dice = random.Random(seed)
        self.least, self.most = least, most
        self.crossing = 0
        """How much is on the line now."""
        self._is_open = anyio.Event()
        self._is_open.set()

    def hold(self) -> None:
        """Nothing arrives any more, on either side, until `release`."""
        self._is_open = anyio.Event()

    def release(self) -> None:
        self._is_open.set()

    async def cross(self) -> None:
        self.crossing += 1
        try:
            await anyio.sleep(self._dice.uniform(self.least, self.most))
            await self._is_open.wait()
        finally:
            self.crossing -= 1

    async def ask(self, kind: Any, call: Callable[[], Any]) -> Any:
        """Has a call made on the other side, and gives what it returns, or raises what it raises."""
        await self.cross()
        error = ""
        packed = "null"
        try:
            packed = pack(await call())
        except BullpenError as raised:
            error = pack_error(raised)
        await self.cross()
        if error:
            raise unpack_error(error)
        return unpack(kind, packed)


class FarTicket:
    def __init__(self, line: Line, ticket: Ticket) -> None:
        self.turn_id: str = unpack(str, pack(ticket.turn_id))
        self.key: SessionKey = unpack(SessionKey, pack(ticket.key))
        self.finished: Outcome | None = None
        self._line = line
        self._ticket = ticket

    async def accepted(self) -> None:
        await self._line.ask(None, self._ticket.accepted)

    async def outcome(self) -> Outcome:
        outcome: Outcome = await self._line.ask(Outcome, self._ticket.outcome)
        self.finished = outcome
        return outcome

    async def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        await self._line.cross()
        async for fragment in self._ticket.stream(whole=whole):
            packed = pack_fragment(fragment)
            await self._line.cross()
            yield unpack_fragment(packed)


class FarFeed:
    def __init__(self, line: Line, feed: FeedReader) -> None:
        self.snapshot: Snapshot = unpack(Snapshot, pack(feed.snapshot))
        self._line = line
        self._feed = feed
        self._arrived: Changes | None = None
        self._news = anyio.Event()
        self._pump = asyncio.create_task(self._carry())

    async def _carry(self) -> None:
        while True:
            await self._feed.wait()
            packed = pack(self._feed.take())
            await self._line.cross()
            changes: Changes = unpack(Changes, packed)
            self._arrived = changes if self._arrived is None else self._arrived.then(changes)
            self._news.set()

    @property
    def is_behind(self) -> bool:
        """Whether something has not been put on the line yet."""
        return bool(getattr(self._feed, "_has_news", False)) and not self._pump.done()

    async def wait(self) -> None:
        while self._arrived is None:
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()

    def take(self) -> Changes:
        arrived, self._arrived = self._arrived, None
        return Changes() if arrived is None else arrived

    def close(self) -> None:
        self._pump.cancel()
        self._feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FarConversation:
    """A copy on this side, which a stream of readings keeps current."""

    def __init__(self, line: Line, conversation: ConversationReader) -> None:
        self._line = line
        self._conversation = conversation
        self._copy = Conversation()
        self._carried = Cursor()
        self._add(self._load())
        self._pump = asyncio.create_task(self._carry())

    def _load(self) -> str:
        reading = self._conversation.read(self._carried)
        self._carried = reading.cursor
        return pack(reading)

    def _add(self, packed: str) -> None:
        reading: Reading = unpack(Reading, packed)
        for entry in reading.entries:
            self._copy.append(entry)
        if reading.open_is_new:
            self._copy.void_block()
        if reading.opened:
            self._copy.stream(reading.opened, "")

    async def _carry(self) -> None:
        while True:
            if not self.is_behind:
                await self._conversation.next_change()
                continue
            packed = self._load()
            await self._line.cross()
            self._add(packed)

    @property
    def is_behind(self) -> bool:
        return self._conversation.read(self._carried).cursor != self._carried

    @property
    def name(self) -> str:
        return self._copy.name

    def read(self, cursor: Cursor = Cursor()) -> Reading:
        return self._copy.read(cursor)

    async def next_change(self) -> None:
        await self._copy.next_change()

    def close(self) -> None:
        self._pump.cancel()
        self._conversation.close()


class FarEngine:
    """An `Engine` over another one, as a remote reader sees it."""

    def __init__(self, engine: Engine, seed: int = 0, line: Line | None = None) -> None:
        self.line = line or Line(seed)
        self._engine = engine
        self._readers: list[FarFeed | FarConversation] = []

    async def watch(self, recent: int = 0) -> FarFeed:
        await self.line.cross()
        feed = FarFeed(self.line, await self._engine.watch(recent))
        self._readers.append(feed)
        await self.line.cross()
        return feed

    async def conversation(self, key: SessionKey) -> FarConversation:
        await self.line.ask(None, lambda: self._check(key))
        talk = FarConversation(self.line, await self._engine.conversation(key))
        self._readers.append(talk)
        return talk

    async def _check(self, key: SessionKey) -> None:
        (await self._engine.conversation(key)).close()

    async def submit(self, prompt: Prompt) -> FarTicket:
        return await self._order("submit", prompt)

    async def replay(self, key: SessionKey) -> FarTicket:
        return await self._order("replay", key)

    async def compact(self, key: SessionKey) -> FarTicket:
        return await self._order("compact", key)

    async def ticket(self, turn_id: str) -> FarTicket:
        return await self._order("ticket", turn_id)

    async def _order(self, verb: str, argument: Any) -> FarTicket:
        made: list[Ticket] = []

        async def order(argument: Any) -> None:
            made.append(await getattr(self._engine, verb)(argument))

        await self._call(order, [_hints(verb)[0]], argument)
        return FarTicket(self.line, made[0])

    async def _call(self, call: Callable[..., Any], hints: list[Any], *arguments: Any, kind: Any = None) -> Any:
        packed = [pack(argument) for argument in arguments]

        async def there() -> Any:
            try:
                found = [unpack(hint, each) for hint, each in zip(hints, packed, strict=True)]
            except ValueError as error:
                raise Refused(str(error)) from None
            return await call(*found)

        return await self.line.ask(kind, there)

    @property
    def is_calm(self) -> bool:
        """Nothing is on the line, nor waits for it."""
        return not self.line.crossing and not any(reader.is_behind for reader in self._open())

    async def quiet(self) -> None:
        """Returns when nothing is on the line, and whatever has arrived has had its effect."""
        turns = 0
        while turns < QUIET:
            is_calm = self.is_calm
            turns = turns + 1 if is_calm else 0
            await asyncio.sleep(0 if is_calm else 0.001)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def _open(self) -> list[FarFeed | FarConversation]:
        return [reader for reader in self._readers if not reader._pump.done()]


def _hints(verb: str) -> tuple[Any, ...]:
    """Of the arguments, in order, and of the result."""
    return tuple(get_type_hints(getattr(Engine, verb)).values())


def _across(verb: str) -> Callable[..., Any]:
    signature = inspect.signature(getattr(Engine, verb))
    *hints, kind = _hints(verb)

    async def method(self: FarEngine, *arguments: Any, **named: Any) -> Any:
        bound = signature.bind(self, *arguments, **named)
        bound.apply_defaults()
        names = [name for name in signature.parameters if name != "self"]

        async def call(*values: Any) -> Any:
            there = inspect.signature(getattr(Engine, verb)).bind(self, **dict(zip(names, values, strict=True)))
            return await getattr(self._engine, verb)(*there.args[1:], **there.kwargs)

        return await self._call(call, hints, *(bound.arguments[name] for name in names), kind=kind)

    return method


for _verb, _method in vars(Engine).items():
    if inspect.iscoroutinefunction(_method) and _verb not in vars(FarEngine):
        setattr(FarEngine, _verb, _across(_verb))
