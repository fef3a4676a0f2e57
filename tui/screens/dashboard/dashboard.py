"""The operator's first screen: who needs me, what waits, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Input

from supervisor import ClientRow, Event, Glimpse, InstanceRow, SessionKey, SessionRow
from tui.engine_link.bridge import Touched
from tui.engine_link.newest import Newest
from tui.operator.app import app_of
from tui.operator.orders import session_of
from tui.screens.dashboard.navigation import NavigationScreen
from tui.tables import inbox_rows, rows
from tui.tables.live_table import LiveTable
from tui.tables.table import Row
from tui.widgets.event_log import NOTHING_YET, EventLog
from tui.widgets.fittedfooter import FittedFooter
from tui.widgets.header import StatusHeader
from tui.widgets.preview import Preview
from tui.wording import format, reasons
from tui.wording.facts import chosen_words
from tui.wording.sanitize import clean_cell
from tui.wording.verbs import Where, bindings

BORDER_AND_TITLES = 3
"""Lines of a table that show no row."""
NARROW, XWIDE = 100, 160
"""Cells below which only the most needed pane is shown, and from which on panes stand side by side."""
TALL, HIGH = 30, 45
"""Lines below which only the most needed pane is shown, and from which on there is room for a preview."""
EVENTS_WIDE = 14
"""Lines of the event log beside the other panes."""
NO_SESSIONS, NO_CLIENTS = "no session yet: n begins one", "no client runs"
NOTHING_SAID = Glimpse((), "")
LEFT, RIGHT = ("inbox", "instances", "sessions"), ("preview", "clients", "events")
"""Panes by their column."""


class DashboardScreen(NavigationScreen):
    CSS_PATH = "dashboard.tcss"
    AUTO_FOCUS = "#sessions"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall"), (45, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Where.DASHBOARD),
        Binding("escape", "back", show=False),
    ]

    _was_in_front = False
    _has_past = False
    """What earlier runs did stands in the log."""

    @cached_property
    def _glimpses(self) -> Newest[SessionKey, Glimpse]:
        return Newest(self, self.operations.glimpse, self._show_glimpse)

    # Layout

    def fit_to(self, size: Size) -> None:
        """Before it is mounted: its styles would be worked out again as soon as it learns of its size."""
        widths, heights = self.HORIZONTAL_BREAKPOINTS or [], self.VERTICAL_BREAKPOINTS or []
        for length, steps in ((size.width, widths), (size.height, heights)):
            self.add_class(max(step for step in steps if step[0] <= length)[1], update=False)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.ScreenResume) and not self._was_in_front:
            self._was_in_front = True
            event.refresh_styles = False  # each widget has got its own as it was mounted
        await super().on_event(event)

    def compose(self) -> ComposeResult:
        yield StatusHeader(id="header")
        with Container(id="panes"):
            with Vertical(id="left"):
                yield LiveTable[inbox_rows.Item](
                    inbox_rows.INBOX_COLUMNS, build=self._inbox_row, order=inbox_rows.inbox_order,
                    clock=self._clock,
                    title="Inbox", empty="no agent asks", id="inbox", shows_top=True, find=self._find_item,
                )  # fmt: skip
                yield LiveTable[InstanceRow](
                    rows.INSTANCE_COLUMNS, build=self._instance_row, order=rows.instance_order, clock=self._clock,
                    title="Instances", empty="no instance: add a template", id="instances", find=self._find_instance,
                )  # fmt: skip
                yield LiveTable[SessionRow](
                    rows.SESSION_COLUMNS, build=self._session_row, order=rows.session_order, clock=self._clock,
                    title="Sessions", empty=NO_SESSIONS, id="sessions", shows_top=True,
                    find=self._find_session,
                )  # fmt: skip
            with Vertical(id="right"):
                yield Preview(id="preview")
                yield LiveTable[ClientRow](
                    rows.CLIENT_COLUMNS, build=rows.client_row, order=rows.client_order, clock=self._clock,
                    title="Clients", empty=NO_CLIENTS, id="clients", find=self._find_client,
                )  # fmt: skip
                yield self.log_of_events
        yield Input(placeholder="only rows with this text · !text the others", id="filter")
        yield FittedFooter()

    def on_mount(self) -> None:
        if self._is_leaving:
            return
        self.is_laid_out = True
        self.record(())
        self.take_up(self._remembered)
        self.show_everything()
        if self._scope is not None:
            self.instances.move_to(self._scope)

    @property
    def _is_leaving(self) -> bool:
        return app_of(self).is_leaving

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
        """Writes what happened into the log, below what earlier runs did; also while another screen is in front."""
        if self.bridge.is_open and not self._has_past:
            self._has_past = True
            self.log_of_events.add(self.bridge.past, is_past=True)
        self.log_of_events.add(events)

    def refresh_rows(self, touched: Touched) -> None:
        """Called by the app's flush timer: rebuilds what changed, and once a second what only grew older."""
        if touched.everything or self.is_behind:
            self.is_behind = False
            self.show_everything()
            return
        self._touch(touched)
        self.refresh_preview(is_changed=False)
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

    def _instance_row(self, row: InstanceRow, now: float) -> Row:
        made = rows.instance_row(row, now, self.bridge.remedies)
        return made if self.bridge.is_open else rows.opening_row(made)

    def _inbox_row(self, row: inbox_rows.Item, now: float) -> Row:
        return inbox_rows.inbox_row(row, now, self.bridge.remedies)

    def _session_row(self, row: SessionRow, now: float) -> Row:
        question = next((found for each in row.questions if (found := self.bridge.questions.get(each))), None)
        return rows.session_row(row, question, self.bridge.clients.get(row.client_id), now, self.bridge.remedies)

    # The bridge's dictionaries may be replaced: they are looked up anew each time.

    def _find_item(self, key: str) -> inbox_rows.Item | None:
        return next((item for item in self.bridge.inbox() if inbox_rows.item_key(item) == key), None)

    def _find_instance(self, name: str) -> InstanceRow | None:
        return self.bridge.instances.get(name)

    def _find_session(self, key: str) -> SessionRow | None:
        return self.bridge.sessions.get(rows.session_key(key))

    def _find_client(self, client_id: str) -> ClientRow | None:
        return self.bridge.clients.get(client_id)

    def _is_in_scope(self, instance: str) -> bool:
        return self._scope is None or instance == self._scope

    def tell(self) -> None:
        """Header, titles and the footer's idea of what can be done."""
        bridge, now = self.bridge, self._clock()
        self.query_one(StatusHeader).set(
            bridge.host,
            tuple(bridge.instances.values()),
            now,
            leaves=app_of(self).leaves_when_drained,
            is_cut_off=bool(bridge.trouble),
            is_open=bridge.is_open,
        )
        whose = clean_cell(self._scope) if self._scope else "all instances"
        log = self.log_of_events
        for pane, words in ((self.sessions, NO_SESSIONS), (self.clients, NO_CLIENTS), (log, NOTHING_YET)):
            pane.empty = words if bridge.is_open else ""
        _entitle(self.inbox, f"{self._inbox_title()}{_marks(self.inbox)}")
        _entitle(self.instances, f"Instances{_marks(self.instances)}", self._instances_note(now))
        for table, noun, note in ((self.sessions, "Sessions", self._sessions_note()), (self.clients, "Clients", "")):
            count = f" · {_count(table)}" if bridge.is_open else ""
            _entitle(table, f"{noun} · {whose}{count}{_marks(table)}", note)
        _entitle(
            log,
            f"Events · {_count(log)}" if log.filter_text else "Events",
            f"/{log.filter_text} · esc clears" if log.filter_text else "",
        )
        self.fit()
        self.refresh_preview(is_changed=False)
        self.reconsider_keys()

    def _sessions_note(self) -> str:
        """What is filtered and how it is sorted."""
        notes = []
        if self.sessions.filter_text:
            notes.append(f"/{self.sessions.filter_text} · esc clears")
        column, _ = self.sessions.sorting
        if column is not None:
            notes.append(f"by {column} · = needs-you first")
        elif self.sessions.is_disordered and self.sessions.is_held:
            notes.append("order held · = sorts")
        return " · ".join(notes)

    def _inbox_title(self) -> str:
        questions, offers = len(self.bridge.questions), len(self.bridge.offers)
        title = f"Inbox · {questions + offers} waiting for you"
        return f"{title} · {offers} interrupted by a restart" if offers else title

    def _instances_note(self, now: float) -> str:
        """Why an instance is not running, or which one the other panes are narrowed to."""
        notes = [
            f"{format.glyph(row.state)} {row.name}: {clean_cell(reason)}"
            for row in self.bridge.instances.values()
            if (reason := reasons.alarm(row, now, self.bridge.remedies))
        ]
        if self._scope is not None:
            notes.append(f"only {self._scope} · 0 all")
        return "   ".join(notes)

    def fit(self) -> None:
        """Gives each pane the lines it can use, the rest to the sessions; a zoomed pane gets all of them."""
        if not self.is_laid_out or self._is_leaving:
            return
        width, height = self.size
        asked = len(self.bridge.inbox())
        is_wide, is_small = width >= XWIDE, width < NARROW or height < TALL
        has_preview = is_wide and height >= HIGH
        shown = {
            "inbox": asked > 0,
            "instances": True,
            "sessions": not (is_small and self._shows_clients),
            "clients": not is_small or self._shows_clients,
            "preview": has_preview,
            "events": True,
        }
        if self._zoomed:
            shown = {name: name == self._zoomed for name in shown}
        for name, is_shown in shown.items():
            self.query_one(f"#{name}").display = is_shown
        self.query_one("#left").display = any(shown[name] for name in LEFT)
        self.query_one("#right").display = any(shown[name] for name in RIGHT)
        self.set_class(bool(self._zoomed), "-zoomed")

        heights: dict[str, str | int] = {
            "inbox": BORDER_AND_TITLES + min(asked, max(1, height // 8)),
            "instances": BORDER_AND_TITLES + min(max(1, self.instances.row_count), max(3, height // 6)),
            "sessions": "1fr",
            "preview": "1fr",
            "events": EVENTS_WIDE if is_wide else 1 if is_small else 3,
        }
        heights["clients"] = self._clients_height(heights, is_wide=is_wide, is_small=is_small, has_preview=has_preview)
        if self._zoomed:
            heights[self._zoomed] = "1fr"
        for name, lines in heights.items():
            self.query_one(f"#{name}").styles.height = lines
        self.query_one("#right").styles.height = "1fr" if is_wide or self._zoomed or is_small else "auto"
        self.query_one("#left").styles.height = "auto" if is_small and self._shows_clients else "1fr"
        if is_small and not self._shows_clients and not self._zoomed:
            self.query_one("#right").styles.height = "auto"

    def _clients_height(
        self, heights: Mapping[str, str | int], *, is_wide: bool, is_small: bool, has_preview: bool
    ) -> str | int:
        """Below the sessions, only what they leave over: a client is looked for less often than a session."""
        wanted = BORDER_AND_TITLES + max(1, self.clients.row_count)
        if is_small or (is_wide and not has_preview):
            return "1fr"
        if has_preview:
            return min(wanted, BORDER_AND_TITLES + max(3, self.size.height // 4))
        others = sum(int(heights[name]) for name in ("instances", "events")) + 2  # header and footer
        if self.bridge.is_operator_wanted:
            others += int(heights["inbox"])
        left_over = self.size.height - others - BORDER_AND_TITLES - max(2, self.sessions.row_count)
        return min(wanted, max(BORDER_AND_TITLES + 2, left_over))

    # The row under the cursor

    def refresh_preview(self, *, is_changed: bool = True) -> None:
        """Shows the end of the conversation under the cursor, when there is room for it. The conversation is looked at
        only when the cursor stands on another row, or its row has changed."""
        preview = self.query_one(Preview)
        if not preview.display:
            self._previewed = None
            return
        row = self._previewed_row()
        if row is self._previewed and not is_changed:
            return
        self._previewed = row
        chosen = chosen_words(row) if row is not None else ""
        words = " · ".join(filter(None, (f"Preview · {row.key}", chosen))) if row is not None else "Preview"
        _entitle(preview, clean_cell(words, 100))
        if row is None:
            preview.show(NOTHING_SAID)
        else:
            self._glimpses.want(row.key)

    def _show_glimpse(self, key: SessionKey, glimpse: Glimpse) -> None:
        """Once it has arrived; of a row that the cursor has left it is not shown."""
        if self.is_attached and self._previewed is not None and self._previewed.key == key:
            self.query_one(Preview).show(glimpse)

    def _previewed_row(self) -> SessionRow | None:
        """Of the pane with the focus; of the sessions when that one shows none."""
        focused = self.focused
        table = focused if isinstance(focused, LiveTable) and focused is not self.instances else self.sessions
        key = session_of(table.thing)
        return None if key is None else self.bridge.sessions.get(key)


def _entitle(pane: Widget, title: str, note: str = "") -> None:
    """A title that is set is painted, with the whole pane, also when it is the one that stood there."""
    for name, text in (("border_title", title), ("border_subtitle", note)):
        if getattr(pane, name) != Content(text).markup:
            setattr(pane, name, Content(text))


def _count(pane: LiveTable[Any] | EventLog) -> str:
    """`12`; `1 of 12` when a filter hides rows."""
    shown, total = pane.row_count, pane.total_count
    return f"{shown} of {total}" if pane.filter_text else str(total)


def _marks(table: LiveTable[Any]) -> str:
    """` · 3 marked`, and how many of them are not shown; empty without marks."""
    if not (marked := table.marked):
        return ""
    hidden = len(marked.difference(table.keys))
    return f" · ✓ {len(marked)} marked" + (f" ({hidden} not shown)" if hidden else "")
