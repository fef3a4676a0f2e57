"""What has to be done because time passes: deadlines, drains, idle clients, measurements."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.lowlevel

from supervisor.engine.held_turns import HeldTurns
from supervisor.engine.memory_sampler import Census
from supervisor.files.private import tighten
from supervisor.files.session_files import Belongings
from supervisor.in_thread import run_in_thread
from supervisor.instance import stimuli
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.process.end_reason import EndReason
from supervisor.recovery.offers import OpenOffers
from supervisor.scheduling.swap import find_longest_asleep
from supervisor.sessions.slot import Slot

RETENTION = 30 * 86400.0
"""Seconds that actions, settled questions, the outcomes of turns, and the conversations of sessions that are gone are
kept."""
PRUNING = 3600.0
"""Seconds between two looks for what is older."""
LOOK = 1.0
"""Seconds between two looks whether the state directory is still in its place. (Every commit looks as well.)"""
MEASURING = 900.0
"""Seconds between two measurements of what is on disk."""
TICK = 0.2
"""Seconds between two looks at what time has made due."""

SLICE = 50
"""Things done before others have their turn: at 10 µs each, measured with a thousand clients, half a millisecond."""

_log = logging.getLogger(__name__)

ThingT = TypeVar("ThingT")


async def in_slices(things: Iterable[ThingT]) -> AsyncIterator[ThingT]:
    """Yields the things as they are now, and lets other tasks run after each `SLICE` of them."""
    for number, thing in enumerate(tuple(things), 1):
        yield thing
        if number % SLICE == 0:
            await anyio.lowlevel.checkpoint()


@contextmanager
def _not_now(what: str) -> Iterator[None]:
    """What only looks, or tidies, ends nothing where the system does not let it: a descriptor is missing, a folder."""
    try:
        yield
    except OSError as error:
        _log.warning("%s now: %s", what, error)


class Housekeeping:
    """Loops that run as long as the supervisor does."""

    def __init__(
        self,
        instances: Mapping[str, Instance],
        *,
        host: HostContext,
        census: Census,
        offers: OpenOffers,
        held: HeldTurns,
    ) -> None:
        self._instances = instances
        self._host = host
        self._census = census
        self._offers = offers
        self._held = held

    async def watch_the_clock(self) -> None:
        tidied = sampled = self._host.clock.steady()
        while True:
            now = self._host.clock.steady()
            if now - sampled >= 1:
                sampled = now
                self._sample_queues()
                self._held.look()
            for instance in self._instances.values():
                instance.handle(stimuli.TimePassed(now))
            if now - tidied >= self._host.settings.cleanup_interval:
                tidied = now
                if self._host.caches.clean():
                    self._host.feed.touch_host()
                for instance in self._instances.values():
                    if instance.handle(stimuli.Tidy(now)):
                        tidied = -math.inf  # clients are given up one at a time: the next may follow at the next tick
            self._share_the_host()
            self._host.pending_questions.expire(self._host.clock.wall())
            self._offers.expire(self._host.clock.wall())
            await anyio.sleep(TICK)

    async def take_census(self) -> None:
        while True:
            slots = [slot for instance in self._instances.values() for slot in instance.pool]
            pause = await self._census.take(slots, over=self._host.settings.memory_interval, heed=self._heed_measures)
            await anyio.sleep(pause)

    def _heed_measures(self, slots: Sequence[Slot]) -> None:
        feed = self._host.feed
        by_instance: dict[str, list[Slot]] = {}
        for slot in slots:
            by_instance.setdefault(slot.instance, []).append(slot)
        for name, own in by_instance.items():
            if (instance := self._instances.get(name)) is not None:
                instance.handle(stimuli.MemoryMeasured(tuple(own)))
                instance.scheduler.ledger.count()  # while they are at hand
        self._host.room.note_available(self._census.memory_available)
        for instance in self._instances.values():
            instance.handle(stimuli.HostChanged())
        feed.touch_host()
        for slot in slots:
            feed.touch_client(slot.id)
            if slot.session is not None:
                feed.touch_session(slot.session.key)

    async def watch_state(self) -> None:
        """Notices a state directory that was taken away also while no prompt arrives."""
        while True:
            await self._host.journal.verify()
            await anyio.sleep(LOOK)

    async def make_private(self) -> None:
        """What earlier runs, and the clients of other versions, have left open to other users of this machine."""
        with _not_now("the state directory cannot be looked at"):
            await run_in_thread(tighten, self._host.settings.state_dir, abandon_on_cancel=True)

    async def measure_disk(self) -> None:
        """Also what a session has on disk is shown as it was then."""
        while True:
            sessions = [session for one in self._instances.values() for session in one.sessions.values()]
            belongings = [
                Belongings(session.uuid, str(session.workspace or "")) for session in sessions if session.uuid
            ]
            with _not_now("what is on disk cannot be measured"):
                self._host.disk = await run_in_thread(self._host.eraser.measure, belongings, abandon_on_cancel=True)
                self._host.disk_measured_at = self._host.clock.wall()
            self._host.feed.touch_host()
            async for session in in_slices(sessions):
                self._host.feed.touch_session(session.key)
            await anyio.sleep(MEASURING)

    async def remove_what_is_over(self) -> None:
        templates = [instance.template for instance in self._instances.values()]
        ttls = {template.slug: template.workspace_ttl for template in templates}
        with _not_now("workspaces that no session knows are not looked for"):
            await self._host.eraser.sweep(ttls)
        await self._host.eraser.run()

    async def prune_journal(self) -> None:
        while True:
            await self._host.journal.prune(self._host.clock.wall() - RETENTION)
            await anyio.sleep(PRUNING)

    def _sample_queues(self) -> None:
        for instance in self._instances.values():
            instance.handle(stimuli.QueueSampled())

    def _share_the_host(self) -> None:
        """An instance kept out by the host's limits gets the place of another's idle client, or one that is free."""
        if (found := self._host.room.find_victim()) is not None:
            self._instances[found.slot.instance].handle(stimuli.PlaceClaimed(found.slot, found.may_sleep))
        pools = [instance.pool for instance in self._instances.values()]
        swap = self._census.swap_use(self._host.room.ledger.swapped, self._host.settings)
        if (asleep := find_longest_asleep(pools, swap)) is not None:
            self._instances[asleep.instance].handle(stimuli.EndClient(asleep, EndReason.SWAPPED))
        for instance in self._instances.values():
            if instance.scheduler.has_found_room:
                instance.handle(stimuli.HostChanged())
