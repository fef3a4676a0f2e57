"""The looking half of the dashboard: where the cursor is, what is shown of the whole, what is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import events, on
from textual.widgets import Input

from supervisor import ClientRow, InstanceRow, Offer, Question, SessionKey, SessionRow, SessionState
from tui import facts
from tui.bridge import Bridge
from tui.inbox import Item, inbox_order
from tui.operations import OPERATOR, Operations
from tui.screens.describe import DescribeScreen
from tui.screens.verbs import OperatorScreen
from tui.screens.whole_question import QuestionScreen
from tui.widgets.livetable import LiveTable
from tui.widgets.table import LineTable

CHANGING = ("interrupt", "drain", "undo_drain", "kill", "pause", "resume", "scale", "hibernate", "replay", "drop_offer")
"""Verbs in the footer that are possible for some rows and not for others."""


class LookingScreen(OperatorScreen):
    """Four live tables and a cursor in each. Whoever lays them out fills them, too."""

    def __init__(self, bridge: Bridge, operations: Operations, clock: Callable[[], float]) -> None:
        super().__init__()
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self.is_laid_out = False
        """Whether there is anything to write into."""
        self._scope: str | None = None
        """The instance whose sessions and clients are shown; None for all."""
        self._ticked_at = 0.0
        self.is_behind = False
        """Whether rows have changed while a chat stood in front."""
        self._possible: tuple[bool, ...] = ()

    def show_everything(self) -> None:
        """Fills every table anew, within the scope."""
        raise NotImplementedError

    def tell(self) -> None:
        """Writes header, titles and notes anew."""
        raise NotImplementedError

    def fit(self) -> None:
        """Divides the height among the tables."""
        raise NotImplementedError

    @property
    def inbox(self) -> LiveTable[Item]:
        return self.query_one("#inbox", LiveTable)

    @property
    def instances(self) -> LiveTable[InstanceRow]:
        return self.query_one("#instances", LiveTable)

    @property
    def sessions(self) -> LiveTable[SessionRow]:
        return self.query_one("#sessions", LiveTable)

    @property
    def clients(self) -> LiveTable[ClientRow]:
        return self.query_one("#clients", LiveTable)

    # Targets: the row under the cursor of the pane that has the focus

    def target_instance(self) -> str | None:
        match self._active_thing():
            case InstanceRow() as row:
                return row.name
            case ClientRow() as row:
                return row.instance
            case SessionRow() | Question() | Offer() as row:
                return row.key.instance
        return None

    def target_session(self) -> SessionKey | None:
        match self._active_thing():
            case ClientRow() | SessionRow() | Question() | Offer() as row:
                return row.key
        return None

    def target_client(self) -> str | None:
        match self._active_thing():
            case ClientRow() as row:
                return row.id
            case SessionRow() as row:
                return row.client_id or None
            case Question() as row:
                return row.client_id or None
        return None

    @property
    def is_attended(self) -> bool:
        return self._active_table().is_attended

    def _active_table(self) -> LiveTable[object]:
        focused = self.focused
        return focused if isinstance(focused, LiveTable) else self.query_one("#sessions", LiveTable)

    def _active_thing(self) -> object | None:
        focused = self.focused
        if isinstance(focused, LiveTable):
            return focused.thing
        return self.sessions.thing if focused is None and self.is_laid_out else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "inbox":
            return self.bridge.is_operator_wanted
        return self.can(action)

    @on(events.DescendantFocus)
    @on(LineTable.CursorMoved)
    def reconsider_keys(self) -> None:
        """Draws the footer anew when other keys than before can be used."""
        possible = (self.bridge.is_operator_wanted, *(self.can(verb) for verb in CHANGING))
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    # Looking

    @on(LineTable.CursorMoved, "#instances")
    def follow_scope(self, event: LineTable.CursorMoved) -> None:
        if self._scope is not None and event.key is not None and event.key != self._scope:
            self._scope = event.key
            self.show_everything()

    @on(LineTable.Opened)
    def open_row(self, event: LineTable.Opened) -> None:
        if event.table is self.instances:
            self._scope = event.key
            self.show_everything()
            self.sessions.focus()
        elif (key := self.target_session()) is not None:
            self.open_chat(key, at_question=event.table is self.inbox)
        else:
            self.notify("a spare: nobody talks to it yet", markup=False)

    def action_open(self) -> None:
        self._active_table().action_open()

    def open_chat(self, key: SessionKey, *, at_question: bool = False) -> None:
        """`at_question`: the oldest card has the focus, not the message."""
        self.open_chats([key], at_question=at_question)

    def open_chats(self, keys: Iterable[SessionKey], *, at_question: bool = False) -> None:
        """Opens each in a tab of its own and goes to the first; several stand side by side where there is room."""
        from tui.app import BullpenApp

        assert isinstance(self.app, BullpenApp)
        self.app.open_chats(keys, at_question=at_question)

    def action_chats(self) -> None:
        self.open_chats([])

    def action_new_chat(self) -> None:
        self.begin_chat(self.target_instance())

    def begin_chat(self, instance: str | None) -> None:
        """Asks for the name of a conversation, with `instance` chosen beforehand, and opens it."""
        from tui.screens.new_chat import NewChatScreen

        names = self.bridge.open_to_prompts()
        if not names:
            self.notify("no instance takes prompts now", severity="warning", markup=False)
            return
        agents = {name: self.bridge.instances[name].description for name in names}
        screen = NewChatScreen(agents, self.bridge.sessions.keys(), agent=instance, user=OPERATOR)

        def decided(key: SessionKey | None) -> None:
            if key is not None:
                self.open_chat(key)

        self.app.push_screen(screen, decided)

    def action_inbox(self) -> None:
        if self.focused is self.inbox:
            if (first := min(self.bridge.inbox(), key=inbox_order, default=None)) is not None:
                self.open_chat(first.key, at_question=True)
        else:
            self.action_pane("inbox")

    def action_pane(self, name: str) -> None:
        if name in ("sessions", "clients"):
            self.set_class(name == "clients" and (self.has_class("-narrow") or self.has_class("-short")), "-clients")
            self.fit()
        pane = self.query_one(f"#{name}")
        if pane.display:
            pane.focus()

    def action_scope(self) -> None:
        self._scope = self.instances.cursor_key if self._scope is None else None
        self.show_everything()

    def action_sort(self) -> None:
        self._active_table().order_by_need()
        self.tell()

    def action_errors(self) -> None:
        self._filter("" if self.sessions.filter_text == SessionState.FAILED else SessionState.FAILED)

    def action_describe(self) -> None:
        bridge, now = self.bridge, self._clock()
        match self._active_thing():
            case InstanceRow() as row:
                limits = self.operations.limits(row.name)
                self._describe(row.name, facts.instance_facts(row, limits, now))
            case SessionRow() as row:
                self._describe(
                    str(row.key), facts.session_facts(row, bridge.client_of(row), bridge.instance_of(row), now)
                )
            case ClientRow() as row:
                self._describe(row.id, facts.client_facts(row, now))
            case Question() as row:
                if row.choices:
                    self._describe(f"{row.tool} for {row.key}", facts.question_facts(row, now))
                else:
                    self.app.push_screen(QuestionScreen(row, may_answer=False))
            case Offer() as row:
                self._describe(f"interrupted turn of {row.key}", facts.offer_facts(row, now))

    def action_describe_host(self) -> None:
        host = self.bridge.host
        self._describe("host", facts.host_facts(host, self.operations.limits(), self._clock()))

    def _describe(self, title: str, shown: facts.Facts) -> None:
        self.app.push_screen(DescribeScreen(title, shown))

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def action_command(self) -> None:
        from tui.screens.command import ask_command

        ask_command(self)

    def action_set_limit(self) -> None:
        from tui.screens.command import ask_command

        instance = self.target_instance()
        ask_command(self, f"set {instance}." if instance else "set ")

    # Filter

    def action_filter(self) -> None:
        line = self.query_one("#filter", Input)
        line.display = True
        line.value = self._active_table().filter_text
        # At once, not with the next refresh: what is typed right after the key belongs here.
        self.set_focus(line)

    @on(Input.Changed, "#filter")
    def filter_while_typing(self, event: Input.Changed) -> None:
        if event.input.has_focus:
            self._filter(event.value)

    @on(Input.Submitted, "#filter")
    def keep_filter(self) -> None:
        self._leave_filter()

    def action_clear_filter(self) -> None:
        self.query_one("#filter", Input).value = ""
        self._filter("")
        self._leave_filter()

    def _filter(self, text: str) -> None:
        for table in (self.sessions, self.clients):
            table.filter_text = text
        self.tell()

    def _leave_filter(self) -> None:
        line = self.query_one("#filter", Input)
        if line.display:
            line.display = False
            self.sessions.focus()
