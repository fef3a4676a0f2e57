"""Wires the rooms together and is the one `Engine` that runs. It decides nothing itself.

async with Supervisor(templates, settings) as supervisor:
    ticket = await supervisor.submit(Prompt("helpdesk", "Hello"))
    print(await ticket.outcome())
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import uuid4
from weakref import WeakValueDictionary

import anyio
from anyio.abc import TaskGroup, TaskStatus

from supervisor.api import events as past
from supervisor.api.actor import current_actor
from supervisor.api.addressing import find_key
from supervisor.api.checks import (
    check_answer,
    check_count,
    check_deadline,
    check_key,
    check_name,
    check_prompt,
    check_signature,
    check_whole,
    check_words,
)
from supervisor.api.codec import ANSWER_WORDS
from supervisor.api.engine import Ticket
from supervisor.api.entries import Glimpse
from supervisor.api.errors import (
    AcceptanceUnknown,
    BullpenError,
    NotAccepting,
    OutcomeUnknown,
    OverShare,
    Refused,
    RequestConflict,
    UnknownAgent,
    UnknownTarget,
)
from supervisor.api.ids import validate_id
from supervisor.api.snapshot import Snapshot
from supervisor.api.types import Answer, Archetype, Prompt, SessionKey, TurnState, TurnView
from supervisor.claude.options import MakeConnector, bundled_cli
from supervisor.claude.start_files import FOLDER, clear_start_files
from supervisor.clock import Clock
from supervisor.config.live_limits import adjust_settings, describe_host_limits, describe_limits, take_max_wait
from supervisor.config.restrictions import missing_skills
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.conversation import Conversation
from supervisor.engine.housekeeping import Housekeeping
from supervisor.engine.memory_sampler import Census
from supervisor.engine.question_log import QuestionBook
from supervisor.engine.view import View, find_client
from supervisor.feed import Feed, Subscription
from supervisor.files.session_files import CliStore
from supervisor.instance import stimuli
from supervisor.instance.erasing import Eraser
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.journal import Journal, Note, OfferOutcome, TurnRecord
from supervisor.journal.past_events import ANSWERED, tell_action, tell_past
from supervisor.process.adopted import adopting
from supervisor.process.client import Client
from supervisor.process.end_reason import EndReason
from supervisor.process.patience import KILL
from supervisor.recovery.offers import OfferDesk
from supervisor.recovery.orphans import end_marked, end_orphans
from supervisor.recovery.takeover import Restart
from supervisor.scheduling.admission import HostRoom
from supervisor.sessions.daily_usage import midnight
from supervisor.sessions.open_questions import OpenQuestions
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.ticket import PromptTicket, RecordedTicket
from supervisor.sessions.turn import Turn
from supervisor.text.cleaning import one_line
from supervisor.text.values import in_words

FORGETTING = 0.1
"""Seconds between two looks whether the last session of a user has ended."""
LAST_REMOVAL = 5.0
"""Seconds that removing what ended sessions have on disk may take at the end; the next start does the rest."""
LAST_RESORT = 60.0
"""Limit, in seconds, for a shutdown after an internal error."""

MOST_TOLD = 20
"""Rows of an earlier run's journal that cannot be read and are told on the feed; the log has all of them."""
MOST_ACTIONS = 10_000
"""Of operators, that are read back at once."""
MOST_WAITING_TEXT = 16 * 1024 * 1024
"""Characters of all the prompts that wait in one instance, however many may wait (`queue.maxWaiting`)."""


