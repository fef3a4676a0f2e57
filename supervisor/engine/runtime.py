"""What a supervisor lives in: it takes over what an earlier run left, holds the task group that every client runs in,
and has ended every process when it returns. Verbs are the `Supervisor`'s."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Self, cast
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup, TaskStatus

from supervisor.api import events as past
from supervisor.api.automation import OpenRun, ScheduleMark
from supervisor.api.checks import check_agent
from supervisor.api.engine import Engine
from supervisor.api.errors import ConfigurationError, NotAccepting, UnknownAgent
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState
from supervisor.automation.answer_links import QuestionLinks
from supervisor.claude.connector import MakeConnector, bundled_cli
from supervisor.claude.contexts import ContextStore
from supervisor.claude.start_files import FOLDER, clear_start_files
from supervisor.clock import Clock
from supervisor.config.loading import hooks_for, schedules_for
from supervisor.config.settings import Settings, providers_of
from supervisor.config.templates import Template
from supervisor.config.validation import nearest
from supervisor.engine.agent_choice import AgentChoice
from supervisor.engine.automation import AutomationTask, compose
from supervisor.engine.gated_prompts import GatedPrompts
from supervisor.engine.held_turns import HeldTurns
from supervisor.engine.housekeeping import Housekeeping
from supervisor.engine.live_templates import LiveTemplates, find_changes
from supervisor.engine.memory_sampler import Census
from supervisor.engine.question_log import QuestionLog
from supervisor.engine.roster import Roster
from supervisor.engine.spending_limits import SpendingLimits
from supervisor.engine.template_watch import TemplateWatch
from supervisor.engine.turn_registry import TurnRegistry
from supervisor.engine.view import View
from supervisor.feed import Feed
from supervisor.files.session_files import CliStore
from supervisor.in_thread import run_in_thread
from supervisor.instance import stimuli
from supervisor.instance.erasing import Eraser
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.journal import Journal, Note
from supervisor.journal.past_events import tell_past
from supervisor.process.adopted import adopting
from supervisor.process.client import Client
from supervisor.process.end_reason import EndReason
from supervisor.process.host_memory import look_at_host
from supervisor.process.patience import KILL
from supervisor.recovery.offers import OpenOffers
from supervisor.recovery.orphans import end_marked, end_orphans
from supervisor.recovery.takeover import Restart
from supervisor.scheduling.admission import HostRoom
from supervisor.sessions.daily_usage import midnight
from supervisor.sessions.open_questions import OpenQuestions
from supervisor.sessions.slot import Slot
from supervisor.sessions.spending import accounts_of
from supervisor.text.values import in_words
from supervisor.tools.registry import Tools

LAST_REMOVAL = 5.0
"""Seconds that removing what ended sessions have on disk may take at the end; the next start does the rest."""
AGAIN = 1.0
"""Seconds after which all is told once more to end."""
LAST_RESORT = 60.0
"""Limit, in seconds, for a shutdown after an internal error."""

MOST_TOLD = 20
"""Rows of an earlier run's journal that cannot be read and are told on the feed; the log has all of them."""


