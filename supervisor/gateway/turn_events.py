"""What one turn tells its caller: typed events, with ids by which a reader that was cut off goes on.

The events are made from the session's conversation, which the journal keeps: all of them can be told again, also after
a restart. An id says how much was told: `N.0.0` after N entries of the turn, `N.C.X` after C characters of the block
that follows them, X being a checksum of these. A reader that comes back with it gets what is missing, and of a block
that was begun anew all of it: `at` says from which character on its text counts, and what was given beyond is void.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from zlib import crc32

import anyio

from supervisor.api.engine import ConversationReader, Ticket
from supervisor.api.entries import (
    Asked,
    Cursor,
    Entry,
    Noticed,
    QuestionClosed,
    QuestionPosed,
    Replied,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from supervisor.api.errors import BullpenError
from supervisor.api.outcomes import Cancelled, Done, Expired, Failed, Interrupted, Outcome, Usage, outcome_word
from supervisor.api.prompts import Route
from supervisor.api.questions import Question
from supervisor.api.states import WhyWaiting
from supervisor.api.turns import TurnView
from supervisor.gateway.live_response import Emit
from supervisor.gateway.mirror import Mirror
from supervisor.gateway.problems import kind_of

END = "end"
"""The id of the last event. A reader that has seen it has seen everything."""
_MARK = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,10})")


class Mark(NamedTuple):
    """How much a reader has seen."""

    entries: int = 0
    characters: int = 0
    checksum: int = 0

    def __str__(self) -> str:
        return f"{self.entries}.{self.characters}.{self.checksum}"

    @property
    def is_end(self) -> bool:
        return self.entries < 0


def read_mark(text: str) -> Mark:
    """The place in a stream that a `Last-Event-ID` names; the beginning when the id is none of bullpen's."""
    if text == END:
        return Mark(-1)
    found = _MARK.fullmatch(text)
    return Mark(*map(int, found.groups())) if found else Mark()


class TurnEvents:
    """Tells one reader of one turn."""

    def __init__(
        self,
        ticket: Ticket,
        view: TurnView,
        reader: ConversationReader | None,
        mirror: Mirror,
        seen: Mark = Mark(),
    ) -> None:
        """`view` is the turn as it stands; `reader` is None when the conversation is over: then the outcome is all
        there is to tell."""
        self._ticket = ticket
        self._view = view
        self._reader = reader
        self._mirror = mirror
        self._seen = seen
        self._entries = 0
        """Entries of this turn that were told, or that the reader had seen."""
        self._part = ""
        """What was told of the block that is open."""
        self._has_text = False
        self._has_begun = False
        self._has_ended = False
        self._queued: tuple[WhyWaiting | None, int | None, int | None] | None = None
        self._wake = anyio.Event()
        self._over: Outcome | BullpenError | None = None

    async def run(self, emit: Emit) -> None:
        """Returns after the last event."""
        cursor = Cursor()
        try:
            if self._seen == Mark():
                self._queued = (self._view.why, self._view.position or None, self._view.place)
                route = self._view.prompt.route
                told = describe_place(self._ticket, *self._queued)
                await emit("queued", told | ({"route": describe_route(route)} if route is not None else {}))
            async with anyio.create_task_group() as group:
                group.start_soon(self._await_outcome)
                if self._reader is not None:
                    group.start_soon(self._await_words, self._reader)
                with self._mirror.watching(self._ticket.key, self._wake_up):
                    while True:
                        self._wake = anyio.Event()
                        over = self._over
                        if self._reader is not None:
                            reading = self._reader.read(cursor)
                            cursor = reading.cursor
                            for entry in reading.entries:
                                if entry.turn_id == self._ticket.turn_id:
                                    await self._tell(emit, entry)
                            if self._has_begun and not self._has_ended:
                                await self._tell_open(emit, reading.opened, is_new=reading.open_is_new)
                        if over is not None:
                            break
                        if not self._has_begun:
                            await self._tell_place(emit)
                        await self._wake.wait()
                group.cancel_scope.cancel()
            assert over is not None
            await self._tell_end(emit, over)
        finally:
            if self._reader is not None:
                self._reader.close()

    def _wake_up(self) -> None:
        self._wake.set()

    async def _await_outcome(self) -> None:
        try:
            self._over = await self._ticket.outcome()
        except BullpenError as error:
            self._over = error
        self._wake_up()

    async def _await_words(self, reader: ConversationReader) -> None:
        while True:
            await reader.next_change()
            self._wake_up()

    async def _tell_place(self, emit: Emit) -> None:
        """Why it waits, as often as that changes. Of a moment, so without an id."""
        waiting = self._mirror.waiting(self._ticket.key, self._ticket.turn_id)
        if waiting is None:
            return
        told = (waiting.why, waiting.position, waiting.place)
        if told != self._queued:
            self._queued = told
            await emit("queued", describe_place(self._ticket, *told))

    async def _tell(self, emit: Emit, entry: Entry) -> None:
        if isinstance(entry, TurnEnded):
            self._has_ended = True  # the ticket tells how, once that is recorded
            return
        number, self._entries = self._entries, self._entries + 1
        self._has_begun = True
        self._has_text = self._has_text or isinstance(entry, Replied)
        part, self._part = self._part, ""
        if number < self._seen.entries:
            return
        if isinstance(entry, Replied):
            await self._tell_block(emit, number, part or self._seen_part(number, entry.text), entry.text)
        elif (told := describe_entry(entry)) is not None:
            await emit(told[0], told[1], str(Mark(number + 1)))

    async def _tell_block(self, emit: Emit, number: int, part: str, text: str) -> None:
        """The rest of a block that is finished."""
        at = len(part) if text.startswith(part) else 0
        data = {"block": number, "at": at, "text": text[at:], "isWhole": True}
        await emit("text", data, str(Mark(number + 1)))

    async def _tell_open(self, emit: Emit, opened: str, *, is_new: bool) -> None:
        """What a block that is being written has gained. Until more is written, a void part stays as it was told."""
        if not opened:
            return
        number = self._entries
        if number < self._seen.entries:
            return
        if is_new:
            self._part = self._seen_part(number, opened)
            opened = opened[len(self._part) :]
        at = len(self._part)
        self._part += opened
        if opened:
            mark = Mark(number, len(self._part), _checksum(self._part))
            await emit("text", {"block": number, "at": at, "text": opened}, str(mark))

    def _seen_part(self, number: int, text: str) -> str:
        """The part of the block that the reader has seen; empty when the block does not begin so any more."""
        seen, self._seen = self._seen, self._seen if number < self._seen.entries else Mark()
        if number != seen.entries or not seen.characters:
            return ""
        part = text[: seen.characters]
        return part if len(part) == seen.characters and _checksum(part) == seen.checksum else ""

    async def _tell_end(self, emit: Emit, over: Outcome | BullpenError) -> None:
        if isinstance(over, BullpenError):
            await emit("failed", {"outcome": "unknown", "kind": kind_of(over), "message": str(over)}, "")
            return
        text = getattr(over, "text", "")
        if text and not self._has_text and self._reader is None and not self._seen.entries:
            await emit("text", {"block": 0, "at": 0, "text": text, "isWhole": True}, str(Mark(1)))
        await emit("done" if isinstance(over, Done) else "failed", describe_outcome(over), END)


