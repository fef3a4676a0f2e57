"""What an operator or a caller may ask of an instance."""

from __future__ import annotations

from uuid import uuid4

from supervisor.api.errors import Refused
from supervisor.api.ids import new_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState
from supervisor.config.live_limits import adjust_template
from supervisor.config.template import Template
from supervisor.instance.circuit_breaker import CircuitBreaker
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.deadlines import Deadlines
from supervisor.instance.stopping import Stopping
from supervisor.instance.turns import Turns
from supervisor.process.end_reason import EndReason
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn

_CLOSED = (InstanceState.DRAINED, InstanceState.STOPPED)


class Verbs:
    """The verbs of one instance: a method for each request. All raise `Refused` before they change anything."""

    def __init__(
        self,
        core: InstanceCore,
        turns: Turns,
        clients: Clients,
        *,
        stopping: Stopping,
        circuit: CircuitBreaker,
        deadlines: Deadlines,
    ) -> None:
        self._core = core
        self._turns = turns
        self._clients = clients
        self._stopping = stopping
        self._circuit = circuit
        self._deadlines = deadlines

    # Of sessions

    def submit(
        self, key: SessionKey, prompt: Prompt, *, leaves_none_behind: bool, turn_id: str = "", held_for: str = ""
    ) -> Turn:
        core = self._core
        session = core.sessions.get(key)
        is_new = session is None
        if session is None:
            session = core.make_session(key, leaves_none_behind=leaves_none_behind)
        now = core.clock.wall()
        turn = Turn(turn_id or new_id(), str(uuid4()), key, prompt, session.conversation, at=now, held_for=held_for)
        self._turns.put(session, turn)
        if is_new:
            core.open_session(session)
        return turn

    def close_session(self, session: Session) -> None:
        """Removes the session. With a client, this is done once the client has ended."""
        if session.slot is None:
            self._core.remove_session(session)
        else:
            session.is_closing = True
            self._clients.end(session.slot, EndReason.CLOSED)

    def forget_session(self, session: Session) -> None:
        self.clear_queue(session)
        session.leaves_none_behind = session.is_closing = True
        if session.slot is not None:
            self._clients.end(session.slot, EndReason.KILLED)
        else:
            self._core.remove_when_over(session)

    def forget_words(self, user: str) -> None:
        """Takes them off the rows of sessions, those of the user and those that are shared."""
        for session in self._core.sessions.values():
            if session.gist.user == user:
                session.gist.clear()
                self._core.touch(session)

    def clear_queue(self, session: Session | None) -> int:
        return self._stopping.cancel_waiting("the operator cleared the queue", session)

    # Of the instance

    def pause(self) -> None:
        """Raises `Refused` unless it accepts prompts."""
        core = self._core
        if core.state is InstanceState.KILLING:
            raise Refused(f"{core.name} is being killed: wait until it is stopped")
        if not core.is_accepting:
            raise Refused(f"{core.name} is {core.state}: resume it first")
        core.set_state(InstanceState.PAUSED, "paused by the operator")

    def resume(self) -> None:
        core = self._core
        if core.state is InstanceState.KILLING:
            raise Refused(f"{core.name} is being killed: wait until it is stopped, then resume it")
        if core.is_removed:
            raise Refused(f"the template of {core.name} was removed: put {core.template.path.name} back")
        core.set_drain_deadline(None)
        self._circuit.unpark()
        core.host.parks.open_all(core.clock.steady())
        core.set_state(InstanceState.RUNNING)

    def remove(self) -> None:
        """Drains the instance, because its template was removed. Accepted prompts run to their end; nothing is
        interrupted."""
        core = self._core
        if core.is_removed:
            return
        core.state_before_removal = core.state
        if core.state not in (*_CLOSED, InstanceState.KILLING, InstanceState.DRAINING):
            core.set_drain_deadline(None)
            core.set_state(InstanceState.DRAINING, core.removal_note)
            self._deadlines.advance(core.clock.steady())

    def restore(self) -> None:
        """Undoes `remove`: the template is back, and the instance returns to the state that it had before."""
        core = self._core
        before, core.state_before_removal = core.state_before_removal, None
        if before is None or core.state not in (InstanceState.DRAINING, InstanceState.DRAINED):
            return
        match before:
            case InstanceState.PAUSED:
                core.set_drain_deadline(None)
                core.set_state(before, "paused by the operator")
            case InstanceState.RUNNING | InstanceState.PARKED:
                self.resume()
            case _:
                pass

    def drain(self, deadline: float, *, before_end: bool) -> None:
        """`deadline` in seconds. A second call interrupts what still runs, and cancels what waits; with `before_end` no
        call does, and one that goes on already is taken over by the end."""
        core, now = self._core, self._core.clock.steady()
        if core.state in _CLOSED:
            raise Refused(f"{core.name} is {core.state} already")
        if core.state is InstanceState.KILLING:
            raise Refused(f"{core.name} is being killed")
        left = 0.0 if core.state is InstanceState.DRAINING and not before_end else deadline
        core.set_drain_deadline(None if before_end else now + left, core.clock.wall() + left)
        core.set_state(InstanceState.DRAINING, self._deadlines.who_holds_up())
        self._deadlines.advance(now)

    def kill(self, reason: EndReason) -> None:
        """Cancels what waits and ends all clients. When bullpen stops and keeps its queue, prompts that wait are left
        to the next start."""
        core = self._core
        core.set_drain_deadline(None)
        core.set_state(InstanceState.KILLING, str(reason))
        if reason is EndReason.STOPPING and core.host.keeps_queue:
            for session in core.sessions.values():
                for turn in tuple(session.mailbox):
                    if turn.is_recorded and not session.leaves_none_behind and not (turn.is_detached or turn.told):
                        self._turns.suspend(session, turn)
        self._stopping.cancel_waiting(str(reason))
        for slot in core.pool:
            self._clients.end(slot, reason)

    def scale(self, max_sessions: int) -> None:
        """Changes how many turns may run in parallel, and with it how many clients there may be."""
        core, template = self._core, self._core.template
        if not 1 <= max_sessions <= 1_000:
            raise Refused(f"{core.name} cannot be scaled to {max_sessions}: give a number from 1 to 1000")
        changes: dict[str, object] = {
            "concurrency": template.concurrency.model_copy(update={"max_sessions": max_sessions})
        }
        if template.pool.max_clients is not None:
            clients = core.host.client_limit(template).at(max_sessions)
            changes["pool"] = template.pool.model_copy(update={"max_clients": clients})
        core.apply(template.model_copy(update=changes))

    def adjust(self, limit: str, value: str, *, most: int, configured: Template) -> None:
        """Changes one limit; see `stimuli.Adjust`."""
        core = self._core
        template = adjust_template(core.template, limit, value, configured)
        if template.concurrency.max_sessions > most:
            raise Refused(
                f"{core.name} cannot have {template.concurrency.max_sessions} turns in parallel: this host holds "
                f"{most} clients (max_agents)"
            )
        core.apply(template)