class Supervisor:
    """Owns the instances, the feed, the open questions and the task group that all clients run in."""

    def __init__(
        self,
        templates: Iterable[Template],
        settings: Settings,
        *,
        connect: MakeConnector | None = None,
        environment: Mapping[str, str] | None = None,
        endpoint: str = "",
        clock: Clock | None = None,
        keeps_queue: bool = True,
        name: str = "bullpen",
        left_out: Iterable[str] = (),
    ) -> None:
        """`connect` makes the connector of a template; by default the bundled CLI, with `environment` added to what it
        inherits. `endpoint` is what the screen calls the place the clients talk to. With `keeps_queue`, what waits when
        it ends is left to the next run on the same state directory, and it takes over what an earlier one has left;
        without, it ends what it was given and leaves the rest alone. `name` is what a second supervisor is told.
        `left_out` are the mistakes in files of templates that do not run, for the screen."""
        self.failure: BaseException | None = None
        """Our own mistake, once there was one; `run` raises it after everything has been ended."""
        self._clock = clock or Clock()
        self._census = Census(self._clock)
        self._tasks: TaskGroup | None = None
        self._is_up = False
        """What an earlier run left has been taken over, and nothing has ended yet."""
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._emptied = anyio.Event()
        self._instances: dict[str, Instance] = {}
        self._turns: dict[str, Turn] = {}
        """Those that wait or run, by id."""
        self._forgotten: set[str] = set()
        """Users whose sessions are being removed."""
        self._strangers: frozenset[str] = frozenset()
        """Conversations and workspaces of instances that this start does not have: left as they are."""
        self._past: tuple[past.Event, ...] = ()
        """What earlier runs did."""
        self._given: WeakValueDictionary[str, PromptTicket] = WeakValueDictionary()
        """All that a caller may still hold, by the id of its turn."""
        self._requests: WeakValueDictionary[tuple[str, str], PromptTicket] = WeakValueDictionary()
        """Those whose prompt has the name of a request, by user and that name."""
        self._host = HostContext(
            clock=self._clock,
            settings=settings,
            starts=anyio.CapacityLimiter(settings.connect_limit),
            room=HostRoom(settings.max_agents, settings.memory_budget),
            mark=uuid4().hex,
            workspaces=settings.state_dir / "workspaces",
            keeps_queue=keeps_queue,
            spawn=self._spawn,
        )
        self.view = View(self._instances, self._host, self._census, endpoint=endpoint, left_out=tuple(left_out))
        """Single rows, for callers that need no snapshot."""
        self._feed = self._host.feed = Feed(self.view)
        self._host.pending_questions = OpenQuestions(self._clock, QuestionBook(self._instances, self._host))
        self._host.eraser = Eraser(self._host, CliStore.of({**os.environ, **(environment or {})}), self._in_use)
        self._name = name
        self._offers = OfferDesk(self._instances, self._host, self._take_in)
        make = connect or bundled_cli(settings, environment or {})
        for template in templates:
            missing = tuple(missing_skills(template, environment or {}))
            self._instances[template.name] = Instance(template, make(template), self._host, missing)

    @property
    def settings(self) -> Settings:
        return self._host.settings

    def __repr__(self) -> str:
        return f"<Supervisor of {', '.join(map(repr, self._instances.values()))}>"

    # Living

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Runs until `stop`. Whatever ends it, every process has been ended when it returns.

        Raises `StateInUse` or `JournalUnusable` before anything is started.
        """
        try:
            async with (
                adopting(),
                Journal.open(self.settings.state_dir, clock=self._clock, name=self._name) as journal,
                anyio.create_task_group() as tasks,
                anyio.create_task_group() as chores,
            ):
                self._tasks = tasks
                self._host.log = journal
                journal.watch_failing(self._heed_the_journal)
                journal.watch_lost(self._tell_lost)
                housekeeping = Housekeeping(self._instances, host=self._host, census=self._census, offers=self._offers)
                # From here on a client may be started, so from here on everything has to be ended.
                try:
                    await self._take_over(journal)
                    self._is_up = True
                    chores.start_soon(self._guard, housekeeping.watch_the_clock)
                    chores.start_soon(self._guard, housekeeping.take_census)
                    chores.start_soon(self._guard, housekeeping.prune_journal)
                    chores.start_soon(self._guard, housekeeping.watch_state)
                    chores.start_soon(self._guard, housekeeping.make_private)
                    chores.start_soon(self._guard, housekeeping.remove_what_is_over)
                    chores.start_soon(self._guard, housekeeping.measure_disk)
                    for instance in self._instances.values():
                        instance.handle(stimuli.HostChanged())
                    task_status.started()
                    await self._stopping.wait()
                finally:
                    self._stopping.set()
                    with anyio.CancelScope(shield=True):
                        await self._end_everything()
                        with self._host.patience.wait(LAST_REMOVAL, until=KILL):
                            await self._host.eraser.finish_at_last()
                    self._tasks = None
                    chores.cancel_scope.cancel()
        finally:
            self._is_up = False
            self._host.log = None
            for ticket in tuple(self._given.values()):
                ticket.withdraw(_tell_unknown(ticket))
            self._stopped.set()
        if self.failure is not None:
            raise self.failure

    async def _take_over(self, journal: Journal) -> None:
        """What an earlier run left behind: its processes are ended first, for each would be a second writer."""
        loaded = await journal.load()
        orphans, left_over = await end_orphans(loaded.clients)
        self._host.eraser.take(loaded.removals)
        if not left_over:
            for client in loaded.clients:
                journal.forget_client(client.mark)
                if client.key is None:
                    self._host.eraser.discard_spare(client)
        self._strangers = frozenset(
            place
            for one in loaded.sessions
            if one.key.instance not in self._instances
            for place in (one.uuid, one.workspace)
        )
        await anyio.to_thread.run_sync(clear_start_files, self.settings.state_dir / FOLDER)
        earlier = await journal.past(midnight(self._clock.wall()))
        self._host.today.add(earlier.used, self._clock.wall())
        self._past = tell_past(earlier)
        taken = Restart(self._instances, self._host, self._offers, self._take_in).take_over(loaded)
        for gist in earlier.gists:
            if (one := self._instances.get(gist.key.instance)) and (session := one.sessions.get(gist.key)):
                session.gist.restore(gist.about, gist.user, gist.latest)
        now = self._clock.wall()
        if orphans or any(taken):
            self._feed.greeting = (past.Restarted(at=now, orphans=orphans, **taken._asdict()),)
        self._feed.greeting += tuple(
            past.RecordLost(at=now, message=f"{row.id} in {row.table} cannot be read ({row.why}): it was given up")
            for row in loaded.unreadable[:MOST_TOLD]
        )

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[Supervisor]:
        async with anyio.create_task_group() as group:
            await group.start(self.run)
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self.stop()

    async def __aenter__(self) -> Supervisor:
        self._context = self._running()
        return await self._context.__aenter__()

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._context.__aexit__(*exc)  # type: ignore[arg-type]

    async def stop(self) -> None:
        self._stopping.set()
        await self._stopped.wait()

    def hold_starts(self) -> Callable[[], None]:
        """No process of a client is started until what this returns is called: starting them, and all that is imported
        for the first of them, would be in the way of whatever is more urgent now."""
        starts = self._host.starts
        holders = [object() for _ in range(int(starts.total_tokens))]
        for holder in holders:
            starts.acquire_on_behalf_of_nowait(holder)

        def release() -> None:
            while holders:
                starts.release_on_behalf_of(holders.pop())

        return release

    def hurry(self) -> None:
        """Shortens the end of every process, once `stop` or a cancel has begun it. The first call: all are told to end
        (TERM) at once, no interrupt and no disconnect is waited for. The second: all are killed at once. Nothing else
        is left out: the end is verified and recorded as ever."""
        self._host.patience.hurry()
        if self._tasks is not None:
            self._tasks.start_soon(self._hurry_processes, self._host.patience.level >= KILL)

    async def _hurry_processes(self, kills: bool) -> None:
        """Also those of clients that are still starting, which nothing else reaches."""
        with anyio.CancelScope(shield=True):
            await end_marked(self._host.mark, kills=kills)

    async def drained(self, instance: str | None = None) -> None:
        wanted = list(self._instances.values()) if instance is None else [self._instance(instance)]
        while not all(one.is_empty for one in wanted):
            await self._emptied.wait()

    def _in_use(self) -> set[str]:
        """Conversations and workspaces that must not be removed."""
        found = {*self._strangers}
        for instance in self._instances.values():
            for session in instance.sessions.values():
                found |= {session.uuid, str(session.workspace or "")}
            for slot in instance.pool:
                found |= {slot.uuid, str(slot.workspace)}
        return found - {""}

    async def _end_everything(self) -> None:
        with anyio.move_on_after(math.inf if self.failure is None else LAST_RESORT):
            while True:
                # Again and again: what was on its way between two states the last time is caught the next.
                for instance in self._instances.values():
                    instance.handle(stimuli.Kill(EndReason.STOPPING))
                with anyio.move_on_after(1.0):
                    await self.drained()
                    return

    def _spawn(self, client: Client[Slot]) -> None:
        assert self._tasks is not None, "the supervisor runs"
        self._tasks.start_soon(self._guard, partial(self._tend, client), name=f"client {client.place.id}")

    async def _tend(self, client: Client[Slot]) -> None:
        """One client from its start to its end. A native cancel of its task ends that client and no other."""
        work = client.run
        while not client.is_gone:
            try:
                await work()
            except asyncio.CancelledError:
                # Of anyio's cancels none gets through `leave`, so this one is native, or everything ends.
                if client.is_gone and self._tasks is not None and self._tasks.cancel_scope.cancel_called:
                    raise
            client.end(EndReason.CANCELLED)
            work = client.leave

    async def _guard(self, work: Callable[[], object]) -> None:
        """Keeps our own mistakes: publishes the first one and ends everything in order, instead of tearing it down."""
        try:
            await work()  # type: ignore[misc]
        except Exception as error:
            if self.failure is None:
                self.failure = error
                self._feed.publish(past.EngineFailed(at=self._clock.wall(), message=repr(error)))
            self._stopping.set()
        finally:
            self._notice_emptiness()

    def _heed_the_journal(self) -> None:
        """What could not begin while nothing could be recorded begins when it can."""
        self._feed.touch_host()
        if self._stopping.is_set():
            return  # nothing begins any more
        for instance in self._instances.values():
            instance.handle(stimuli.HostChanged())
            for session in instance.sessions.values():
                if len(session.mailbox):
                    instance.touch(session)

    def _tell_lost(self, note: Note, why: str) -> None:
        """Something cannot be recorded because of a value in it: that is told, and stops nothing."""
        key = note.key or SessionKey("", "", "")
        facts = {"instance": key.instance, "user": key.user, "session": key.session, "turn": note.turn_id}
        message = f"{note.what or 'a note'} cannot be recorded ({why})"
        self._feed.publish(past.RecordLost(at=self._clock.wall(), message=message, **facts))

    def _notice_emptiness(self) -> None:
        emptied, self._emptied = self._emptied, anyio.Event()
        emptied.set()

    # Every verb is `async` because a remote engine has to wait for an answer. None here waits: it has taken effect when
    # its coroutine ran once, so that two verbs awaited one after the other are applied in that order, and cancelling
    # the caller leaves a verb either whole or undone.

    # Looking

    async def watch(self) -> Subscription:
        return self._feed.watch()

    async def snapshot(self) -> Snapshot:
        return self.view.snapshot()

    async def conversation(self, key: SessionKey) -> Conversation:
        return self._session(key).conversation

    async def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        return self._session(key).glimpse(check_whole(count, "how many entries"))

    async def audit(self, count: int = 100) -> tuple[past.ActionTaken, ...]:
        count = check_count(count, MOST_ACTIONS, "how many actions")
        self._check_running()
        return tuple(map(tell_action, self._host.journal.actions(count)))

    async def past(self) -> tuple[past.Event, ...]:
        return self._past

    # Prompts

    # Every verb looks at its arguments first (`checks`) and changes nothing before its last step that may fail.

    async def submit(self, prompt: Prompt) -> Ticket:
        prompt = check_prompt(prompt)
        instance = self._running_instance(prompt.agent)
        key = find_key(prompt, instance.archetype)
        if prompt.request and (known := await self._find_request(prompt)) is not None:
            return known
        if self._stopping.is_set():
            raise NotAccepting("bullpen is stopping")
        if not instance.is_accepting:
            raise NotAccepting(f"{instance.name} takes no prompts: it is {instance.state}; resume it, or try later")
        session = instance.sessions.get(key)
        if session is not None and session.is_closing:
            raise NotAccepting(f"{key} is being closed; ask again in a moment")
        if prompt.user in self._forgotten:
            raise NotAccepting(f"user {prompt.user} is being forgotten; ask again in a moment")
        self._check_room(instance, session, prompt)
        is_single_call = instance.archetype is Archetype.TOOL and not prompt.session
        turn = instance.handle(stimuli.SubmitPrompt(key, prompt, is_single_call))
        self._take_in(turn)
        return turn.ticket

    async def _find_request(self, prompt: Prompt) -> Ticket | None:
        """The ticket of the turn that a request of this name began. Raises `RequestConflict`."""
        journal = self._host.journal
        live = self._requests.get((prompt.user, prompt.request))
        turn_id = live.turn_id if live is not None else journal.find_request(prompt.user, prompt.request)
        record = await journal.find_turn(turn_id) if turn_id else None
        if record is None:
            return None
        # Of a conversation that is over, the words are not kept.
        if record.prompt != (prompt if record.prompt.text else replace(prompt, text="")):
            raise RequestConflict(
                f"request {prompt.request!r} of {prompt.user} is another prompt already (turn {record.id}): give this "
                "one a name of its own"
            )
        return self._find_ticket(record)

    async def ticket(self, turn_id: str) -> Ticket:
        return self._find_ticket(await self._find_turn(turn_id))

    def _find_ticket(self, record: TurnRecord) -> Ticket:
        if (ticket := self._given.get(record.id)) is not None:
            return ticket
        if record.outcome is None:
            raise OutcomeUnknown(f"turn {record.id} has no outcome, and does not run: look at {record.key}")
        return RecordedTicket(record.id, record.key, record.outcome)

    async def _find_turn(self, turn_id: str) -> TurnRecord:
        name = check_name(turn_id, "the id of a turn")
        self._check_running()
        if (record := await self._host.journal.find_turn(name)) is None:
            raise UnknownTarget(f"no turn {one_line(name, 100)} is known")
        return record

    async def turn(self, turn_id: str) -> TurnView:
        record = await self._find_turn(turn_id)
        ticket = self._given.get(record.id)
        is_over = record.outcome is not None and (ticket is None or ticket.is_told)
        running = TurnState.RUNNING if record.started_at is not None else TurnState.WAITING
        view = TurnView(
            id=record.id,
            key=record.key,
            state=TurnState.ENDED if is_over else running,
            prompt=record.prompt,
            queued_at=record.queued_at,
            started_at=record.started_at,
            ended_at=record.ended_at if is_over else None,
            outcome=record.outcome if is_over else None,
        )
        live = self._turns.get(record.id)
        if live is None or live.state is not TurnState.WAITING:
            return view
        row = self.view.session_row(live.key)
        waiting = next((one for one in row.waiting if one.turn_id == record.id), None) if row is not None else None
        if waiting is None:
            return view
        return replace(
            view,
            state=TurnState.WAITING,
            started_at=None,
            why=waiting.why,
            position=waiting.position,
            place=waiting.place,
        )

    async def withdraw(self, turn_id: str) -> None:
        self._check_running()
        turn = self._turns.get(check_name(turn_id, "the id of a turn"))
        if turn is None:
            raise UnknownTarget(f"no turn {turn_id} waits or runs")
        self._stop_turn(self._session(turn.key), turn, "withdrawn by its caller")

    async def interrupt(self, key: SessionKey, turn_id: str = "") -> bool:
        self._check_running()
        session = self._session(key)
        candidates = (turn for turn in session.turns_to_stop if turn_id in ("", turn.id))
        turn = next(candidates, None)
        was_stopped = turn is not None and self._stop_turn(session, turn, "interrupted by the operator")
        if was_stopped:
            self._log_action("interrupt", session.key)
        return was_stopped

    def _stop_turn(self, session: Session, turn: Turn, reason: str) -> bool:
        return self._instances[session.key.instance].handle(stimuli.StopTurn(session, turn, reason))

    async def clear_queue(self, instance: str, key: SessionKey | None = None) -> int:
        found = self._running_instance(instance)
        session = self._session(key) if key is not None else None
        if session is not None and session.key.instance != found.name:
            raise UnknownTarget(f"{session.key} is no session of {found.name}")
        count = found.handle(stimuli.ClearQueue(session))
        self._log_action("clear-queue", found.name if session is None else session.key, f"{count} cancelled")
        return count

    def _take_in(self, turn: Turn) -> None:
        self._turns[turn.id] = turn
        self._given[turn.id] = turn.ticket
        if turn.prompt.request:
            self._requests[turn.prompt.user, turn.prompt.request] = turn.ticket
        turn.on_end(lambda: self._forget_turn(turn))

    def _forget_turn(self, turn: Turn) -> None:
        del self._turns[turn.id]
        self._notice_emptiness()

    def _check_room(self, instance: Instance, session: Session | None, prompt: Prompt) -> None:
        queue, size = instance.template.queue, len(prompt.text)
        own = sum(
            turn.prompt.user == prompt.user and turn.key.instance == instance.name and turn.is_prompt
            for turn in self._turns.values()
        )
        if own >= queue.max_per_user:
            raise OverShare(
                f"{prompt.user} has {own} prompts waiting and running with {instance.name}, which is one user's share "
                "(queue.maxPerUser): wait for one of them",
                retry_after=instance.make_saturated("").retry_after,
            )
        if instance.turns.waiting >= queue.max_waiting:
            raise instance.make_saturated(f"{instance.turns.waiting} prompts wait, no more are taken")
        if instance.turns.waiting_text + size > MOST_WAITING_TEXT:
            words = f"the prompts that wait have {instance.turns.waiting_text:,} characters, no more are taken"
            raise instance.make_saturated(words)
        if session is not None and len(session.mailbox) >= queue.max_waiting_per_session:
            raise instance.make_saturated(f"{len(session.mailbox)} prompts wait in this session alone")

    # Questions

    async def answer(self, question_id: str, answer: Answer, *, by: str = "operator") -> None:
        self._check_running()
        name, given, who = check_name(question_id, "the id of a question"), check_answer(answer), check_signature(by)
        question = self._host.pending_questions.answer(name, given, who)
        detail = f"{question.tool}: {ANSWER_WORDS[type(given)]}"
        # Of the feed, `QuestionSettled` is the event that tells it.
        self._host.journal.note_action(
            self._clock.wall(), ANSWERED, str(question.key), detail, who, current_actor().via
        )

    # Turns that a restart interrupted

    async def replay(self, key: SessionKey) -> Ticket:
        self._check_running()
        session = self._session(key)
        instance = self._instances[session.key.instance]
        if self._stopping.is_set() or not instance.is_accepting or session.is_closing:
            raise NotAccepting(f"{instance.name} takes no prompts: it is {instance.state}; the offer is kept")
        turn = self._offers.replay(session)
        self._log_action("replay", session.key)
        return turn.ticket

    async def drop_offer(self, key: SessionKey) -> None:
        self._check_running()
        session = self._session(key)
        self._offers.settle(session, OfferOutcome.DROPPED)
        self._log_action("drop", session.key)

    # Limits

    async def limits(self, instance: str = "") -> dict[str, str]:
        if instance == "":
            return describe_host_limits(self.settings)
        return describe_limits(self._instance(instance).template)

    async def adjust(self, instance: str, limit: str, value: str) -> None:
        limit, value = check_words(limit, "the name of a limit"), check_words(value, "the value of a limit")
        self._check_running()
        if instance != "":
            self._running_instance(instance).handle(stimuli.Adjust(limit, value, self.settings.max_agents))
        else:
            self._adjust_host(limit, value)
        self._log_action("set", instance or "host", f"{limit} {value}")

    def _adjust_host(self, limit: str, value: str) -> None:
        settings = adjust_settings(self.settings, limit, value)
        host = self._host
        changed = {
            name: take_max_wait(instance.template, self.settings, settings)
            for name, instance in self._instances.items()
        }
        for name, template in changed.items():
            self._instances[name].handle(stimuli.ApplyTemplate(template))
        host.settings = settings
        host.starts.total_tokens = settings.connect_limit
        host.room.max_agents = settings.max_agents
        host.room.memory_budget = settings.memory_budget
        self._feed.touch_host()
        for instance in self._instances.values():
            instance.handle(stimuli.HostChanged())

    # Instances

    async def pause(self, instance: str) -> None:
        self._running_instance(instance).handle(stimuli.Pause())
        self._log_action("pause", instance)

    async def resume(self, instance: str) -> None:
        if self._stopping.is_set():
            raise Refused("bullpen is stopping")
        self._running_instance(instance).handle(stimuli.Resume())
        self._log_action("resume", instance)

    async def drain(self, instance: str, *, deadline: float | None = None) -> None:
        seconds = self.settings.drain_deadline if deadline is None else check_deadline(deadline)
        self._running_instance(instance).handle(stimuli.Drain(seconds))
        self._log_action("drain", instance)

    async def kill(self, instance: str) -> None:
        self._running_instance(instance).handle(stimuli.Kill())
        self._log_action("kill", instance)

    async def scale(self, instance: str, max_sessions: int) -> None:
        most, max_sessions = self.settings.max_agents, check_whole(max_sessions, "how many turns may run in parallel")
        self._running_instance(instance)
        if max_sessions > most:
            raise Refused(f"{instance} cannot be scaled to {max_sessions}: this host holds {most} clients (max_agents)")
        self._running_instance(instance).handle(stimuli.Scale(max_sessions))
        self._log_action("scale", instance, str(max_sessions))

    # Single things

    async def kill_client(self, client_id: str) -> None:
        self._check_running()
        if (found := find_client(self._instances, check_name(client_id, "the id of a client"))) is None:
            raise UnknownTarget(f"no client {client_id}: it is gone already")
        slot, instance = found
        instance.handle(stimuli.EndClient(slot, EndReason.KILLED))
        self._log_action("kill-client", client_id)

    async def warm(self, key: SessionKey) -> bool:
        self._check_running()
        session = self._session(key)
        if self._stopping.is_set():
            return False
        return self._instances[session.key.instance].handle(stimuli.WarmSession(session))

    async def hibernate(self, key: SessionKey) -> None:
        self._check_running()
        session, key = self._session(key), check_key(key)
        if session.slot is None:
            raise Refused(f"{key} is hibernated already")
        if not session.slot.is_evictable:
            raise Refused(f"{key} is {session.status}: interrupt it first, or wait")
        self._instances[key.instance].handle(stimuli.EndClient(session.slot, EndReason.HIBERNATED))
        self._log_action("hibernate", key)

    async def compact(self, key: SessionKey) -> Ticket:
        self._check_running()
        session, key = self._session(key), check_key(key)
        instance = self._running_instance(key.instance)
        if session.running is not None:
            raise Refused(f"{key} runs a turn: interrupt it first, or wait")
        if not session.has_history:
            raise Refused(f"{key} has no conversation yet: there is nothing to compact")
        if self._stopping.is_set() or not instance.is_accepting or session.is_closing:
            raise NotAccepting(f"{instance.name} begins nothing: it is {instance.state}")
        if any(turn.is_command for turn in session.mailbox):
            raise Refused(f"{key} is about to be compacted already")
        turn = instance.handle(stimuli.CompactSession(session))
        self._take_in(turn)
        self._log_action("compact", key)
        return turn.ticket

    async def close_session(self, key: SessionKey) -> None:
        self._check_running()
        session, key = self._session(key), check_key(key)
        if session.running is not None or len(session.mailbox):
            raise Refused(f"{key} has turns running or waiting: interrupt and clear its queue first")
        instance = self._instances[key.instance]
        if session.offer is not None:
            self._offers.settle(session, OfferOutcome.DROPPED)
        instance.handle(stimuli.CloseSession(session))
        self._log_action("close", key)

    async def forget_user(self, user: str) -> int:
        validate_id(user, "user")
        sessions = [
            (instance, session)
            for instance in self._instances.values()
            for session in instance.sessions.values()
            if session.key.user == user
        ]
        if not sessions:
            raise UnknownTarget(f"no session of user {user}; `bullpen forget {user}` also looks for what is left")
        if not self._is_up or self._tasks is None:
            raise NotAccepting("bullpen does not run")
        self._forgotten.add(user)
        for instance in self._instances.values():
            for session in instance.sessions.values():
                if session.gist.user == user:  # a conversation that users share stays
                    session.gist.clear()
                    instance.touch(session)
        for instance, session in sessions:
            if session.offer is not None:
                self._offers.settle(session, OfferOutcome.DROPPED)
            instance.handle(stimuli.ForgetSession(session))
        self._host.eraser.hasten(user)
        self._tasks.start_soon(self._guard, partial(self._forget, user), name="forget a user")
        self._log_action("forget", "a user", "1 session" if len(sessions) == 1 else f"{len(sessions)} sessions")
        return len(sessions)

    async def _forget(self, user: str) -> None:
        """The rest of a person, once no session is left."""
        try:
            while any(key.user == user for instance in self._instances.values() for key in instance.sessions):
                if self._stopping.is_set() and all(instance.is_empty for instance in self._instances.values()):
                    break
                with anyio.move_on_after(FORGETTING):
                    await self._emptied.wait()
            written = anyio.Event()
            self._host.journal.forget_user(user, on_written=written.set)
            with anyio.move_on_after(LAST_REMOVAL):
                await written.wait()
                await self._host.journal.scrub()
        finally:
            self._forgotten.discard(user)

    # Finding

    def _running_instance(self, name: str) -> Instance:
        self._check_running()
        return self._instance(name)

    def _check_running(self) -> None:
        """For whatever changes something: what is done has to be recorded. Raises `NotAccepting`."""
        if not self._is_up or self._host.log is None or self._host.log.is_closed:
            raise NotAccepting("bullpen does not run")

    def _instance(self, name: str) -> Instance:
        if not isinstance(name, str) or (instance := self._instances.get(name)) is None:
            raise UnknownAgent(f"no agent {in_words(name)}; there are: {', '.join(sorted(self._instances)) or 'none'}")
        return instance

    def _session(self, key: SessionKey) -> Session:
        key = check_key(key)
        if (session := self._instance(key.instance).sessions.get(key)) is None:
            raise UnknownTarget(f"no session {one_line(str(key), 300)}")
        return session

    def _log_action(self, verb: str, target: SessionKey | str, detail: str = "") -> None:
        ids: dict[str, str] = {"instance": str(target)}
        if isinstance(target, SessionKey):
            ids = {"instance": target.instance, "user": target.user, "session": target.session}
        now, actor = self._clock.wall(), current_actor()
        if self._host.log is not None and not self._host.log.is_closed:
            self._host.log.note_action(now, verb, str(target), detail, actor.name, actor.via)
        self._feed.publish(past.ActionTaken(at=now, verb=verb, detail=detail, by=actor.name, via=actor.via, **ids))


def _tell_unknown(ticket: PromptTicket) -> BullpenError:
    """What is not known of a turn when nothing can be recorded any more."""
    if not ticket.is_accepted:
        return AcceptanceUnknown(
            f"it is not known whether prompt {ticket.turn_id} was recorded before bullpen ended: if it was, it runs "
            f"after the next start; look there for {ticket.key} before you send it again"
        )
    return OutcomeUnknown(
        f"how turn {ticket.turn_id} ended could not be recorded: the next start offers it again or runs it; look there "
        f"for {ticket.key} before you send it again"
    )