def _checksum(text: str) -> int:
    return crc32(text.encode(errors="surrogatepass"))


def describe_place(ticket: Ticket, why: WhyWaiting | None, position: int | None, place: int | None) -> dict[str, Any]:
    key = ticket.key
    return {
        "turnId": ticket.turn_id,
        "agentId": key.instance,
        "userId": key.user,
        "sessionId": key.session,
        "why": why.value if why is not None else None,
        "position": position,
        "place": place,
    }


def describe_route(route: Route) -> dict[str, Any]:
    """The agent that was chosen for a prompt that named none, and why, as a JSON object."""
    return {"agentId": route.agent, "score": route.score, "reason": route.reason}


def describe_entry(entry: Entry) -> tuple[str, dict[str, Any]] | None:
    """The event's name and data; None for what is no event of its own."""
    match entry:
        case Asked():
            return "started", {"turnId": entry.turn_id, "at": entry.at}
        case ToolCalled():
            return "tool", {
                "id": entry.tool_use_id,
                "name": entry.tool,
                "summary": entry.summary,
                "state": "called",
            }
        case ToolReturned():
            state = "failed" if entry.is_error else "returned"
            return "tool", {"id": entry.tool_use_id, "state": state, "text": entry.text}
        case QuestionPosed():
            return "question", describe_question(entry.question)
        case QuestionClosed():
            return "question", {"id": entry.question_id, "state": entry.outcome.value, "answer": entry.answer}
        case Noticed():
            return "notice", {"text": entry.text, "isWarning": entry.is_warning}
    return None


def describe_question(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "state": "open",
        "kind": question.kind.value,
        "tool": question.tool,
        "summary": question.summary,
        "choices": [
            {
                "question": item.question,
                "header": item.header,
                "options": [{"label": label, "description": about} for label, about in item.options],
                "multiple": item.multiple,
            }
            for item in question.choices
        ],
        "expiresAt": question.expires_at,
    }


def describe_usage(usage: Usage) -> dict[str, Any]:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cacheTokens": usage.cache_tokens,
        "costUsd": usage.cost_usd,
    }


def describe_outcome(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {"outcome": outcome_word(outcome)}
    match outcome:
        case Done(text, usage, seconds):
            told |= {"text": text, "usage": describe_usage(usage), "seconds": seconds}
        case Failed(kind, message, usage, text):
            told |= {"kind": kind.value, "message": message, "text": text, "usage": describe_usage(usage)}
        case Interrupted(reason, text, usage):
            told |= {"message": reason, "text": text, "usage": describe_usage(usage)}
        case Cancelled(reason):
            told |= {"message": reason}
        case Expired(message, retry_after):
            told |= {"message": message, "retryAfter": retry_after}
    return told
