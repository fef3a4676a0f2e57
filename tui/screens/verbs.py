"""The handling half of the dashboard: what its keys do to the row under the cursor."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen

from supervisor import InstanceState, Offer, Refused, SessionKey
from tui import consequences
from tui.bridge import Bridge
from tui.consequences import Consequence
from tui.operations import Operations
from tui.screens.confirm import ConfirmScreen
from tui.screens.offers import ask_drop, ask_replay
from tui.screens.scale import ScaleScreen

DRAINING = (InstanceState.DRAINING, InstanceState.DRAINED)
OPEN_TO_PAUSE = (InstanceState.RUNNING,)
CLOSED = (InstanceState.PAUSED, InstanceState.STOPPED, InstanceState.PARKED)


class OperatorScreen(Screen[None]):
    """A screen with targets. Whoever lays it out says what the verbs apply to."""

    bridge: Bridge
    operations: Operations

    # What the verbs apply to; None when there is nothing of that kind under the cursor.

    def target_instance(self) -> str | None:
        raise NotImplementedError

    def target_session(self) -> SessionKey | None:
        raise NotImplementedError

    def target_client(self) -> str | None:
        raise NotImplementedError

    @property
    def is_attended(self) -> bool:
        """Whether the operator has chosen the row under the cursor."""
        raise NotImplementedError

    def can(self, verb: str) -> bool:
        """Whether a verb applies to the target as it is now. The footer and the keys both ask this."""
        name = self.target_instance()
        instance = None if name is None else self.bridge.instances.get(name)
        key = self.target_session()
        session = None if key is None else self.bridge.sessions.get(key)
        state = None if instance is None else instance.state
        answers: dict[str, bool] = {
            "pause": state in OPEN_TO_PAUSE,
            "resume": state in (*CLOSED, *DRAINING),
            "drain": state in (*OPEN_TO_PAUSE, InstanceState.PAUSED, InstanceState.PARKED),
            "undo_drain": state in DRAINING,
            "kill": self.target_client() is not None or (key is None and instance is not None),
            "scale": instance is not None,
            "clear_queue": bool(session.waiting) if session else bool(key is None and instance and instance.waiting),
            "interrupt": session is not None and bool(session.stoppable),
            "hibernate": session is not None and bool(session.client_id) and not session.turn_id,
            "compact": session is not None and not session.turn_id and session.turns > 0,
            "replay": key in self.bridge.offers,
            "drop_offer": key in self.bridge.offers,
            "close_session": session is not None and not session.turn_id and not session.waiting,
        }
        return answers.get(verb, True)

    def attempt(self, act: Callable[[], str]) -> None:
        """Does it and says so, or says why it was refused."""
        try:
            self.notify(act(), markup=False, timeout=4)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)

    def confirm(self, consequence: Consequence, act: Callable[[], str]) -> None:
        """Does it when the operator says so, and only then."""

        def decided(answer: bool | None) -> None:
            if answer is True:
                self.attempt(act)

        self.app.push_screen(ConfirmScreen(consequence), decided)

    # Four stops

    def action_interrupt(self) -> None:
        if (key := self.target_session()) is None or (session := self.bridge.sessions.get(key)) is None:
            return
        if turn := session.stoppable:
            self.confirm(consequences.of_interrupt(session), lambda: self.operations.interrupt(key, turn))

    def action_clear_queue(self) -> None:
        key, instance = self.target_session(), self.target_instance()
        if key is not None and (session := self.bridge.sessions.get(key)) is not None:
            consequence = consequences.of_clear_queue(str(key), len(session.waiting))
            self.confirm(consequence, lambda: self.operations.clear_queue(key.instance, key))
        elif instance is not None and (row := self.bridge.instances.get(instance)) is not None:
            consequence = consequences.of_clear_queue(instance, row.waiting)
            self.confirm(consequence, lambda: self.operations.clear_queue(instance))

    def action_drain(self) -> None:
        if (instance := self.target_instance()) is not None:
            self.confirm(consequences.of_drain(self.bridge, instance), lambda: self.operations.drain(instance))

    def action_undo_drain(self) -> None:
        self.action_resume()

    def action_kill(self) -> None:
        client_id, instance = self.target_client(), self.target_instance()
        if client_id is not None:
            self.kill_client(client_id)
        elif self.target_session() is None and instance is not None:
            self.confirm(consequences.of_kill(self.bridge, instance), lambda: self.operations.kill(instance))

    def kill_client(self, client_id: str) -> None:
        if (client := self.bridge.clients.get(client_id)) is None:
            return
        session = None if client.key is None else self.bridge.sessions.get(client.key)
        self.confirm(consequences.of_kill_client(client, session), lambda: self.operations.kill_client(client_id))

    def action_drain_house(self) -> None:
        names = self.bridge.open_to_prompts()
        self.confirm(consequences.of_drain_house(self.bridge), lambda: self.operations.drain_all(names))

    def action_kill_house(self) -> None:
        names = sorted(self.bridge.instances)
        self.confirm(consequences.of_kill_house(self.bridge), lambda: self.operations.kill_all(names))

    # Steering

    def action_pause(self) -> None:
        if (instance := self.target_instance()) is not None:
            self.confirm(consequences.of_pause(self.bridge, instance), lambda: self.operations.pause(instance))

    def action_resume(self) -> None:
        # Taking something back ends nothing and is wanted at once: the one verb on an instance that does not ask.
        if (instance := self.target_instance()) is not None:
            self.attempt(lambda: self.operations.resume(instance))

    def action_scale(self) -> None:
        if (instance := self.target_instance()) is None or instance not in self.bridge.instances:
            return

        def decided(line: str | None) -> None:
            if line:
                self.attempt(lambda: self.operations.scale(instance, int(line)))

        self.app.push_screen(ScaleScreen(self.bridge.instances[instance]), decided)

    # Turns that a restart interrupted

    def action_replay(self) -> None:
        if (offer := self._target_offer()) is not None:
            ask_replay(self.app, self.operations, offer)

    def action_drop_offer(self) -> None:
        if (offer := self._target_offer()) is not None:
            ask_drop(self.app, self.operations, offer)

    def _target_offer(self) -> Offer | None:
        return None if (key := self.target_session()) is None else self.bridge.offers.get(key)

    def action_hibernate(self) -> None:
        if (key := self.target_session()) is not None:
            self.attempt(lambda: self.operations.hibernate(key))

    def action_compact(self) -> None:
        if (key := self.target_session()) is not None:
            self.attempt(lambda: self.operations.compact(key))

    def action_close_session(self) -> None:
        if (key := self.target_session()) is not None and (row := self.bridge.sessions.get(key)) is not None:
            self.confirm(consequences.of_close(row), lambda: self.operations.close_session(key))
