"""Conversations from the inside: what each key does in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.actions import SkipAction
from textual.binding import BindingType

from tui.engine_link.bridge import Bridge, Touched
from tui.operator import consequences
from tui.operator.app import app_of
from tui.operator.operations import Operations, tell_each
from tui.screens.chat.panes import PanesScreen
from tui.screens.dialogs.ask_text import AskTextScreen
from tui.screens.dialogs.confirm import ask_first
from tui.screens.dialogs.describe import DescribeScreen
from tui.screens.dialogs.plain_text import PlainTextScreen
from tui.tables.inbox_rows import inbox_order
from tui.widgets.offer_card import OfferCard
from tui.widgets.tab_strip import TabStrip
from tui.wording import facts
from tui.wording.plain_conversation import plain_conversation
from tui.wording.sanitize import clean_cell
from tui.wording.verbs import ONE_OPEN, Where, bindings


class ChatScreen(PanesScreen):
    """Kept by the app as long as it runs: tabs, drafts and places are there when the operator comes back."""

    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.CHAT)]

    def __init__(self, bridge: Bridge, operations: Operations, clock: Callable[[], float]) -> None:
        super().__init__(bridge, operations, clock)
        self._possible: tuple[bool | None, ...] = ()
        """What the footer was last drawn for."""
        self._sought = ""

    def refresh_rows(self, touched: Touched) -> None:
        super().refresh_rows(touched)
        possible = tuple(self.check_action(verb, ()) for verb in CHANGING)
        if self.deck.at is not None and self.is_laid_out and possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.deck.at is None:
            return True
        row = self.row
        match action:
            case "stop_turn":
                return row is not None and bool(row.stoppable)
            case "to_question" | "to_offer":
                card = self.pane.dock.oldest if self.is_laid_out else None
                is_elsewhere = card is not None and card is not self.focused
                return is_elsewhere and isinstance(card, OfferCard) == (action == "to_offer")
            case "withdraw":
                return row is not None and bool(row.waiting)
            case "next_wanting" | "previous_wanting":
                return any(item.key != self.key for item in self.bridge.inbox())
            case "next_pane" | "previous_pane":
                return len(self.deck.shown(self.room)) > 1
            case "tile":
                return self.room > 1
            case "next_tab" | "previous_tab":
                return len(self.deck.tabs) > 1
        return True

    def action_next_wanting(self) -> None:
        self._step_wanting(1)

    def action_previous_wanting(self) -> None:
        self._step_wanting(-1)

    def _step_wanting(self, by: int) -> None:
        """Moves to the next session with a question or an interrupted turn, in the order of the inbox. The message has
        the focus there: what is typed on answers nothing."""
        wanting = list(dict.fromkeys(item.key for item in sorted(self.bridge.inbox(), key=inbox_order)))
        at = wanting.index(self.key) if self.key in wanting else (-1 if by > 0 else 0)
        self.open([wanting[(at + by) % len(wanting)]])

    def action_next_pane(self) -> None:
        self.deck.step_pane(1, self.room)
        self.speak()

    def action_previous_pane(self) -> None:
        self.deck.step_pane(-1, self.room)
        self.speak()

    def action_next_tab(self) -> None:
        self.deck.step_tab(1)
        self.speak()

    def action_previous_tab(self) -> None:
        self.deck.step_tab(-1)
        self.speak()

    def action_tile(self) -> None:
        if len(self.deck.tabs) == 1:
            self.notify(ONE_OPEN, markup=False)
        self.deck.tile(self.room)
        self.lay_out()

    @on(TabStrip.Chosen)
    def choose_tab(self, event: TabStrip.Chosen) -> None:
        if event.index < len(self.deck.tabs):
            self.deck.go_to(self.deck.tabs[event.index])
            self.speak()

    @on(TabStrip.CloseWanted)
    def close_clicked_tab(self, event: TabStrip.CloseWanted) -> None:
        event.stop()
        if event.index < len(self.deck.tabs):
            self.close_tab(self.deck.tabs[event.index])

    def action_close_tab(self) -> None:
        self.close_tab(self.key)

    def action_withdraw(self) -> None:
        row = self.row
        if row is not None and row.waiting:
            turn_id = row.waiting[-1].turn_id
            app_of(self).verbs.attempt(lambda: self.operations.withdraw(turn_id), timeout=3)

    def action_stop_turn(self) -> None:
        """Stops the turn that the question names, and no later one."""
        if (row := self.row) is not None and (turn := row.stoppable):
            key, verbs = self.key, app_of(self).verbs
            ask_first(
                self.app,
                consequences.of_interrupt(row),
                lambda: verbs.attempt(lambda: self.operations.interrupt(key, turn)),
            )

    def action_to_question(self) -> None:
        if (card := self.pane.dock.oldest) is not None:
            self.set_focus(card)

    def action_to_offer(self) -> None:
        self.action_to_question()

    def ask_broadcast(self) -> None:
        """One prompt to every pane in sight when it was asked for, whatever is in sight later."""
        panes = self.in_sight

        def decided(text: str | None) -> None:
            if not text:
                return
            sending = [pane.prepare(text) for pane in panes if pane.is_attached]

            async def send() -> None:
                if not any(await tell_each(sending)):
                    self.app.notify(f"sent to {len(panes)}", markup=False, timeout=2)

            app_of(self).verbs.put(send)

        names = " · ".join(clean_cell(str(pane.key), 60) for pane in panes)
        self.app.push_screen(AskTextScreen(f"Send to {len(panes)}", names), decided)

    def action_go_back(self) -> None:
        """One step: from a card to the message, out of a search, and then to the dashboard."""
        if self.pane.dock.is_focused:
            self.set_focus(self.prompt)
        elif not self.pane.end_search():
            self.dismiss(None)

    def action_facts(self) -> None:
        if (row := self.row) is not None:
            client, instance = self.bridge.client_of(row), self.bridge.instance_of(row)
            limits = self.bridge.limits.get(row.key.instance, {})
            shown = facts.session_facts(row, client, instance, limits, self._clock(), self.bridge.remedies_in_chat)
            self.app.push_screen(DescribeScreen(str(row.key), shown))

    def action_help(self) -> None:
        self.app.push_screen("help in a chat")

    def action_find(self) -> None:
        pane = self.pane

        def decided(text: str | None) -> None:
            if text:
                self._sought = text
                pane.find(text)

        self.app.push_screen(
            AskTextScreen("Find in this conversation", "F3 and shift+F3 walk through the matches.", value=self._sought),
            decided,
        )

    def action_find_next(self) -> None:
        self.pane.find_next(1)

    def action_find_previous(self) -> None:
        self.pane.find_next(-1)

    def action_copy_reply(self) -> None:
        if text := self.transcript.text_of_last_reply():
            self._copy(text, "the last reply")
        else:
            self.notify("no reply to copy yet", markup=False, timeout=2)

    def action_copy_text(self) -> None:
        """Copies what was selected with the mouse."""
        if not (text := self.get_selected_text()):
            raise SkipAction
        self._copy(text, "the selection")

    def _copy(self, text: str, what: str) -> None:
        app_of(self).copy(text, what)

    def action_plain_text(self) -> None:
        if (conversation := self.transcript.conversation) is not None:
            self.app.push_screen(PlainTextScreen(plain_conversation(conversation.read())))
        else:
            self.notify("nothing has been said yet", markup=False, timeout=2)


CHANGING = ("stop_turn", "to_question", "to_offer", "withdraw", "next_wanting", "next_pane", "next_tab", "tile")
"""Verbs in the footer that are possible at some times and not at others."""