class Runtime:
    """Owns the instances, the feed, the open questions and the task group that all clients run in."""

    def __init__(
        self,
        templates: Iterable[Template],
        settings: Settings,
        *,
        connect: MakeConnector | None = None,
        contexts: ContextStore | None = None,
        environment: Mapping[str, str] | None = None,
        endpoint: str = "",
        clock: Clock | None = None,
        keeps_queue: bool = True,
        name: str = "bullpen",
        left_out: Iterable[str] = (),
        is_live: bool = False,
    ) -> None:
        """`connect` makes the connector of a template; by default the bundled CLI, with `environment` added to what it
        inherits; `contexts` is where what is prepared for clients is kept. `endpoint` is what the screen calls the
        place the clients talk to. With `keeps_queue`, what waits when it ends is left to the next run on the same state
        directory, and it takes over what an earlier one has left; without, it ends what it was given and leaves the
        rest alone. `name` is what a second supervisor is told. `left_out` are the mistakes in files of templates that
        do not run, for the screen. With `is_live`, the folder of templates is watched, and the instances become what is
        saved there."""
        self.failure: BaseException | None = None
        """Our own mistake, once there was one; `run` raises it after everything has been ended."""
        self._clock = clock or Clock()
        self._census = Census(self._clock)
        self._tasks: TaskGroup | None = None
        self._is_up = False
        """What an earlier run left has been taken over, and nothing has ended yet."""
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._emptied = asyncio.Event()
        """Set when a turn or a client has ended. Of asyncio: every turn makes one, and one of anyio takes ten times as
        long."""
        self._instances: dict[str, Instance] = {}
        self._forgotten: set[str] = set()
        """Users whose sessions are being removed."""
        self._open_runs: tuple[list[OpenRun], list[ScheduleMark]] = ([], [])
        """What hooks of earlier runs have not ended, and how far schedules have come."""
        self._past: tuple[past.Event, ...] = ()
        """What earlier runs did."""
        self._contexts = contexts or ContextStore(clock=self._clock)
        self._host = HostContext(
            clock=self._clock,
            settings=settings,
            caches=self._contexts.sources,
            starts=anyio.CapacityLimiter(settings.connect_limit),
            room=HostRoom(settings.max_agents, settings.memory_budget, settings.connect_limit),
            mark=uuid4().hex,
            workspaces=settings.state_dir / "workspaces",
            keeps_queue=keeps_queue,
            spawn=self._spawn,
        )
        self.view = View(self._instances, self._host, self._census, endpoint=endpoint, left_out=tuple(left_out))
        """Single rows, for callers that need no snapshot."""
        self._feed = self._host.feed = Feed(self.view)
        self._host.pending_questions = OpenQuestions(self._clock, QuestionLog(self._instances, self._host))
        self._host.providers = providers_of(settings)
        self._host.eraser = Eraser(self._host, CliStore.of({**os.environ, **(environment or {})}), self._in_use)
        self._name = name
        self._turns = TurnRegistry(self._host, self.view, on_end=self._notice_emptiness, provider_of=self._provider_of)
        self._spending_limits = SpendingLimits(
            self._instances, self._host, is_estimate=endpoint not in ("", "api.anthropic.com")
        )
        self._host.look_at_budgets = self._spending_limits.look
        self._held = HeldTurns(self._host, self._turns, self._spending_limits)
        self._host.when_woken = self._ask_others
        self._choice = AgentChoice(self._instances, self._host)
        self._offers = OpenOffers(self._instances, self._host, self._turns.add)
        self._tools = Tools(self._host.mark, self._compile_anew, self._host.caches)
        templates = tuple(templates)
        hooks = hooks_for(settings, templates)
        self.answer_links = QuestionLinks(cast(Engine, self))
        """Addresses at which questions can be answered; the door says where it is reached."""
        self._feed.listen(self.answer_links.hear)
        self.automation = compose(
            cast(Engine, self),
            hooks,
            schedules_for(settings),
            self._host,
            self._instances,
            self._turns,
            links=self.answer_links,
        )
        """Hooks and schedules."""
        self._roster = Roster(
            self._instances,
            self._host,
            self._offers,
            make_connector=connect or bundled_cli(settings, environment or {}, self._tools, self._contexts),
            environment=environment or {},
            contexts=self._contexts,
            take_in=self._turns.add,
            may_open=lambda: self._is_up and not self._stopping.is_set(),
        )
        self._gated_prompts = GatedPrompts()
        for template in templates:
            self._roster.open(template, self._roster.compile(template))
        self._configured = {name: instance.template for name, instance in self._instances.items()}
        """Name → the template as its file says it, with what the host changes: an operator's changes not among it."""
        self._settings_at_start = settings
        self._live = (
            LiveTemplates(self._instances, self._host, self._roster, self.view, TemplateWatch(), self._configured)
            if is_live
            else None
        )

    def _ask_others(self, tenant: object) -> None:
        """A client of that one wakes no more: those of others need not wait for the next look around."""
        for instance in tuple(self._instances.values()):
            if instance.scheduler is not tenant and instance.scheduler.waits_to_wake is not None:
                instance.handle(stimuli.HostChanged())

    def _provider_of(self, instance: str, prompt: Prompt) -> str:
        """Name of the provider that the prompt would run with now."""
        found = self._instances.get(instance)
        return found.core.plan_for(prompt).choice.provider if found is not None else prompt.provider

    @property
    def settings(self) -> Settings:
        return self._host.settings

    def __repr__(self) -> str:
        return f"<Supervisor of {', '.join(map(repr, self._instances.values()))}>"

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
                doing = AutomationTask(self.automation, self._gated_prompts, self._host)
                housekeeping = Housekeeping(
                    self._instances, host=self._host, census=self._census, offers=self._offers, held=self._held
                )
                # From here on a client may be started, so from here on everything has to be ended.
                try:
                    self._host.hands_back = (await run_in_thread(look_at_host)).hands_back
                    await self._take_over(journal)
                    self._is_up = True
                    chores.start_soon(self._guard, housekeeping.watch_the_clock)
                    chores.start_soon(self._guard, housekeeping.take_census)
                    chores.start_soon(self._guard, housekeeping.prune_journal)
                    chores.start_soon(self._guard, housekeeping.watch_state)
                    chores.start_soon(self._guard, housekeeping.make_private)
                    chores.start_soon(self._guard, housekeeping.remove_what_is_over)
                    chores.start_soon(self._guard, housekeeping.measure_disk)
                    chores.start_soon(self._guard, self._tools.servers.run)
                    if self._live is not None:
                        chores.start_soon(self._guard, self._live.run)
                    for instance in self._instances.values():
                        instance.handle(stimuli.HostChanged())
                    if self._host.keeps_queue:
                        doing.start(chores, *self._open_runs)
                    task_status.started()
                    await self._stopping.wait()
                finally:
                    self._stopping.set()
                    with anyio.CancelScope(shield=True):
                        await doing.end()
                        await self._end_everything()
                        with self._host.patience.wait(LAST_REMOVAL, until=KILL):
                            await self._host.eraser.finish_at_last()
                    self._tasks = None
                    chores.cancel_scope.cancel()
        finally:
            self._is_up = False
            self._host.log = None
            self._turns.withdraw_tickets()
            self._choice.close()
            self._stopped.set()
        if self.failure is not None:
            raise self.failure

    async def replace_template(self, template: Template) -> None:
        """The template of an instance has changed: it reaches every session at its next idle boundary. Raises
        `ConfigurationError` when clients cannot be started with it, and changes nothing then."""
        running = self._running_instance(template.name).template
        compiled = await run_in_thread(self._roster.compile, template)
        self._roster.replace(template, compiled, find_changes(running, template))

    def _compile_anew(self, agents: frozenset[str]) -> None:
        """A shared MCP server has other tools than their clients were told of."""
        for name in agents:
            if self._tasks is not None and name in self._instances:
                self._tasks.start_soon(self._guard, partial(self._roll, name), name=f"other tools of {name}")

    async def _roll(self, name: str) -> None:
        """Compiles the template as it is when that is done: it may be edited meanwhile."""
        while (instance := self._instances.get(name)) is not None:
            template = instance.template
            try:
                compiled = await run_in_thread(self._roster.compile, template)
            except ConfigurationError:
                return  # the clients that run go on with what they know
            if self._instances.get(name) is instance and instance.template is template:
                self._roster.replace(template, compiled, ("tools",))
                return

    async def _take_over(self, journal: Journal) -> None:
        """Takes over what an earlier run left. Its processes are ended first: each would be a second writer."""
        loaded = await journal.load()
        self._open_runs = await journal.runs.load()
        orphans, left_over = await end_orphans(loaded.clients)
        self._host.eraser.take(loaded.removals)
        if not left_over:
            for client in loaded.clients:
                journal.forget_client(client.mark)
                if client.key is None:
                    self._host.eraser.discard_spare(client)
        self._roster.note_strangers(loaded)
        await run_in_thread(clear_start_files, self.settings.state_dir / FOLDER)
        earlier = await journal.past(midnight(self._clock.wall()))
        self._host.today.add(earlier.used, self._clock.wall())
        for sums in earlier.spent:
            accounts = accounts_of(sums.key, sums.user, sums.provider)
            self._host.spending.restore(accounts, *sums[3:], self._clock.wall())
        self._past = tell_past(earlier)
        taken = Restart(self._instances, self._host, self._offers, self._turns.add).take_over(loaded)
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
    async def _running(self) -> AsyncGenerator[Self]:
        async with anyio.create_task_group() as group:
            await group.start(self.run)
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self.stop()

    async def __aenter__(self) -> Self:
        self._context = self._running()
        return await self._context.__aenter__()

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._context.__aexit__(*exc)  # type: ignore[arg-type]

    async def stop(self) -> None:
        self._stopping.set()
        await self._stopped.wait()

    def note_door(self, words: str) -> None:
        """Shows on every screen where other programs reach this bullpen now, or why they do not."""
        self.view.door = words
        self._feed.touch_host()

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
        wanted = list(self._instances.values()) if instance is None else [self._instance(check_agent(instance))]
        while not all(one.is_empty for one in wanted):
            await self._emptied.wait()

    def _in_use(self) -> set[str]:
        """Conversations and workspaces that must not be removed."""
        found = self._roster.strangers
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
                    if not (instance.is_empty and instance.state is InstanceState.STOPPED):
                        instance.handle(stimuli.Kill(EndReason.STOPPING))
                with anyio.move_on_after(AGAIN):
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
        """Begins what waited for the journal once it can be written again."""
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
        message = f"{note.what()} cannot be recorded ({why})"
        self._feed.publish(past.RecordLost(at=self._clock.wall(), message=message, **facts))

    def _notice_emptiness(self) -> None:
        emptied, self._emptied = self._emptied, asyncio.Event()
        emptied.set()

    def _running_instance(self, name: str) -> Instance:
        name = check_agent(name)
        self._check_running()
        return self._instance(name)

    def _check_running(self) -> None:
        """Called by everything that changes something, because it has to be recorded. Raises `NotAccepting`."""
        if not self._is_up or self._host.log is None or self._host.log.is_closed:
            raise NotAccepting("the supervisor is not running")

    def _instance(self, name: str) -> Instance:
        if (instance := self._instances.get(name)) is None:
            near = nearest(name, self._instances)
            remedy = f"did you mean {near}?" if near else f"there are: {', '.join(sorted(self._instances)) or 'none'}"
            raise UnknownAgent(f"no agent {in_words(name)}; {remedy}")
        return instance
