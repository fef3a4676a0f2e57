"""The verbs of the dashboard: what its keys do to the marked rows, or to the row under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from textual.screen import Screen

from supervisor import InstanceState, Refused, SessionKey
from tui.engine_link.acceptance import follow
from tui.engine_link.bridge import Bridge
from tui.engine_link.verb_queue import Act, VerbQueue
from tui.operator import consequences
from tui.operator.app import app_of
from tui.operator.consequences import Consequence
from tui.operator.operations import Operations
from tui.operator.orders import Order, Orders, Thing, carry_out, client_of, instance_of, session_of, tell_result
from tui.screens import dialogs

ON_TARGETS = (
    "interrupt", "clear_queue", "drain", "undo_drain", "kill", "pause", "resume", "hibernate", "compact", "replay",
    "drop_offer", "close_session",
)  # fmt: skip
"""Verbs that `Orders` makes orders of, by the name of their action."""

UNASKED = ("undo_drain", "resume", "hibernate", "compact")
"""Verbs that ask only when rows are marked: with one row they end no work, and taking something back is wanted at
once."""


class OperatorScreen(Screen[None]):
    """A screen with rows. The class that lays it out says which rows the verbs apply to."""

    bridge: Bridge
    operations: Operations

    def chosen(self) -> tuple[Thing, ...]:
        """The marked rows of the pane with the focus; without marks, the row under its cursor."""
        raise NotImplementedError

    @property
    def has_marks(self) -> bool:
        """Whether `chosen` are marked rows, and not the row under the cursor."""
        raise NotImplementedError

    @cached_property
    def orders(self) -> Orders:
        return Orders(self.bridge, self.operations, lambda ticket: follow(self.app, ticket))

    # The first of them; None when there is nothing of that kind.

    def target_instance(self) -> str | None:
        return next(filter(None, map(instance_of, self.chosen())), None)

    def target_session(self) -> SessionKey | None:
        return next(filter(None, map(session_of, self.chosen())), None)

    def target_sessions(self) -> tuple[SessionKey, ...]:
        """The sessions of all of them, each once."""
        keys = map(session_of, self.chosen())
        return tuple(dict.fromkeys(key for key in keys if key is not None and key in self.bridge.sessions))

    def can(self, verb: str) -> bool:
        """Whether a verb applies to any of the rows as they are now. The footer and the keys both ask this."""
        if verb in ON_TARGETS:
            return self.orders.can(verb, self.chosen())
        if verb == "scale":
            return self.target_instance() is not None
        if verb == "broadcast":
            return bool(self.target_sessions())
        if verb == "describe":
            return bool(self.chosen())
        if verb == "inbox":
            return self.bridge.is_operator_wanted
        return True

    @property
    def verbs(self) -> VerbQueue:
        return app_of(self).verbs

    def confirm(self, consequence: Consequence, act: Act) -> None:
        """Does it when the operator says so, and only then."""
        dialogs.ask_first(self.app, consequence, lambda: self.verbs.attempt(act))

    def order(self, verb: str, things: Sequence[Thing], *, is_marked: bool) -> None:
        """Makes the orders of a verb now, asks where it has to be asked, and tells the engine."""
        orders, left_out = self.orders.of(verb, things)
        if not orders:
            return
        if not is_marked and verb in UNASKED:
            self._tell(verb, orders)
        elif is_marked:
            self._confirm_orders(verb, orders, consequences.of_several(verb, orders, left_out))
        else:
            self._confirm_orders(verb, orders, self._consequence(verb, things[0]))

    def _confirm_orders(self, verb: str, orders: Sequence[Order], consequence: Consequence) -> None:
        dialogs.ask_first(self.app, consequence, lambda: self._tell(verb, orders))

    def _tell(self, verb: str, orders: Sequence[Order]) -> None:
        if len(orders) == 1:
            self.verbs.attempt(orders[0].act)
        else:
            self._tell_all(verb, orders)

    def _tell_all(self, verb: str, orders: Sequence[Order]) -> None:
        async def carry_out_and_say() -> None:
            result = await carry_out(orders)
            self.app.notify(
                tell_result(verb.replace("_", " "), result),
                severity="warning" if result.refused else "information",
                timeout=12 if result.refused else 4,
                markup=False,
            )

        self.verbs.put(carry_out_and_say)

    def _consequence(self, verb: str, thing: Thing) -> Consequence:
        """What a verb would do to one row."""
        bridge = self.bridge
        key, name, client_id = session_of(thing), instance_of(thing), client_of(thing)
        session = None if key is None else bridge.sessions.get(key)
        instance = None if name is None else bridge.instances.get(name)
        client = None if client_id is None else bridge.clients.get(client_id)
        offer = None if key is None else bridge.offers.get(key)
        match verb:
            case "kill" if client is not None:
                return consequences.of_kill_client(client, session)
            case "interrupt" if session is not None:
                return consequences.of_interrupt(session)
            case "clear_queue" if session is not None:
                return consequences.of_clear_queue(str(session.key), len(session.waiting))
            case "close_session" if session is not None:
                return consequences.of_close(session)
            case "replay" if offer is not None:
                return consequences.of_replay(offer)
            case "drop_offer" if offer is not None:
                return consequences.of_drop(offer)
        assert instance is not None, "every other verb is about an instance"
        match verb:
            case "clear_queue":
                return consequences.of_clear_queue(instance.name, instance.waiting)
            case "drain" if instance.state is InstanceState.DRAINING:
                return consequences.of_second_drain(bridge, instance.name)
            case "drain":
                return consequences.of_drain(bridge, instance.name)
            case "pause":
                return consequences.of_pause(bridge, instance.name)
        return consequences.of_kill(bridge, instance.name)

    def _order_chosen(self, verb: str) -> None:
        self.order(verb, self.chosen(), is_marked=self.has_marks)

    # Four stops

    def action_interrupt(self) -> None:
        self._order_chosen("interrupt")

    def action_clear_queue(self) -> None:
        self._order_chosen("clear_queue")

    def action_drain(self) -> None:
        self._order_chosen("drain")

    def action_undo_drain(self) -> None:
        self._order_chosen("undo_drain")

    def action_kill(self) -> None:
        self._order_chosen("kill")

    def action_drain_all(self) -> None:
        names = self.bridge.open_to_prompts()
        self.confirm(consequences.of_drain_all(self.bridge), lambda: self.operations.drain_all(names))

    def action_kill_all(self) -> None:
        names = sorted(self.bridge.instances)
        self.confirm(consequences.of_kill_all(self.bridge), lambda: self.operations.kill_all(names))

    # Steering

    def action_pause(self) -> None:
        self._order_chosen("pause")

    def action_resume(self) -> None:
        self._order_chosen("resume")

    def action_scale(self) -> None:
        things = self.chosen()
        names = dict.fromkeys(name for thing in things if (name := instance_of(thing)) in self.bridge.instances)
        rows = [self.bridge.instances[name] for name in names if name is not None]
        if not rows:
            return

        def decided(line: str | None) -> None:
            if line:
                self._tell("scale", self.orders.scaled(rows, int(line)))

        self.app.push_screen(dialogs.ScaleScreen(rows), decided)

    def action_replay(self) -> None:
        self._order_chosen("replay")

    def action_drop_offer(self) -> None:
        self._order_chosen("drop_offer")

    def action_hibernate(self) -> None:
        self._order_chosen("hibernate")

    def action_compact(self) -> None:
        self._order_chosen("compact")

    def action_close_session(self) -> None:
        self._order_chosen("close_session")

    # One prompt for several sessions

    def action_broadcast(self) -> None:
        self.broadcast(self.target_sessions())

    def broadcast(self, keys: Sequence[SessionKey]) -> None:
        """Asks for a text and sends it to each session, one by one. Words that were refused wait in their chat.

        A call of a tool is left out: the message would be a second turn, which keeps it alive.
        """
        calls = [key for key in keys if self.bridge.sessions[key].ends_with_turn]
        keys = [key for key in keys if key not in calls]
        if calls:
            what = (
                "a call of a tool takes no message: it ends" if len(calls) == 1 else "calls of a tool take no message"
            )
            self.notify(f"{what}; left out: {', '.join(map(str, calls))}", markup=False, timeout=6)
        if not keys:
            return

        def decided(text: str | None) -> None:
            if text:
                self._tell_all("broadcast", [self._send_order(key, text) for key in keys])

        rows = [self.bridge.sessions[key] for key in keys]
        self.app.push_screen(dialogs.BroadcastScreen(rows), decided)

    def _send_order(self, key: SessionKey, text: str) -> Order:
        async def act() -> str:
            try:
                ticket = await self.operations.ask(key, text)
            except Refused:
                self.operations.keep_unsent(key, text)
                raise
            follow(self.app, ticket, lambda: self.operations.keep_unsent(key, text))
            return f"sent to {key}"

        return Order(str(key), "", act)
