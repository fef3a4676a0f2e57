"""Snapshot, then what changed; nobody waits for a reader (R4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from supervisor.api import events as past
from supervisor.api.changes import Changes
from supervisor.api.codec import pack
from supervisor.api.engine import FeedReader
from supervisor.api.events import Event
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import HostRow, Snapshot
from supervisor.feed import EVENT_BUFFER, RECENT_TEXT, TEXT_BUFFER, Feed, RowSource
from supervisor.remote.feed import RemoteFeed
from supervisor.remote.line import Line
from supervisor.remote.server_events import ServerEvent
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import Start
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_the_snapshot_and_what_follows_add_up_to_the_state(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "a", user="ana"))).outcome()
        with await supervisor.watch() as feed:
            sessions = {row.key: row for row in feed.snapshot.sessions}
            clients = {row.id: row for row in feed.snapshot.clients}
            for user in ("boris", "chen", "ana"):
                await (await supervisor.submit(Prompt("desk", "x", user=user))).outcome()
                changes = feed.take()
                sessions |= {row.key: row for row in changes.sessions}
                clients |= {row.id: row for row in changes.clients}
                for gone in changes.gone_clients:
                    clients.pop(gone, None)
            await until(lambda: len(supervisor.view.snapshot().clients) <= 2)
            changes = feed.take()
            sessions |= {row.key: row for row in changes.sessions}
            clients |= {row.id: row for row in changes.clients}
            for gone in changes.gone_clients:
                clients.pop(gone, None)
            now = await supervisor.snapshot()
            assert sessions == {row.key: row for row in now.sessions}
            assert clients == {row.id: row for row in now.clients}


async def test_events_carry_the_ids_of_what_they_happened_to(start: Start) -> None:
    """S1.21"""
    async with start() as supervisor:
        with await supervisor.watch() as feed:
            ticket = await supervisor.submit(Prompt("desk", "a", user="ana", session="s1"))
            await ticket.outcome()
            events = feed.take().events
        for kind in (past.TurnQueued, past.TurnStarted, past.TurnFinished):
            (event,) = [one for one in events if isinstance(one, kind)]
            assert (event.instance, event.user, event.session, event.turn) == ("desk", "ana", "s1", ticket.turn_id)


async def test_a_reader_that_is_too_slow_is_cut_and_comes_back_with_a_snapshot(start: Start) -> None:
    async with start() as supervisor:
        with await supervisor.watch() as slow, await supervisor.watch() as quick:
            for number in range(EVENT_BUFFER + 10):
                supervisor._feed.publish(Event(at=float(number)))
                quick.take()
            changes = slow.take()
            assert changes.snapshot == await supervisor.snapshot()
            assert changes.events[-1].at == EVENT_BUFFER + 9
            assert slow.take().snapshot is None
            assert quick.take().snapshot is None


def local_reader() -> tuple[FeedReader, Callable[[], object]]:
    feed = Feed(NoRows())
    return feed.watch(), lambda: feed.publish(Event(at=1.0))


def remote_reader() -> tuple[FeedReader, Callable[[], object]]:
    reader = RemoteFeed(Line(url="http://127.0.0.1:1"))
    news = ServerEvent("changes", pack(Changes(events=(Event(at=1.0),))))
    return reader, lambda: asyncio.create_task(reader.hear(news, is_fresh=False))


class NoRows(RowSource):
    def snapshot(self) -> Snapshot:
        return Snapshot(HostRow("", True, "", 0.0, 0, 0, 0, 0), (), (), (), ())


@pytest.mark.parametrize("cancelled", [None, 0, 2])
@pytest.mark.parametrize("make", [local_reader, remote_reader])
async def test_all_tasks_that_wait_for_one_reader_hear_of_the_next_change(
    make: Callable[[], tuple[FeedReader, Callable[[], object]]], cancelled: int | None
) -> None:
    """Also when one of them is cancelled before it comes."""
    reader, change = make()
    scopes = [anyio.CancelScope() for _ in range(3)]
    heard = []

    async def wait(number: int) -> None:
        with scopes[number]:
            await reader.wait()
            heard.append(number)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(wait, number)
                await anyio.wait_all_tasks_blocked()
            if cancelled is not None:
                scopes[cancelled].cancel()
                await anyio.wait_all_tasks_blocked()
            assert heard == []
            change()
    assert sorted(heard) == [number for number in range(3) if number != cancelled]
    assert reader.take().events == (Event(at=1.0),)


async def test_readers_that_take_in_one_step_share_its_rows_and_each_has_them_as_they_are_then(
    start: Start, world: FakeWorld
) -> None:
    """A change between two of them is seen by the second, and nothing is held for a later step."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a", user="ana"))
        await until(lambda: world.written)
        session = supervisor._instances["desk"].sessions[ticket.key]
        client_id = world.holder_of("a").launch.client_id
        with await supervisor.watch() as first, await supervisor.watch() as second, await supervisor.watch() as third:
            for reader in (first, second, third):
                reader.take()
            feed = supervisor._feed
            feed.touch_session(ticket.key)
            feed.touch_client(client_id)
            before, same = first.take(), second.take()
            assert before.sessions[0] is same.sessions[0]
            assert before.clients[0] is same.clients[0]

            session.note = "another"
            feed.touch_session(ticket.key)
            feed.touch_client(client_id)
            after = third.take()
            assert after.sessions[0].note == "another"
            assert after.sessions == supervisor.view.snapshot().sessions
            assert after.clients[0] is not before.clients[0]

            await anyio.lowlevel.checkpoint()
            later = first.take()
            assert later.sessions[0].note == "another"
            assert later.sessions[0] is not after.sessions[0]
        world.holder_of("a").reply()


