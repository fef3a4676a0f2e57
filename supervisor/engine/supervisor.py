"""Wires the rooms together and is the one `Engine` that runs. It decides nothing itself.

async with Supervisor(templates, settings) as supervisor:
    ticket = await supervisor.submit(Prompt("helpdesk", "Hello"))
    print(await ticket.outcome())
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import anyio
from msgspec.structs import replace

from supervisor.api import checks
from supervisor.api import events as past
from supervisor.api.actor import current_actor
from supervisor.api.addressing import find_key
from supervisor.api.budgets import Budget
from supervisor.api.caches import Contexts
from supervisor.api.codec import ANSWER_WORDS
from supervisor.api.engine import ConversationReader, FeedReader, Ticket
from supervisor.api.entries import Glimpse
from supervisor.api.errors import NotAccepting, OverShare, Refused, UnknownTarget
from supervisor.api.event_names import find_event
from supervisor.api.hook_rows import HookRow, HookRun, ScheduleRow
from supervisor.api.ids import new_id, validate_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt, Route
from supervisor.api.providers import ProviderRow
from supervisor.api.questions import Answer, Deny
from supervisor.api.shared_servers import SharedServerRow
from supervisor.api.snapshot import Snapshot
from supervisor.api.states import Archetype
from supervisor.api.turns import TurnView
from supervisor.config.live_limits import adjust_settings, describe_host_limits, describe_limits, take_max_wait
from supervisor.engine.provider_rows import tell_providers
from supervisor.engine.runtime import LAST_REMOVAL, Runtime
from supervisor.engine.turn_registry import digest_of
from supervisor.engine.view import find_client
from supervisor.files.user_folder import has_user_folder, remove_user_folder
from supervisor.in_thread import run_in_thread
from supervisor.instance import stimuli
from supervisor.instance.instance import Instance
from supervisor.journal import OfferOutcome
from supervisor.journal.past_events import ANSWERED, tell_action
from supervisor.process.end_reason import EndReason
from supervisor.sessions.session import Session
from supervisor.sessions.ticket import CallersTicket
from supervisor.sessions.turn import Turn
from supervisor.text.cleaning import clean, one_line

FORGETTING = 0.1
"""Seconds between two looks whether the last session of a user has ended."""

MOST_REASON = 200
"""Characters of a denial's reason in the audit."""
MOST_WAITING_TEXT = 16 * 1024 * 1024
"""Characters of all the prompts that wait in one instance, however many may wait (`queue.maxWaiting`)."""


_log = logging.getLogger(__name__)


