"""What the tests of the journal share."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from supervisor.api.entries import Asked
from supervisor.api.errors import JournalFailed
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Priority, Prompt, Source
from supervisor.clock import Clock
from supervisor.journal import Journal, SessionRecord, TurnRecord
from tests.waiting import until

KEY = SessionKey("desk", "alice", "default")
OTHER = SessionKey("desk", "bob", "default")


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Journal]:
    async with Journal.open(folder, clock=Clock()) as journal:
        yield journal


def make_turn(turn_id: str, key: SessionKey = KEY, text: str = "Hello", replays: str = "") -> TurnRecord:
    prompt = Prompt(key.instance, text, user=key.user, source=Source.HOOK, priority=Priority.HIGH)
    return TurnRecord(turn_id, f"uuid-{turn_id}", key, prompt, queued_at=1.0, replays=replays)


def make_session(key: SessionKey = KEY, **fields: Any) -> SessionRecord:
    return SessionRecord(key, created_at=1.0, last_activity_at=2.0, **fields)


def asked(turn_id: str) -> Asked:
    return Asked(at=1.0, turn_id=turn_id, text=f"prompt of {turn_id}", source=Source.CALLER, user="alice")


def ignore(_: JournalFailed | None) -> None:
    pass


def read(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        return connection.execute(sql).fetchall()


async def accept(journal: Journal, record: TurnRecord) -> JournalFailed | None:
    settled: list[JournalFailed | None] = []
    journal.turns.accept(record, settled.append)
    await until(lambda: settled)
    return settled[0]
