"""What was said in each session, as clients that resend the whole of it would send it: kept as fingerprints.

A conversation is read again only when something has been said in it since. So a history that no session has costs a
look at the rows of its user's sessions, and not the words of all of them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.api.engine import Engine
from supervisor.api.entries import Asked, Entry, TurnEnded
from supervisor.api.errors import UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Source
from supervisor.api.snapshot import SessionRow
from supervisor.gateway.mirror import Mirror

EARLIER = "Earlier in this conversation:\n\n{told}\n\nNow:\n\n{prompt}"
"""The first prompt of a session that was begun with a history which none has."""
_HEAD, _NOW = "Earlier in this conversation:", "\n\nNow:\n\n"
MOST_KNOWN = 10_000
"""Sessions whose fingerprints are kept; some 500 bytes each."""


class History(NamedTuple):
    """What is known of the prompts and answers of one session. Fields of type `bytes` are digests."""

    turns: int = 0
    """Prompts of callers in it."""
    last_turn: str = ""
    """The id of the newest of them."""
    last_asked: bytes = b""
    asked: bytes = b""
    """Digest of all prompts of callers."""
    said: bytes = b""
    """Digest of prompts and answers in turn, without white space around them."""
    spoken: bytes = b""
    """Digest of prompts and answers as the client goes on to send them, where the session began with an earlier
    history."""


class Histories:
    def __init__(self, engine: Engine, mirror: Mirror) -> None:
        self._engine = engine
        self._mirror = mirror
        self._known: OrderedDict[SessionKey, tuple[tuple[float, int], History]] = OrderedDict()
        """With when the session was created and how many turns had ended in it."""
        mirror.on_gone.append(lambda key: self._known.pop(key, None))

    async def of(self, key: SessionKey) -> History:
        """The history of a session; an empty one when the session does not exist."""
        row = self._mirror.session(key)
        return await self._of(row) if row is not None else make_history(())[0]

    async def find(self, rows: Iterable[SessionRow], said: Iterable[str]) -> SessionKey | None:
        """The first of these sessions in which prompts and answers were those, in turn."""
        wanted = digest_all(part.strip() for part in said)
        for row in rows:
            if wanted in (await self._of(row))[-2:]:
                return row.key
        return None

    async def _of(self, row: SessionRow) -> History:
        version = (row.created_at, row.turns)
        seen, history = self._known.get(row.key, (None, History()))
        if seen == version and not row.stoppable:
            self._known.move_to_end(row.key)
            return history
        try:
            reader = await self._engine.conversation(row.key)
        except UnknownTarget:
            return make_history(())[0]  # it was closed in the meantime
        try:
            history, is_over = make_history(reader.read().entries)
        finally:
            reader.close()
        if is_over and not row.stoppable:
            self._known[row.key] = (version, history)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return history


def make_history(entries: Iterable[Entry]) -> tuple[History, bool]:
    """And whether each turn in it has ended."""
    asked: dict[str, str] = {}
    answered: dict[str, str] = {}
    running: set[str] = set()
    for entry in entries:
        match entry:
            case Asked() if entry.source not in (Source.AGENT, Source.ENGINE):
                asked[entry.turn_id] = entry.text
                running.add(entry.turn_id)
            case TurnEnded(outcome=outcome):
                running.discard(entry.turn_id)
                if isinstance(outcome, Done):
                    answered[entry.turn_id] = outcome.text
    said = [part.strip() for turn, text in asked.items() for part in (text, answered.get(turn, ""))]
    last = next(reversed(asked), "")
    history = History(
        len(asked),
        last,
        digest(asked.get(last, "")),
        digest_all(asked.values()),
        digest_all(said),
        digest_all(_without_preamble(said)),
    )
    return history, not running


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=20).digest()


def digest_all(texts: Iterable[str]) -> bytes:
    return hashlib.blake2b(b"".join(map(digest, texts)), digest_size=20).digest()


def _without_preamble(said: list[str]) -> list[str]:
    """The prompts and answers as the client goes on to send them, for a session that began with an earlier history."""
    if not said or not said[0].startswith(_HEAD):
        return said
    told, _, first = said[0].removeprefix(_HEAD).rpartition(_NOW)
    earlier = [part.strip() for part in told.strip().split("\n\n") if part.strip()]
    spoken = [part.partition(": ")[2] if part.startswith(("user: ", "assistant: ")) else part for part in earlier]
    return [*spoken, first.strip(), *said[1:]]