class Supervisor(Runtime):
    """The `Engine` of this process: a runtime and the verbs."""

    # Every verb is `async` because a remote engine has to wait for an answer. None here waits: it has taken effect when
    # its coroutine ran once, so that two verbs awaited one after the other are applied in that order, and cancelling
    # the caller leaves a verb either whole or undone.

    # Every verb looks at its arguments first, in their order (`checks`), as the far side of a line does before it sends
    # them, and changes nothing before its last step that may fail.

    # Queries

    async def watch(self, recent: int = 0) -> FeedReader:
        return self._feed.watch(checks.check_recent(recent))

    async def snapshot(self) -> Snapshot:
        return self.view.snapshot()

    async def conversation(self, key: SessionKey) -> ConversationReader:
        return self._session(key).read().open_reader()

    async def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        key, count = checks.check_key(key), checks.check_entries(count)
        return self._session(key).glimpse(count)

    async def audit(self, count: int = 100) -> tuple[past.ActionTaken, ...]:
        count = checks.check_actions(count)
        self._check_running()
        return tuple(map(tell_action, self._host.journal.actions(count)))

    async def contexts(self) -> Contexts:
        return self._contexts.describe()

    async def past(self) -> tuple[past.Event, ...]:
        return self._past

    async def budgets(self) -> tuple[Budget, ...]:
        return self._spending_limits.budgets()

    async def providers(self) -> tuple[ProviderRow, ...]:
        return tell_providers(self._instances, self._host)

    async def route(self, text: str, agents: tuple[str, ...] = ()) -> Route:
        return self._choice.route(checks.check_text(text), checks.check_agents(agents))

    # Prompts

    async def submit(self, prompt: Prompt) -> Ticket:
        prompt = checks.check_prompt(prompt)
        self._check_running()
        if self._choice.names_none(prompt):
            prompt = replace(prompt, agent="")
            if prompt.request and (known := await self._turns.find_request(prompt)) is not None:
                return known
            prompt = self._choice.complete(prompt)
        instance = self._running_instance(prompt.agent)
        self._host.providers.check(prompt.provider, prompt.model, instance.core.provider)
        key = find_key(prompt, instance.archetype)
        if prompt.request and (known := await self._turns.find_request(prompt)) is not None:
            return known
        gates = self.automation.gates
        if gates and (self._gated_prompts.is_before(key) or gates.concern(prompt, key)):
            return await self._pass_gates(instance, key, prompt)
        return self._take_in(instance, key, prompt)

    async def _pass_gates(self, instance: Instance, key: SessionKey, prompt: Prompt) -> Ticket:
        """Accepts the prompt once every gate has let it through and those that came before it in its session are
        accepted or refused. Nothing of it is there until then."""
        while await self._gated_prompts.wait_for_twin(prompt):
            if (known := await self._turns.find_request(prompt)) is not None:
                return known
        self._check_acceptance(instance, key, prompt)
        turn_id = new_id()
        with self._gated_prompts.named(prompt):
            async with self._gated_prompts.stand(prompt, key) as is_first:
                text = await self.automation.gates.pass_through(prompt, key, turn_id)
                await is_first.wait()
            if text != prompt.text:
                prompt = replace(prompt, text=text, written=digest_of(prompt.text))
            return self._take_in(instance, key, prompt, turn_id)

    def _take_in(self, instance: Instance, key: SessionKey, prompt: Prompt, turn_id: str = "") -> Ticket:
        held_for = self._check_acceptance(instance, key, prompt)
        is_single_call = instance.archetype is Archetype.TOOL and not prompt.session
        depths = self.automation.depths
        depths.opening = prompt.depth
        turn = instance.handle(stimuli.SubmitPrompt(key, prompt, is_single_call, turn_id, held_for))
        depths.opening = 0
        self._turns.add(turn)
        return CallersTicket(turn.ticket)

    def _check_acceptance(self, instance: Instance, key: SessionKey, prompt: Prompt) -> str:
        """Raises what keeps it from being accepted now. What the operator is asked before it runs, in words; mostly
        empty."""
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
        # Of the one that stands in for a parked one: its ceiling holds for all turns that it runs.
        return self._spending_limits.check(key, prompt, instance.core.plan_for(prompt).choice.provider)

    async def ticket(self, turn_id: str) -> Ticket:
        turn_id = checks.check_turn(turn_id)
        self._check_running()
        return await self._turns.find_ticket(turn_id)

    async def turn(self, turn_id: str) -> TurnView:
        turn_id = checks.check_turn(turn_id)
        self._check_running()
        return await self._turns.describe(turn_id)

    async def withdraw(self, turn_id: str) -> None:
        turn_id = checks.check_turn(turn_id)
        self._check_running()
        turn = self._turns.get(turn_id)
        if turn is None:
            await self._turns.describe(turn_id)  # says that there is none
            raise UnknownTarget(f"turn {turn_id} has ended: there is nothing to withdraw")
        self._stop_turn(self._session(turn.key), turn, "withdrawn")

    async def interrupt(self, key: SessionKey, turn_id: str = "") -> bool:
        key, turn_id = checks.check_key(key), checks.check_turn_meant(turn_id)
        session = self._running_session(key)
        candidates = (turn for turn in session.turns_to_stop if turn_id in ("", turn.id))
        turn = next(candidates, None)
        was_stopped = turn is not None and self._stop_turn(session, turn, "interrupted by the operator")
        if was_stopped:
            self._log_action("interrupt", session.key)
        return was_stopped

    def _stop_turn(self, session: Session, turn: Turn, reason: str) -> bool:
        return self._instances[session.key.instance].handle(stimuli.StopTurn(session, turn, reason))

    async def clear_queue(self, instance: str, key: SessionKey | None = None) -> int:
        instance, key = checks.check_queue(instance, key)
        found = self._running_instance(instance)
        session = self._session(key) if key is not None else None
        count = found.handle(stimuli.ClearQueue(session))
        self._log_action("clear-queue", found.name if session is None else session.key, f"{count} cancelled")
        return count

    def _check_room(self, instance: Instance, session: Session | None, prompt: Prompt) -> None:
        queue, size, before = instance.template.queue, len(prompt.text), self._gated_prompts
        own = self._turns.count_prompts(instance.name, prompt.user) + before.count(instance.name, prompt.user)
        if own >= queue.max_per_user:
            words = (
                f"{prompt.user} has {own} prompts waiting and running with {instance.name}, which is one user's share "
                "(queue.maxPerUser): wait for one of them"
            )
            raise OverShare(words, retry_after=instance.handle(stimuli.RefusePrompt(words)).retry_after)
        waiting = instance.turns.waiting + before.count(instance.name)
        if waiting >= queue.max_waiting:
            words = f"{waiting} prompts wait, no more are taken (queue.maxWaiting)"
        elif instance.turns.waiting_text + size > MOST_WAITING_TEXT:
            words = f"the prompts that wait have {instance.turns.waiting_text:,} characters, no more are taken"
        elif session is not None and len(session.mailbox) >= queue.max_waiting_per_session:
            words = f"{len(session.mailbox)} prompts wait in this session alone (queue.maxWaitingPerSession)"
        else:
            return
        raise instance.handle(stimuli.RefusePrompt(words))

    # Questions

    async def answer(self, question_id: str, answer: Answer, *, by: str = "operator") -> None:
        name, given = checks.check_question(question_id), checks.check_answer(answer)
        who = checks.check_signature(by)
        self._check_running()
        question = self._host.pending_questions.answer(name, given, who)
        detail = f"{question.tool}: {ANSWER_WORDS[type(given)]}"
        if isinstance(given, Deny) and given.reason:
            detail += f" ({one_line(clean(given.reason), MOST_REASON)})"
        # Of the feed, `QuestionSettled` is the event that tells it.
        self._host.journal.note_action(
            self._clock.wall(), ANSWERED, str(question.key), detail, who, current_actor().via
        )

    # Turns that a restart interrupted

    async def replay(self, key: SessionKey) -> Ticket:
        session = self._running_session(key)
        instance = self._instances[session.key.instance]
        if self._stopping.is_set() or not instance.is_accepting or session.is_closing:
            raise NotAccepting(f"{instance.name} takes no prompts: it is {instance.state}; the offer is kept")
        turn = self._offers.replay(session)
        self._log_action("replay", session.key)
        return CallersTicket(turn.ticket)

    async def drop_offer(self, key: SessionKey) -> None:
        session = self._running_session(key)
        self._offers.settle(session, OfferOutcome.DROPPED)
        self._log_action("drop", session.key)

    # Hooks and schedules

    async def hooks(self) -> tuple[HookRow, ...]:
        return self.automation.rows()

    async def hook_runs(self, count: int = 50) -> tuple[HookRun, ...]:
        return self.automation.log.last(checks.check_runs(count))

    async def test_hook(self, event: str) -> tuple[HookRun, ...]:
        event = checks.check_event(event)
        self._check_running()
        name = find_event(event)
        self._log_action("test-hook", name.name)
        return await self.automation.test(name)

    async def schedules(self) -> tuple[ScheduleRow, ...]:
        return self.automation.schedules.rows()

    # What agents share

    async def servers(self) -> tuple[SharedServerRow, ...]:
        clients = {name: len(tuple(instance.pool)) for name, instance in self._instances.items()}
        return self._tools.servers.rows(clients)

    # Limits

    async def limits(self, instance: str = "") -> Mapping[str, str]:
        instance = checks.check_instance(instance)
        if instance == "":
            return MappingProxyType(describe_host_limits(self.settings, self._host.agent_ttl))
        host, template = self._host, self._instance(instance).template
        ttl = min(host.idle_ttl, host.agent_ttl)
        return MappingProxyType(describe_limits(template, ttl, host.limit_clients(template)))

    async def adjust(self, instance: str, limit: str, value: str) -> None:
        instance, limit = checks.check_instance(instance), checks.check_limit(limit)
        value = checks.check_limit_value(value)
        self._check_running()
        if instance != "":
            found = self._running_instance(instance)
            configured = self._configured.get(found.name, found.template)
            found.handle(stimuli.Adjust(limit, value, self.settings.max_agents, configured))
        else:
            self._adjust_host(limit, value)
        self._held.look()
        self._log_action("set", instance or "host", f"{limit} {value}")

    def _adjust_host(self, limit: str, value: str) -> None:
        settings = adjust_settings(self.settings, limit, value, self._settings_at_start)
        host = self._host
        changed = {
            name: take_max_wait(instance.template, self.settings, settings)
            for name, instance in self._instances.items()
        }
        for name, template in changed.items():
            self._instances[name].handle(stimuli.ApplyTemplate(template))
        host.settings = settings
        host.starts.total_tokens = settings.connect_limit
        host.room.max_agents, host.room.most_waking = settings.max_agents, settings.connect_limit
        host.room.memory_budget = settings.memory_budget
        self._feed.touch_host()
        for instance in self._instances.values():
            instance.handle(stimuli.HostChanged())

    # Instances

    async def pause(self, instance: str) -> None:
        self._running_instance(instance).handle(stimuli.Pause())
        self._log_action("pause", instance)

    async def resume(self, instance: str) -> None:
        instance = checks.check_agent(instance)
        if self._stopping.is_set():
            raise Refused("bullpen is stopping")
        self._running_instance(instance).handle(stimuli.Resume())
        self._log_action("resume", instance)

    async def drain(self, instance: str, *, deadline: float | None = None, before_end: bool = False) -> None:
        found = checks.check_agent(instance)
        seconds = self.settings.drain_deadline if deadline is None else checks.check_deadline(deadline)
        before_end = checks.check_flag(before_end, "before_end")
        self._running_instance(found).handle(stimuli.Drain(seconds, before_end))
        self._log_action("drain", instance)

    async def kill(self, instance: str) -> None:
        self._running_instance(instance).handle(stimuli.Kill())
        self._log_action("kill", instance)

    async def scale(self, instance: str, max_sessions: int) -> None:
        instance, max_sessions = checks.check_agent(instance), checks.check_scale(max_sessions)
        found, most = self._running_instance(instance), self.settings.max_agents
        if max_sessions > most:
            raise Refused(f"{instance} cannot be scaled to {max_sessions}: this host holds {most} clients (max_agents)")
        found.handle(stimuli.Scale(max_sessions))
        self._log_action("scale", instance, str(max_sessions))

    # Single things

    async def kill_client(self, client_id: str) -> None:
        client_id = checks.check_client(client_id)
        self._check_running()
        if (found := find_client(self._instances, client_id)) is None:
            raise UnknownTarget(f"no client {client_id}: it is gone already")
        slot, instance = found
        instance.handle(stimuli.EndClient(slot, EndReason.KILLED))
        self._log_action("kill-client", client_id)

    async def warm(self, key: SessionKey) -> bool:
        session = self._running_session(key)
        if self._stopping.is_set():
            return False
        return self._instances[session.key.instance].handle(stimuli.WarmSession(session))

    async def hibernate(self, key: SessionKey) -> None:
        session = self._running_session(key)
        key = session.key
        if session.slot is None:
            raise Refused(f"{key} is hibernated already")
        if not session.slot.is_evictable:
            raise Refused(f"{key} is {session.status}: interrupt it first, or wait")
        self._instances[key.instance].handle(stimuli.EndClient(session.slot, EndReason.HIBERNATED))
        self._log_action("hibernate", key)

    async def compact(self, key: SessionKey) -> Ticket:
        session = self._running_session(key)
        key = session.key
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
        self._turns.add(turn)
        self._log_action("compact", key)
        return CallersTicket(turn.ticket)

    async def close_session(self, key: SessionKey) -> None:
        session = self._running_session(key)
        key = session.key
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
        if not sessions and not has_user_folder(self.settings.state_dir, user):
            raise UnknownTarget(
                f"no session of user {user}, and no file; once bullpen has stopped, `bullpen forget {user}` also looks "
                "through what earlier sessions have left"
            )
        if not self._is_up or self._tasks is None:
            raise NotAccepting("the supervisor is not running")
        self._forgotten.add(user)
        for instance in self._instances.values():
            instance.handle(stimuli.ForgetWords(user))
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
            self.automation.forget(user)
            self._host.journal.erasures.forget_user(user, on_written=written.set)
            with anyio.move_on_after(LAST_REMOVAL):
                await written.wait()
                await self._host.journal.erasures.scrub()
            tally = await run_in_thread(remove_user_folder, self.settings.state_dir, user)
            for failure in tally.failed:
                _log.warning("of a user that was forgotten is left: %s", failure)
        finally:
            self._feed.forget(user)
            self.automation.log.forget(user)
            self.answer_links.forget(user)
            self._host.spending.forget(user)
            self._forgotten.discard(user)

    # Finding

    def _running_session(self, key: SessionKey) -> Session:
        key = checks.check_key(key)
        self._check_running()
        return self._session(key)

    def _session(self, key: SessionKey) -> Session:
        key = checks.check_key(key)
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