def finished(user: str, size: int) -> past.TurnFinished:
    """With an answer of so many characters."""
    return past.TurnFinished(at=1.0, instance="desk", user=user, outcome=Done("x" * size))


async def test_what_comes_after_a_reader_was_cut_is_kept_for_it() -> None:
    """It is behind by what came since, and not by what was taken away."""
    feed = Feed(NoRows())
    reader = feed.watch()
    events = [finished("ana", size) for size in (TEXT_BUFFER, 1, 2, 3)]
    for event in events:
        feed.publish(event)
    changes = reader.take()
    assert changes.snapshot is not None
    assert changes.events == tuple(events[1:])


async def test_a_user_that_was_forgotten_takes_no_room_in_what_is_remembered() -> None:
    feed = Feed(NoRows())
    feed.publish(finished("ana", RECENT_TEXT))
    feed.forget("ana")
    events = [finished("boris", size) for size in (1, 2, 3)]
    for event in events:
        feed.publish(event)
    assert feed.watch(recent=10).take().events == tuple(events)


async def test_a_closed_reader_costs_nothing_any_more(start: Start) -> None:
    async with start() as supervisor:
        with await supervisor.watch():
            pass
        assert supervisor._feed._readers == []


async def test_an_instances_row_is_told_when_a_client_starts_and_when_the_first_text_comes(
    start: Start, world: FakeWorld
) -> None:
    """Its pool's counts change with the one, its time to the first text with the other."""
    world.on_prompt, world.gate = hold, anyio.Event()
    async with start() as supervisor:
        with await supervisor.watch() as feed:
            await supervisor.submit(Prompt("desk", "a", user="ana"))
            await until(lambda: world.starting)
            assert feed.take().instances == (await supervisor.snapshot()).instances
            world.gate.set()
            await until(lambda: world.written)
            feed.take()
            world.holder_of("a").say("hm")
            await anyio.wait_all_tasks_blocked()
            assert feed.take().instances == (await supervisor.snapshot()).instances


async def test_a_reader_that_is_behind_by_much_text_is_cut(start: Start, world: FakeWorld) -> None:
    """Few events may hold many words."""
    async with start() as supervisor:
        key = (await supervisor.submit(Prompt("desk", "x", user="ana"))).key
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 1)
        with await supervisor.watch() as feed:
            long = past.TurnFinished(at=1.0, instance=key.instance, outcome=Done("x" * (TEXT_BUFFER // 3)))
            for _ in range(4):
                supervisor._feed.publish(long)
            changes = feed.take()
            assert changes.snapshot is not None
            assert changes.events == (long,)
            supervisor._feed.publish(long)
            assert feed.take().snapshot is None
