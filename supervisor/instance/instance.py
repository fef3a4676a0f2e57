"""One agent on duty: what happens to it has one entrance, `handle`.

    client report, request, tick, journal callback
        │ handle(stimulus)
        ├─ apply     one of the parts below changes the state
        ├─ schedule  the dispatcher names a step, it is taken, until there is none
        └─ tell      the instance's row is shown anew

Everything here is synchronous. Awaiting is done by the clients' own tasks, which are handed to `HostContext.spawn`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from supervisor.api.keys import SessionKey
from supervisor.api.states import Archetype, InstanceState
from supervisor.config.templates import Template
from supervisor.instance import stimuli
from supervisor.instance.circuit_breaker import CircuitBreaker
from supervisor.instance.client_listener import ClientListener
from supervisor.instance.client_reports import ClientReports
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.deadlines import Deadlines
from supervisor.instance.detached_turns import DetachedTurns
from supervisor.instance.dormancy import Dormancy
from supervisor.instance.memory_ceilings import MemoryCeilings
from supervisor.instance.rollout import Rollout
from supervisor.instance.scheduler import Scheduler
from supervisor.instance.shared import HostContext
from supervisor.instance.stimuli import Fact, Request, Stimulus
from supervisor.instance.stopping import Stopping
from supervisor.instance.turns import Turns
from supervisor.instance.verbs import Verbs
from supervisor.process.connection import Connector
from supervisor.sessions.pool import Pool
from supervisor.sessions.session import Session

AnswerT = TypeVar("AnswerT")


class Instance:
    """Puts the parts together, and has one of them take every stimulus. `core` is for reading."""

    def __init__(
        self, template: Template, connector: Connector, host: HostContext, missing: tuple[str, ...] = ()
    ) -> None:
        """`missing`: what its clients go without, in words, besides what its template forbids."""
        self.core = core = InstanceCore(template, connector, host, missing)
        self.turns = turns = Turns(core, self.handle)
        self.clients = clients = Clients(core, ClientListener(core, self.handle))
        self.rollout = rollout = Rollout(core, clients)
        self._dormancy = dormancy = Dormancy(core)
        self.scheduler = scheduler = Scheduler(core, turns, clients, rollout, dormancy, self.handle)
        self._detached = detached = DetachedTurns(core, turns, clients, scheduler)
        self._ceilings = MemoryCeilings(core, clients, scheduler.reserve)
        self._stopping = stopping = Stopping(core, turns, detached)
        self._circuit = circuit = CircuitBreaker(core, stopping)
        self._reports = ClientReports(
            core, turns, clients, detached=detached, circuit=circuit, rollout=rollout, dormancy=dormancy
        )
        self._deadlines = Deadlines(
            core,
            turns,
            clients,
            scheduler=scheduler,
            detached=detached,
            stopping=stopping,
            circuit=circuit,
            dormancy=dormancy,
        )
        self._verbs = Verbs(core, turns, clients, stopping=stopping, circuit=circuit, deadlines=self._deadlines)
        self._next: deque[Stimulus] = deque()
        """What has happened while another stimulus is handled."""
        self._is_handling = False

    def __repr__(self) -> str:
        return repr(self.core)

    # Questions about it

    @property
    def name(self) -> str:
        return self.core.name

    @property
    def archetype(self) -> Archetype:
        return self.core.archetype

    @property
    def template(self) -> Template:
        return self.core.template

    @property
    def state(self) -> InstanceState:
        return self.core.state

    @property
    def is_accepting(self) -> bool:
        return self.core.is_accepting

    @property
    def is_empty(self) -> bool:
        """Neither turns nor processes."""
        return self.scheduler.is_empty

    @property
    def pool(self) -> Pool:
        return self.core.pool

    @property
    def sessions(self) -> Mapping[SessionKey, Session]:
        return self.core.sessions

    def touch(self, session: Session | None) -> None:
        """Has the rows of the instance, the session and its client shown anew."""
        self.core.touch(session)

    # The entrance

    @overload
    def handle(self, stimulus: Request[AnswerT]) -> AnswerT: ...
    @overload
    def handle(self, stimulus: Fact) -> None: ...
    def handle(self, stimulus: Stimulus) -> Any:
        """Takes in what has happened, and does all that follows from it now. Returns what a request asks for.

        What happens meanwhile, because of it, is handled afterwards, in its order. What a part raises goes to the
        caller, and what else has happened is handled all the same.
        """
        if self._is_handling:
            if isinstance(stimulus, Request):
                raise AssertionError(f"{stimulus!r} is asked of {self!r} in the middle of something else")
            self._next.append(stimulus)
            return None
        self._is_handling = True
        answer: object = None
        mistake: Exception | None = None
        self._next.appendleft(stimulus)
        is_first = True
        try:
            while self._next:
                try:
                    given = self._handle(self._next.popleft())
                except Exception as error:
                    mistake = mistake or error
                else:
                    answer = given if is_first else answer
                is_first = False
        finally:
            self._is_handling = False
        if mistake is not None:
            raise mistake
        return answer

    def _handle(self, stimulus: Stimulus) -> object:
        stimuli.log.debug("%s: %r", self.name, stimulus)
        answer = self._apply(stimulus)
        if stimulus.may_allow_a_step:
            self.scheduler.run()
        elif stimulus.may_hold_back:
            self.scheduler.look_again()
        if stimulus.is_told:
            self.core.touch(None)
        return answer

    def _apply(self, stimulus: Stimulus) -> object:
        """Every stimulus there is, and which part takes it."""
        reports, verbs = self._reports, self._verbs
        match stimulus:
            case stimuli.ClientSpoke(slot, event):
                reports.client_told(slot, event)
            case stimuli.ResultArrived(slot, result):
                reports.client_result(slot, result)
            case stimuli.ClientRested(slot):
                reports.client_rested(slot)
            case stimuli.PromptRecorded(session, turn, error):
                self.turns.note_recorded(session, turn, error)
            case stimuli.OutcomeRecorded(turn):
                turn.note_outcome_recorded()
            case stimuli.TimePassed(now):
                self._deadlines.advance(now)
            case stimuli.ClientStarting(slot):
                reports.client_starting(slot)
            case stimuli.ClientConnected(slot, seconds):
                reports.client_ready(slot, seconds)
            case stimuli.OwnTurnBegan(slot, why):
                reports.client_began(slot, why)
            case stimuli.OwnResultArrived(slot, own_result):
                reports.client_own_result(slot, own_result)
            case stimuli.ServersChanged(slot, servers):
                reports.client_servers(slot, servers)
            case stimuli.ClientSlept(slot, measure):
                self._dormancy.note_slept(slot, measure)
            case stimuli.ClientWoke(slot, seconds):
                self._dormancy.note_woken(slot, seconds)
            case stimuli.ClientLeaving(slot, step):
                reports.client_ending(slot, step)
            case stimuli.ClientLeft(slot, seconds, left_over):
                reports.client_gone(slot, seconds, left_over)
            case stimuli.QuestionPut(slot):
                reports.question_put(slot)
            case stimuli.QuestionOver(slot):
                reports.question_over(slot)
            case stimuli.QuestionCameBack(session, question, call, verdict):
                self._detached.come_back(session, question, call, verdict)
            case stimuli.StartLost(session, turn, why):
                reports.start_lost(session, turn, why)
            case stimuli.OutcomeReplaced(turn, outcome):
                turn.replace_outcome(outcome)
            case stimuli.MemoryMeasured(slots):
                self._ceilings.judge(slots)
            case stimuli.OfferChanged(session, offer):
                self.core.note_offer(session, offer)
            case stimuli.QueueSampled():
                self.core.waiting_trend.append(self.turns.waiting)
            case stimuli.HostChanged():
                self.core.limit_clients()  # what follows is for the scheduler
            case stimuli.PlaceClaimed(slot, may_sleep):
                self._dormancy.sleep(slot) if may_sleep else self.clients.evict(slot)
            case stimuli.HoldOver(session, turn, refused):
                self.turns.end_hold(session, turn, refused)
            case stimuli.SubmitPrompt(key, prompt, leaves_none_behind, turn_id, held_for):
                return verbs.submit(
                    key, prompt, leaves_none_behind=leaves_none_behind, turn_id=turn_id, held_for=held_for
                )
            case stimuli.RefusePrompt(why):
                return self._stopping.refuse(why)
            case stimuli.QueueTurn(session, turn):
                self.turns.put(session, turn)
            case stimuli.StopTurn(session, turn, reason):
                return self._stopping.stop(session, turn, reason)
            case stimuli.WarmSession(session):
                return self.scheduler.warm(session)
            case stimuli.CompactSession(session):
                return self.turns.put_compaction(session)
            case stimuli.CloseSession(session):
                verbs.close_session(session)
            case stimuli.ForgetSession(session):
                verbs.forget_session(session)
            case stimuli.ForgetWords(user):
                verbs.forget_words(user)
            case stimuli.ClearQueue(only):
                return verbs.clear_queue(only)
            case stimuli.EndClient(slot, end_reason):
                self.clients.end(slot, end_reason)
            case stimuli.Pause():
                verbs.pause()
            case stimuli.Resume():
                verbs.resume()
            case stimuli.Drain(deadline, before_end):
                verbs.drain(deadline, before_end=before_end)
            case stimuli.Kill(end_reason):
                verbs.kill(end_reason)
            case stimuli.Scale(max_sessions):
                verbs.scale(max_sessions)
            case stimuli.Adjust(limit, value, most, configured):
                verbs.adjust(limit, value, most=most, configured=configured)
            case stimuli.ApplyTemplate(template):
                self.core.apply(template)
            case stimuli.ReplaceTemplate(template, connector, missing, changed):
                self.rollout.replace(template, connector, missing, changed)
            case stimuli.RemoveTemplate():
                verbs.remove()
            case stimuli.RestoreTemplate():
                verbs.restore()
            case stimuli.BlameTemplate(mistake):
                self.core.template_mistake = mistake
            case stimuli.Tidy(now):
                return self._deadlines.tidy(now)
            case _:
                raise AssertionError(f"{self!r} takes no {stimulus!r}")
        return None
