"""Puts idle clients of one instance to sleep and wakes them: stopped, with their memory handed back, until a prompt."""

from __future__ import annotations

from itertools import takewhile

from supervisor.api import events as past
from supervisor.api.states import SlotState, WhyAwake
from supervisor.instance.core import InstanceCore
from supervisor.process.process_tree import TreeUsage
from supervisor.sessions.slot import Slot

AT_WORK = 5.0
"""Percent of a core: an idle client that uses more has something to do that would be stopped."""
TIMERS = frozenset({"CronCreate", "ScheduleWakeup", "Monitor"})
"""Tools that have the CLI wake by itself, which it could not do while it is stopped."""


def find_why_awake(slot: Slot) -> WhyAwake | None:
    """What keeps an idle client from sleeping, however long it is idle; None when nothing does."""
    is_at_rest = slot.client is not None and slot.client.is_at_rest
    reasons = {
        WhyAwake.TIMER: slot.is_sleepless,
        WhyAwake.IN_BACKGROUND: not is_at_rest,
        WhyAwake.AT_WORK: slot.cpu_percent > AT_WORK,
        WhyAwake.SERVERS: bool(slot.awaited_servers),
        WhyAwake.NOT_STOPPED: slot.is_unstoppable,
    }
    return next((why for why, holds in reasons.items() if holds), None)


class Dormancy:
    """Puts idle clients of one instance to sleep and wakes them. It has no state: how a client sleeps is in its
    slot."""

    def __init__(self, core: InstanceCore) -> None:
        self._core = core

    def advance(self, now: float) -> None:
        """Puts to sleep what has been idle for long enough. `now` in steady seconds."""
        after = self._core.template.pool.dormant_after
        if after is None:
            return
        # They stand in the order in which they became READY: behind the first that was used lately are no others than
        # such. (One that rested or woke slowly may have to wait for the one before it, for as long as that took.)
        ready = self._core.pool.in_state(SlotState.READY)
        for slot in [*takewhile(lambda slot: now - slot.unused_since > after, ready)]:
            # Its processor time has to be known of a time in which nothing but what it has started could use any.
            is_known = slot.cpu_since >= slot.unused_since
            if is_known and self._may_sleep(slot):
                self.sleep(slot)

    def find_sleeper(self) -> Slot | None:
        """The idle client to put to sleep where memory is short; None where that would bring none back."""
        if not self._core.host.hands_back or self._core.template.pool.dormant_after is None:
            return None
        idle = (slot for slot in self._core.pool.in_state(SlotState.READY) if self._may_sleep(slot))
        return min(idle, key=lambda slot: slot.value, default=None)

    def _may_sleep(self, slot: Slot) -> bool:
        """Whether a client can be put to sleep: nothing of it is at work, it is worth keeping, and it was measured,
        because what it needs when it wakes has to be known."""
        is_wanted = slot.is_evictable and not slot.is_worthless and slot.memory_bytes > 0
        return is_wanted and find_why_awake(slot) is None

    def sleep(self, slot: Slot) -> None:
        assert slot.client is not None, "a READY slot has a client"
        slot.awake_bytes = max(slot.memory_bytes, slot.awake_bytes if slot.measures_thin else 0)
        slot.is_thin = slot.is_falling_asleep = True
        slot.is_sleep_told = False
        slot.slept_at, slot.dormant_since = self._core.clock.steady(), self._core.clock.wall()
        slot.move(SlotState.DORMANT)
        slot.client.sleep()
        self._touch(slot)

    def wake(self, slot: Slot) -> None:
        """Lets the client's processes go on. Its slot becomes READY or BUSY with the first sign of life."""
        assert slot.client is not None, "a DORMANT slot has a client"
        self._note_awake(slot)
        slot.client.wake()
        self._touch(slot)

    def note_slept(self, slot: Slot, measure: TreeUsage) -> None:
        if not slot.is_dormant:
            return
        slot.is_falling_asleep, slot.is_sleep_told = False, True
        if measure.processes:
            slot.note_measure(measure, self._core.clock.steady())
        self._core.publish(
            past.ClientDormant, slot.session, client=slot.id, before=slot.awake_bytes, after=slot.memory_bytes
        )
        self._touch(slot)

    def note_woken(self, slot: Slot, seconds: float) -> None:
        """The client has given a sign of life, `seconds` after it was woken. It may also be one that was to sleep and
        does not: it had something to say, or (0 s) could not be stopped."""
        if slot.is_dormant:
            slot.is_unstoppable = seconds == 0
            self._note_awake(slot)
        if not slot.is_waking:
            return
        slot.wake_seconds = seconds or slot.wake_seconds
        slot.move(SlotState.BUSY if slot.has_turn else SlotState.READY)
        if slot.is_sleep_told:  # else it was woken before it slept, and no event has told that it did
            slept = max(0.0, slot.woken_at - slot.slept_at)
            self._core.publish(past.ClientWoken, slot.session, client=slot.id, slept=slept, seconds=seconds)
        self._touch(slot)

    def _note_awake(self, slot: Slot) -> None:
        slot.is_falling_asleep = False
        slot.woken_at, slot.dormant_since = self._core.clock.steady(), None
        slot.move(SlotState.WAKING)

    def _touch(self, slot: Slot) -> None:
        self._core.host.feed.touch_client(slot.id)
        self._core.host.feed.touch_host()
        self._core.touch(slot.session)
