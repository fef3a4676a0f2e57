"""The operator's first screen: who needs me, what waits, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Footer, Input

from supervisor import ClientRow, Event, InstanceRow, InstanceState, Question, SessionKey, SessionRow, SessionState
from tui import facts, format, rows
from tui.actions import Place, bindings
from tui.bridge import Bridge, Touched
from tui.filters import clean_cell
from tui.operations import Operations
from tui.screens.describe import DescribeScreen
from tui.screens.verbs import OperatorScreen
from tui.widgets.eventline import EventLog
from tui.widgets.header import StatusHeader
from tui.widgets.livetable import LiveTable
from tui.widgets.table import LineTable, Row

BORDER_AND_TITLES = 3
"""Lines of a table that show no row."""


CHANGING = ("interrupt", "drain", "undo_drain", "kill", "pause", "resume", "scale", "hibernate")
"""Verbs in the footer that are possible for some rows and not for others."""


class DashboardScreen(OperatorScreen):
    CSS_PATH = "dashboard.tcss"
    AUTO_FOCUS = "#sessions"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Place.DASHBOARD),
        Binding("escape", "clear_filter", show=False),
    ]

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
        self._possible: tuple[bool, ...] = ()

    # Layout

    def compose(self) -> ComposeResult:
        yield StatusHeader(id="header")
        with Container(id="panes"):
            with Vertical(id="left"):
                yield LiveTable[Question](
                    rows.QUESTION_COLUMNS, build=rows.question_row, order=rows.question_order, clock=self._clock,
                    title="Inbox", empty="nobody asks", id="inbox",
                )  # fmt: skip
                yield LiveTable[InstanceRow](
                    rows.INSTANCE_COLUMNS, build=rows.instance_row, order=rows.instance_order, clock=self._clock,
                    title="Instances", empty="no instance: add a template", id="instances",
                )  # fmt: skip
                yield LiveTable[SessionRow](
                    rows.SESSION_COLUMNS, build=self._session_row, order=rows.session_order, clock=self._clock,
                    title="Sessions", empty="no session yet: n begins one", id="sessions",
                )  # fmt: skip
            with Vertical(id="right"):
                yield LiveTable[ClientRow](
                    rows.CLIENT_COLUMNS, build=rows.client_row, order=rows.client_order, clock=self._clock,
                    title="Clients", empty="no client runs", id="clients",
                )  # fmt: skip
                log = EventLog(id="events")
                log.border_title = "Events"
                yield log
        yield Input(placeholder="only rows with this text · !text the others", id="filter")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.is_laid_out = True
        self.show_everything()

    def on_screen_resume(self) -> None:
        if self.is_laid_out:
            self.show_everything()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    @property
    def inbox(self) -> LiveTable[Question]:
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

    # What is shown

    def show_everything(self) -> None:
        bridge = self.bridge
        self.inbox.show_things(bridge.questions.values())
        self.instances.show_things(bridge.instances.values())
        self.sessions.show_things(row for row in bridge.sessions.values() if self._is_in_scope(row.key.instance))
        self.clients.show_things(row for row in bridge.clients.values() if self._is_in_scope(row.instance))
        self._tell()

    def record(self, events: Iterable[Event]) -> None:
        """Writes what happened into the log, also while another screen is in front."""
        log = self.query_one(EventLog)
        for event in events:
            log.add(event)

    def refresh_rows(self, touched: Touched) -> None:
        """Called by the app's flush timer: rebuilds what changed, and once a second what only grew older."""
        if touched.everything:
            self.show_everything()
            return
        self._touch(touched)
        now = self._clock()
        if now - self._ticked_at >= 1.0 or touched:
            if now - self._ticked_at >= 1.0:
                self._ticked_at = now
                for table in self.query(LiveTable):
                    table.tick()
            self._tell()

    def _touch(self, touched: Touched) -> None:
        bridge = self.bridge
        names = touched.instances
        self.instances.touch(
            [bridge.instances[name] for name in names if name in bridge.instances],
            [name for name in names if name not in bridge.instances],
        )
        clients = [name for name in touched.clients if name in bridge.clients]
        self.clients.touch(
            [row for name in clients if self._is_in_scope((row := bridge.clients[name]).instance)],
            [name for name in touched.clients if name not in bridge.clients],
        )
        keys = touched.sessions.union(key for name in clients if (key := bridge.clients[name].key) is not None)
        self.sessions.touch(
            [bridge.sessions[key] for key in keys if key in bridge.sessions and self._is_in_scope(key.instance)],
            [rows.session_id(key) for key in keys if key not in bridge.sessions],
        )
        if touched.questions:
            self.inbox.show_things(bridge.questions.values())

    def _session_row(self, row: SessionRow, now: float) -> Row:
        question = next((found for each in row.questions if (found := self.bridge.questions.get(each))), None)
        return rows.session_row(row, question, self.bridge.clients.get(row.client_id), now)

    def _is_in_scope(self, instance: str) -> bool:
        return self._scope is None or instance == self._scope

    def _tell(self) -> None:
        """Header, titles and the footer's idea of what can be done."""
        bridge, now = self.bridge, self._clock()
        self.query_one(StatusHeader).set(bridge.host, tuple(bridge.instances.values()), now)
        whose = self._scope or "all instances"
        self.instances.border_subtitle = Content(self._instances_note())
        self.sessions.border_title = f"Sessions · {whose} · {self.sessions.row_count}"
        self.clients.border_title = f"Clients · {whose} · {self.clients.row_count}"
        self.inbox.border_title = f"Inbox · {len(bridge.questions)} waiting for you"
        notes = []
        if self.sessions.filter_text:
            notes.append(f"/{self.sessions.filter_text} · esc clears")
        column, _ = self.sessions.sorting
        if column is not None:
            notes.append(f"by {column} · = needs-you first")
        elif self.sessions.is_disordered:
            notes.append("order held · = sorts")
        self.sessions.border_subtitle = " · ".join(notes)
        self._fit()
        self.reconsider_keys()

    def _instances_note(self) -> str:
        """Why an instance is not running, or which one the other panes are narrowed to."""
        notes = [
            f"{format.glyph(row.state)} {row.name}: {clean_cell(row.note)}"
            for row in self.bridge.instances.values()
            if row.note and row.state is not InstanceState.RUNNING
        ]
        if self._scope is not None:
            notes.append(f"only {self._scope} · 0 all")
        return "   ".join(notes)

    def _fit(self) -> None:
        """Gives each pane the lines it can use, the rest to the sessions."""
        height = self.size.height
        asked = len(self.bridge.questions)
        self.inbox.display = asked > 0
        self.inbox.styles.height = BORDER_AND_TITLES + min(asked, max(1, height // 12))
        self.instances.styles.height = BORDER_AND_TITLES + min(max(1, self.instances.row_count), max(3, height // 6))
        if self.size.width >= 160 or self.has_class("-clients"):
            self.clients.styles.height = "1fr"
        else:
            self.clients.styles.height = BORDER_AND_TITLES + min(max(1, self.clients.row_count), max(3, height // 5))

    # Targets: the row under the cursor of the pane that has the focus

    def target_instance(self) -> str | None:
        match self._active_thing():
            case InstanceRow() as row:
                return row.name
            case ClientRow() as row:
                return row.instance
            case SessionRow() | Question() as row:
                return row.key.instance
        return None

    def target_session(self) -> SessionKey | None:
        match self._active_thing():
            case ClientRow() | SessionRow() | Question() as row:
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
            return bool(self.bridge.questions)
        return self.can(action)

    @on(events.DescendantFocus)
    @on(LineTable.CursorMoved)
    def reconsider_keys(self) -> None:
        """Draws the footer anew when other keys than before can be used."""
        possible = (bool(self.bridge.questions), *(self.can(verb) for verb in CHANGING))
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
            self.open_chat(key)
        else:
            self.notify("a spare: nobody talks to it yet", markup=False)

    def action_open(self) -> None:
        self._active_table().action_open()

    def open_chat(self, key: SessionKey) -> None:
        from tui.screens.chat import ChatScreen

        self.app.push_screen(ChatScreen(key, self.bridge, self.operations, self._clock))

    def action_new_chat(self) -> None:
        self.begin_chat(self.target_instance())

    def begin_chat(self, instance: str | None) -> None:
        """Asks for the name of a conversation, with `instance` chosen beforehand, and opens it."""
        from tui.screens.new_chat import NewChatScreen

        names = self.bridge.open_to_prompts()
        if not names:
            self.notify("no instance takes prompts now", severity="warning", markup=False)
            return
        mine = sum(1 for key in self.bridge.sessions if key.user == "operator")
        screen = NewChatScreen(names, instance=instance or names[0], user="operator", session=f"chat-{mine + 1}")

        def decided(key: SessionKey | None) -> None:
            if key is not None:
                self.open_chat(key)

        self.app.push_screen(screen, decided)

    def action_inbox(self) -> None:
        if self.focused is self.inbox:
            oldest = next(iter(self.bridge.questions.values()), None)
            if oldest is not None:
                self.open_chat(oldest.key)
        else:
            self.action_pane("inbox")

    def action_pane(self, name: str) -> None:
        if name in ("sessions", "clients"):
            self.set_class(name == "clients" and (self.has_class("-narrow") or self.has_class("-short")), "-clients")
            self._fit()
        pane = self.query_one(f"#{name}")
        if pane.display:
            pane.focus()

    def action_scope(self) -> None:
        self._scope = self.instances.cursor_key if self._scope is None else None
        self.show_everything()

    def action_sort(self) -> None:
        self._active_table().order_by_need()
        self._tell()

    def action_errors(self) -> None:
        self._filter("" if self.sessions.filter_text == SessionState.FAILED else SessionState.FAILED)

    def action_describe(self) -> None:
        now = self._clock()
        match self._active_thing():
            case InstanceRow() as row:
                self.app.push_screen(DescribeScreen(row.name, facts.instance_facts(row, now)))
            case SessionRow() as row:
                self.app.push_screen(DescribeScreen(str(row.key), facts.session_facts(row, now)))
            case ClientRow() as row:
                self.app.push_screen(DescribeScreen(row.id, facts.client_facts(row, now)))
            case Question() as row:
                self.app.push_screen(DescribeScreen(f"{row.tool} for {row.key}", facts.question_facts(row, now)))

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def action_command(self) -> None:
        from tui.screens.command import ask_command

        ask_command(self)

    # Filter

    def action_filter(self) -> None:
        line = self.query_one("#filter", Input)
        line.display = True
        line.value = self._active_table().filter_text
        line.focus()

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
        self._tell()

    def _leave_filter(self) -> None:
        line = self.query_one("#filter", Input)
        if line.display:
            line.display = False
            self.sessions.focus()
