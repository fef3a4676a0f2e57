"""Whose turn it is that a process works on: that of the prompt it was given, or one that the CLI began by itself.

Nothing is attributed to a prompt before the CLI has named it: with the request for its reply, or with its Result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic

import anyio
from anyio.abc import TaskGroup

from supervisor.process.listener import Listener, PlaceT
from supervisor.process.reports import (
    NEVER_WRITTEN,
    CallMade,
    ClientEvent,
    Compacted,
    Limited,
    Prodded,
    Requested,
    Rested,
    Result,
    Woke,
)

REST = 1.0
"""Seconds to wait for the idle sign after a Result (1-5 ms later as measured: no new prompt may overtake it), and for
what a process does that woke without a prompt (20-130 ms)."""

BY_ITSELF = "a timer or a wake-up"
"""Why it begins a turn without a prompt, when it does not say."""


class Attribution(Generic[PlaceT]):
    """Hears what a process reports, in order, and tells the listener of turns that begin and end."""

    def __init__(self, place: PlaceT, listener: Listener[PlaceT], on_missed: Callable[[], object]) -> None:
        """`on_missed` is called when the CLI begins a prompt that is not wanted any more: the interrupt has hit the
        turn before it, and does not reach what was queued behind."""
        self.uuid = ""
        """Of the prompt whose Result is awaited; empty between turns."""
        self.unwanted = ""
        """The prompt that an interrupt was asked for: one that comes late does not hit the next turn."""
        self.written = asyncio.Event()
        """The prompt has been written: an interrupt that overtook it would have nothing to stop."""
        self.result_seen = asyncio.Event()
        self.own_over: asyncio.Event | None = None
        """A turn that the CLI has begun by itself runs; set when it is over."""
        self.is_stirred = False
        """It woke although no prompt had been written: it may be about to begin a turn by itself."""
        self.is_at_rest = True
        """It has said that it is idle, and nothing since: also what its agents do in the background is over."""
        self.rested: asyncio.Event | None = None
        """Set when the idle sign after a Result has come; None while no Result waits for one."""
        self._place = place
        self._listener = listener
        self._on_missed = on_missed
        self._is_picked_up = False
        """The CLI works on the prompt: what it says from here on is the answer, and nothing before was."""
        self._own_held: Result | None = None
        """The Result of a turn of its own, whose idle sign has not come yet."""
        self._why = BY_ITSELF
        self._changed = asyncio.Event()
        """What keeps a prompt from being written may be over."""
        self._resting: asyncio.TimerHandle | None = None
        """How long the idle sign is waited for."""
        self._late = asyncio.Event()
        """Set when the idle sign has not come in that time."""

    @property
    def is_quiet(self) -> bool:
        """A prompt that is written now cannot be merged into a turn that the CLI began by itself."""
        return self.own_over is None and not self.is_stirred

    @property
    def is_busy(self) -> bool:
        return bool(self.uuid) or not self.is_quiet

    @property
    def is_interruptible(self) -> bool:
        """Whether a turn runs that can be interrupted: the prompt's, when it was asked to stop, or one that the agent
        began by itself."""
        return bool(self.uuid and self.uuid == self.unwanted) or self.own_over is not None

    @property
    def ends(self) -> list[asyncio.Event]:
        """Set when each turn that runs is over."""
        own = [self.own_over] if self.own_over is not None else []
        return [*own, self.result_seen] if self.uuid else own

    # What is done to the process

    def expect(self, uuid: str) -> None:
        """A prompt is on its way to it."""
        self.uuid = uuid
        self._is_picked_up = False
        self.written = asyncio.Event()
        self.result_seen = asyncio.Event()

    def disown(self) -> None:
        """A prompt that has not been written yet never will be."""
        self.unwanted = self.uuid
        self._note_change()

    def give_up(self, uuid: str) -> None:
        """Interrupted before it was written: the process knows nothing of it, and never will."""
        self._finish(
            Result(
                prompt_uuids=(uuid,),
                text="",
                is_error=True,
                was_aborted=True,
                terminal_reason=NEVER_WRITTEN,
                error="",
                api_status=None,
            )
        )
        self._rest()

    def note_death(self) -> None:
        """Called when the process has died: tells what was waiting for an idle sign, and lets all waits end."""
        self._release_own()
        self._rest()
        self.written.set()
        self.result_seen.set()
        if self.own_over is not None:
            self.own_over.set()
        self._note_change()

    async def wait_for_quiet(self, uuid: str) -> None:
        """A prompt that is written while the CLI runs a turn that it began by itself may be merged into that one."""
        while self.own_over is not None and uuid != self.unwanted:
            await self._changed.wait()
        with anyio.move_on_after(REST):
            while self.is_stirred and uuid != self.unwanted:
                await self._changed.wait()
        if self.own_over is not None and uuid != self.unwanted:
            await self.wait_for_quiet(uuid)

    # What it reports

    def hear(self, event: ClientEvent, group: TaskGroup) -> None:
        """`group` lives as long as the process is read."""
        self.is_at_rest = isinstance(event, Rested) or (self.is_at_rest and isinstance(event, Limited))
        match event:
            case Result():
                self._take_result(event, group)
            case Rested():
                self.is_stirred, self._why = False, BY_ITSELF
                self._release_own()
                self._rest()
                self._note_change()
            case Requested(uuids) if self.uuid and self.uuid in uuids:
                self.pick_up()
            case Requested() if self.rested is not None or self._own_held is not None:
                # The next turn begins without an idle sign in between.
                self._release_own()
                self._rest()
                self._begin_own()
            case Prodded(why):
                self._why = why
            case Woke():
                has_prompt = self.uuid and self.written.is_set()
                self.is_stirred = not has_prompt and self.own_over is None
                self._listener.client_told(self._place, event)
            case Limited() | CallMade():
                self._listener.client_told(self._place, event)
            case _:
                if self.rested is None and not self._is_picked_up and not isinstance(event, Compacted):
                    self._begin_own()
                self._listener.client_told(self._place, event)

    def _take_result(self, result: Result, group: TaskGroup) -> None:
        if self._is_awaited(result):
            if not self._is_picked_up:
                self.pick_up()
            self._finish(result)
        elif self.rested is None:
            has_content = bool(result.text or result.error or result.usage.output_tokens)
            # In the middle of our turn there is no other one that it could end.
            is_possible = not self._is_picked_up and result.prompt_uuids is None
            if self.own_over is None and is_possible and has_content:
                self._begin_own()
            if self.own_over is not None:
                self._own_held = result
                group.start_soon(self._release_own_at_last, result)

    def _is_awaited(self, result: Result) -> bool:
        """Whether the Result ends the prompt's turn. A turn that the CLI began by itself has a Result as well."""
        if not self.uuid:
            return False
        if result.prompt_uuids:
            return self.uuid in result.prompt_uuids
        return result.is_own and self._is_picked_up

    def pick_up(self) -> None:
        """The CLI works on our prompt now: a turn of its own is over, or has become part of ours."""
        self.is_stirred = False
        if self.own_over is not None and self._own_held is None:
            self._end_own(None)
        self._release_own()
        if not self._is_picked_up:
            self._is_picked_up = True
            if self.uuid == self.unwanted:
                self._on_missed()

    def _finish(self, result: Result) -> None:
        """Tells the Result of our turn at once. The client is free when it has rested, in `REST` at the latest."""
        self.uuid, self._is_picked_up = "", False
        self.rested = asyncio.Event()
        # A timer, because a task for each turn takes as long as the whole of its Result.
        self._resting = asyncio.get_running_loop().call_later(REST, self._late.set)
        self.result_seen.set()
        self._listener.client_result(self._place, result)

    def _rest(self) -> None:
        """Tells that the client is free, where its Result was told and that was not."""
        rested, self.rested = self.rested, None
        self._late.clear()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if rested is not None:
            rested.set()
            self._listener.client_rested(self._place)

    async def rest_at_last(self) -> None:
        """Declares the client idle when the sign after a Result does not come in time. Runs as long as the process is
        read."""
        while True:
            await self._late.wait()
            if self._late.is_set():  # it may have come while this task was being woken
                self._rest()

    # Turns of its own

    def _begin_own(self) -> None:
        if self.own_over is None:
            self.own_over = asyncio.Event()
            self.is_stirred = False
            why, self._why = self._why, BY_ITSELF
            self._listener.client_began(self._place, why)

    def _release_own(self) -> None:
        if self._own_held is not None:
            self._end_own(self._own_held)

    async def _release_own_at_last(self, result: Result) -> None:
        await anyio.sleep(REST)
        if self._own_held is result:
            self._release_own()

    def _end_own(self, result: Result | None) -> None:
        over, self.own_over, self._own_held = self.own_over, None, None
        assert over is not None, "it runs"
        over.set()
        self._listener.client_own_result(self._place, result)
        self._note_change()

    def _note_change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
