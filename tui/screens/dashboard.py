"""The operator's first screen: who needs me, what waits, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Footer, Input

from supervisor import ClientRow, Event, InstanceRow, SessionRow
from tui import format, inbox, reasons, rows
from tui.actions import Place, bindings
from tui.bridge import Touched
from tui.filters import clean_cell
from tui.screens.looking import LookingScreen
from tui.widgets.eventline import EventLog
from tui.widgets.header import StatusHeader
from tui.widgets.livetable import LiveTable
from tui.widgets.table import Row

BORDER_AND_TITLES = 3
"""Lines of a table that show no row."""


class DashboardScreen(LookingScreen):
    CSS_PATH = "dashboard.tcss"
    AUTO_FOCUS = "#sessions"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Place.DASHBOARD),
        Binding("escape", "clear_filter", show=False),
    ]

    # Layout

    def compose(self) -> ComposeResult:
        yield StatusHeader(id="header")
        with Container(id="panes"):
            with Vertical(id="left"):
                yield LiveTable[inbox.Item](
                    inbox.INBOX_COLUMNS, build=inbox.inbox_row, order=inbox.inbox_order, clock=self._clock,
                    title="Inbox", empty="nobody asks", id="inbox", shows_top=True,
                )  # fmt: skip
                yield LiveTable[InstanceRow](
                    rows.INSTANCE_COLUMNS, build=rows.instance_row, order=rows.instance_order, clock=self._clock,
                    title="Instances", empty="no instance: add a template", id="instances",
                )  # fmt: skip
                yield LiveTable[SessionRow](
                    rows.SESSION_COLUMNS, build=self._session_row, order=rows.session_order, clock=self._clock,
                    title="Sessions", empty="no session yet: n begins one", id="sessions", shows_top=True,
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
        if self.is_behind:
            self.is_behind = False
            self.show_everything()

    def on_resize(self) -> None:
        self.call_after_refresh(self.fit)

    # What is shown

    def show_everything(self) -> None:
        bridge = self.bridge
        self.inbox.show_things(bridge.inbox())
        self.instances.show_things(bridge.instances.values())
        self.sessions.show_things(row for row in bridge.sessions.values() if self._is_in_scope(row.key.instance))
        self.clients.show_things(row for row in bridge.clients.values() if self._is_in_scope(row.instance))
        self.tell()

    def record(self, events: Iterable[Event]) -> None:
        """Writes what happened into the log, also while another screen is in front."""
        log = self.query_one(EventLog)
        for event in events:
            log.add(event)

    def refresh_rows(self, touched: Touched) -> None:
        """Called by the app's flush timer: rebuilds what changed, and once a second what only grew older."""
        if touched.everything or self.is_behind:
            self.is_behind = False
            self.show_everything()
            return
        self._touch(touched)
        now = self._clock()
        if now - self._ticked_at >= 1.0 or touched:
            if now - self._ticked_at >= 1.0:
                self._ticked_at = now
                for table in self.query(LiveTable):
                    table.tick()
            self.tell()

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
        if touched.questions or touched.offers:
            self.inbox.show_things(bridge.inbox())

    def _session_row(self, row: SessionRow, now: float) -> Row:
        question = next((found for each in row.questions if (found := self.bridge.questions.get(each))), None)
        return rows.session_row(row, question, self.bridge.clients.get(row.client_id), now)

    def _is_in_scope(self, instance: str) -> bool:
        return self._scope is None or instance == self._scope

    def tell(self) -> None:
        """Header, titles and the footer's idea of what can be done."""
        bridge, now = self.bridge, self._clock()
        self.query_one(StatusHeader).set(bridge.host, tuple(bridge.instances.values()), now)
        whose = clean_cell(self._scope) if self._scope else "all instances"
        self.instances.border_subtitle = Content(self._instances_note(now))
        self.sessions.border_title = Content(f"Sessions · {whose} · {self.sessions.row_count}")
        self.clients.border_title = Content(f"Clients · {whose} · {self.clients.row_count}")
        self.inbox.border_title = self._inbox_title()
        notes = []
        if self.sessions.filter_text:
            notes.append(f"/{self.sessions.filter_text} · esc clears")
        column, _ = self.sessions.sorting
        if column is not None:
            notes.append(f"by {column} · = needs-you first")
        elif self.sessions.is_disordered:
            notes.append("order held · = sorts")
        self.sessions.border_subtitle = Content(" · ".join(notes))
        self.fit()
        self.reconsider_keys()

    def _inbox_title(self) -> str:
        questions, offers = len(self.bridge.questions), len(self.bridge.offers)
        title = f"Inbox · {questions + offers} waiting for you"
        return f"{title} · {offers} interrupted by a restart" if offers else title

    def _instances_note(self, now: float) -> str:
        """Why an instance is not running, or which one the other panes are narrowed to."""
        notes = [
            f"{format.glyph(row.state)} {row.name}: {clean_cell(reason)}"
            for row in self.bridge.instances.values()
            if (reason := reasons.alarm(row, now))
        ]
        if self._scope is not None:
            notes.append(f"only {self._scope} · 0 all")
        return "   ".join(notes)

    def fit(self) -> None:
        """Gives each pane the lines it can use, the rest to the sessions."""
        height = self.size.height
        asked = len(self.bridge.inbox())
        self.inbox.display = asked > 0
        self.inbox.styles.height = BORDER_AND_TITLES + min(asked, max(1, height // 8))
        self.instances.styles.height = BORDER_AND_TITLES + min(max(1, self.instances.row_count), max(3, height // 6))
        if self.size.width >= 160 or self.has_class("-clients"):
            self.clients.styles.height = "1fr"
        else:
            self.clients.styles.height = BORDER_AND_TITLES + min(max(1, self.clients.row_count), max(3, height // 5))
