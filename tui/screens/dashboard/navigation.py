"""Navigation on the dashboard: where the cursor is, which rows are shown, what is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import events, on
from textual.widgets import Input

from supervisor import ClientRow, InstanceRow, Offer, Question, SessionKey, SessionRow, SessionState
from tui.engine_link.bridge import Bridge
from tui.kept.preferences import Preferences
from tui.operator.app import app_of
from tui.operator.listings import LISTINGS
from tui.operator.operations import OPERATOR, Operations
from tui.operator.orders import Thing
from tui.screens import dialogs
from tui.screens.dashboard.operator_verbs import OperatorScreen
from tui.tables.inbox_rows import Item, inbox_order, item_key
from tui.tables.layout import Column
from tui.tables.live_table import LiveTable
from tui.tables.table import LineTable
from tui.widgets.event_log import EventLog
from tui.wording import facts, format
from tui.wording.verbs import idle_words

CHANGING = ("interrupt", "drain", "undo_drain", "kill", "pause", "resume", "scale", "hibernate", "replay", "drop_offer")
"""Verbs in the footer that are possible for some rows and not for others."""


PANES = ("inbox", "instances", "sessions", "clients", "preview", "events")


class NavigationScreen(OperatorScreen):
    """Four live tables and a cursor in each. The screen that lays them out also fills them."""

    def __init__(
        self,
        bridge: Bridge,
        operations: Operations,
        clock: Callable[[], float],
        remembered: Preferences = Preferences(),
    ) -> None:
        super().__init__()
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self.is_laid_out = False
        """Whether there is anything to write into."""
        self.log_of_events = EventLog(clock=clock, id="events")
        self._remembered = remembered
        self._scope: str | None = remembered.scope if remembered.scope in bridge.instances else None
        """The instance whose sessions and clients are shown; None for all."""
        self._zoomed = ""
        """The pane that is shown alone; empty when all are."""
        self._shows_clients = False
        """On a small screen, where they take the place of the sessions."""
        self._previewed: SessionRow | None = None
        """The row whose conversation was last shown."""
        self._ticked_at = 0.0
        self._refused_line = ""
        self.is_behind = False
        """Whether rows have changed while a chat stood in front."""
        self._possible: tuple[bool, ...] = ()
        self._filters_log = self._filters_from_clients = False
        """Whether the filter line is about the event log."""

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

    # What the verbs apply to, in the pane that has the focus

    def chosen(self) -> tuple[Thing, ...]:
        if not self.is_laid_out:
            return ()
        if (table := self._focused_table()) is None:
            return ()
        if marked := table.marked_things:
            return marked
        return () if table.thing is None else (table.thing,)

    @property
    def has_marks(self) -> bool:
        return self.is_laid_out and (table := self._focused_table()) is not None and bool(table.marked)

    def _focused_table(self) -> LiveTable[Thing] | None:
        focused = self.focused
        if isinstance(focused, LiveTable):
            return focused
        return self.query_one("#sessions", LiveTable) if focused is None else None

    def _active_table(self) -> LiveTable[Thing]:
        return self._focused_table() or self.query_one("#sessions", LiveTable)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.can(action)

    @on(LineTable.MarksChanged)
    def tell_marks(self) -> None:
        self.tell()

    @on(events.DescendantFocus)
    @on(LineTable.CursorMoved)
    def reconsider_keys(self) -> None:
        """Draws the footer anew when other keys than before can be used."""
        possible = (self.bridge.is_operator_wanted, *(self.can(verb) for verb in CHANGING))
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    def preferences(self) -> Preferences:
        """This screen's state to be remembered. The theme belongs to the app."""
        sort = {}
        for table in self.query(LiveTable):
            column, is_reversed = table.sorting
            if column is not None and table.id is not None:
                sort[table.id] = (column, is_reversed)
        return Preferences(sort=sort, filter=self.sessions.filter_text, scope=self._scope or "")

    def take_up(self, remembered: Preferences) -> None:
        """Sorts and filters as the last start did; what is not there any more is left out."""
        for table in self.query(LiveTable):
            column, is_reversed = remembered.sort.get(table.id or "", ("", False))
            if any(column == one.key for one in table.columns):
                table.sort_by(column, is_reversed)
        for table in (self.sessions, self.clients):
            table.filter_text = remembered.filter

    # Queries

    @on(LineTable.CursorMoved, "#instances")
    def follow_scope(self) -> None:
        # Where the cursor is now: the message may be older.
        key = self.instances.cursor_key
        if self._scope is not None and key is not None and key != self._scope:
            self._scope = key
            self.show_everything()

    @on(LineTable.Opened)
    def open_row(self, event: LineTable.Opened) -> None:
        if event.table is self.instances:
            self._scope = event.key
            self.show_everything()
            self.sessions.focus()
        elif keys := self.target_sessions():
            if event.table is self.inbox:
                things = self.inbox.marked_things or (self.inbox.thing,)
                self.open_chats(keys, at_question=True, chosen=things[0], was_seen=self.was_seen(things[0]))
            else:
                self.open_chats(keys)
        else:
            self.notify("a spare client: it has no session yet", markup=False)

    def action_open(self) -> None:
        self._active_table().action_open()

    def open_chat(self, key: SessionKey) -> None:
        self.open_chats([key])

    def open_chats(
        self,
        keys: Iterable[SessionKey],
        *,
        at_question: bool = False,
        chosen: Question | Offer | None = None,
        was_seen: bool = False,
    ) -> None:
        """Opens each in a tab of its own and goes to the first; several stand side by side where there is room. With
        `at_question` the card of `chosen` has the focus, else the oldest one; `was_seen` says that the operator had the
        row of `chosen` before their eyes."""
        app_of(self).open_chats(keys, at_question=at_question, chosen=chosen, was_seen=was_seen)

    def action_chats(self) -> None:
        self.open_chats([])

    def action_new_chat(self) -> None:
        self.begin_chat(self.target_instance())

    def begin_chat(self, instance: str | None, user: str = OPERATOR) -> None:
        """Asks for the name of a conversation, with `instance` and `user` chosen beforehand, and opens it."""
        names = self.bridge.open_to_prompts()
        if not names:
            self.notify("no agent takes prompts now", severity="warning", markup=False)
            return
        agents = {name: self.bridge.instances[name] for name in names}
        screen = dialogs.NewChatScreen(agents, self.bridge.sessions.keys(), agent=instance, user=user)

        def decided(key: SessionKey | None) -> None:
            if key is not None:
                self.open_chat(key)

        self.app.push_screen(screen, decided)

    def was_seen(self, item: Item | None) -> bool:
        """Whether the row of this was on the screen when the operator pressed the key that has its effect now."""
        return item is not None and self.inbox.was_seen(item_key(item), app_of(self).inputs.pressed_at)

    def action_inbox(self) -> None:
        """Opens the card of what has waited longest. A question that came while the key was on its way is only selected
        in the list: the letters that follow were not meant for it."""
        first = min(self.bridge.inbox(), key=inbox_order, default=None)
        if first is None:
            app_of(self).action_say_idle(idle_words("inbox"))
        elif self.was_seen(first) or self.focused is self.inbox:
            self.open_chats([first.key], at_question=True, chosen=first, was_seen=self.was_seen(first))
        else:
            self.action_pane("inbox")

    def action_pane(self, name: str) -> None:
        if name == "inbox" and not self.bridge.is_operator_wanted:
            app_of(self).action_say_idle(idle_words("inbox"))
            return
        if name in ("sessions", "clients"):
            self._shows_clients = name == "clients"
        if self._zoomed:
            self._zoomed = name
        self.fit()
        pane = self.query_one(f"#{name}")
        if pane.display:
            pane.focus()

    def action_zoom(self) -> None:
        """Shows the pane with the focus alone; again, or esc, shows all of them."""
        pane = self.focused.id if self.focused is not None else None
        self._zoomed = "" if self._zoomed or pane not in PANES else pane or ""
        self.fit()

    def action_log(self) -> None:
        """The event log on the whole screen; again goes back."""
        log = self.log_of_events
        self._zoomed = "" if self._zoomed == "events" else "events"
        self.fit()
        self.set_focus(log if self._zoomed else self.sessions)

    @on(EventLog.Opened)
    def open_session_of_event(self, event: EventLog.Opened) -> None:
        if event.session in self.bridge.sessions:
            self.open_chat(event.session)
        else:
            self.notify(f"{event.session} is closed: its conversation is gone", markup=False, timeout=4)

    def action_scope(self) -> None:
        self._scope = self.instances.cursor_key if self._scope is None else None
        self.show_everything()

    def action_sort(self) -> None:
        self._active_table().order_by_need()
        self.tell()

    def sort_active(self, column: str) -> None:
        """Sorts the pane with the focus by a column, by its key; the same column again reverses the order."""
        self._active_table().action_order_by(column)
        self.tell()

    def active_columns(self) -> tuple[Column, ...]:
        """The columns of the pane with the focus."""
        return self._active_table().columns

    def action_errors(self) -> None:
        self._filters_log = False
        self.filter_rows("" if self.sessions.filter_text == SessionState.FAILED else SessionState.FAILED)

    def action_describe(self) -> None:
        things = self.chosen()
        if len(things) == 1 and isinstance(question := things[0], Question) and not question.choices:
            self.app.push_screen(dialogs.QuestionScreen(question, may_answer=False))
        elif len(things) == 1:
            self._describe(*self._facts_of(things[0]))
        elif things:
            shown: facts.Facts = []
            for title, lines in map(self._facts_of, things):
                shown += [*([("", "")] if shown else []), ("row", title), *lines]
            self._describe(f"{len(things)} marked rows", shown)

    def _facts_of(self, thing: Thing) -> tuple[str, facts.Facts]:
        """The name of a row, and every fact about it."""
        bridge, now = self.bridge, self._clock()
        match thing:
            case InstanceRow() as row:
                return row.name, facts.instance_facts(row, bridge.limits.get(row.name, {}), now, bridge.remedies)
            case SessionRow() as row:
                client, instance = bridge.client_of(row), bridge.instance_of(row)
                limits = bridge.limits.get(row.key.instance, {})
                return str(row.key), facts.session_facts(row, client, instance, limits, now, bridge.remedies)
            case ClientRow() as row:
                return row.id, facts.client_facts(row, bridge.limits.get(row.instance, {}), now)
            case Question() as row:
                return f"{format.tool_name(row.tool)} for {row.key}", facts.question_facts(row, now)
            case Offer() as row:
                return f"interrupted turn of {row.key}", facts.offer_facts(row, now, bridge.remedies)

    def action_describe_host(self) -> None:
        host = self.bridge.host
        limits, pools = self.bridge.limits.get("", {}), self.bridge.instances.values()
        self._describe("host", facts.host_facts(host, pools, limits, self._clock()))

    def action_list(self, name: str, argument: str = "") -> None:
        self.app.push_screen(dialogs.ListingScreen(LISTINGS[name], argument, self.operations))

    def _describe(self, title: str, shown: facts.Facts) -> None:
        self.app.push_screen(dialogs.DescribeScreen(title, shown))

    def action_help(self) -> None:
        self.app.push_screen("help")

    def keep_line(self, line: str) -> None:
        """Keeps a line that was refused after its dialog had closed. The next dialog begins with it."""
        self._refused_line = line

    def action_command(self) -> None:
        from tui.screens.dashboard.command_line import ask_command

        ask_command(self, self._refused_line)
        self._refused_line = ""

    def action_forget_user(self) -> None:
        from tui.screens.dashboard.command_line import ask_command

        ask_command(self, "forget ")

    def action_set_limit(self) -> None:
        from tui.screens.dashboard.command_line import ask_command

        instance = self.target_instance()
        ask_command(self, f"set {instance}." if instance else "set ")

    # Filter, and the way back

    def action_filter(self) -> None:
        line = self.query_one("#filter", Input)
        line.display = True
        self._filters_log = isinstance(self.focused, EventLog)
        self._filters_from_clients = self.focused is self.clients
        line.value = self._filtered().filter_text
        # At once, not with the next refresh: what is typed right after the key belongs here.
        self.set_focus(line)

    @on(Input.Changed, "#filter")
    def filter_while_typing(self, event: Input.Changed) -> None:
        if event.input.has_focus:
            self.filter_rows(event.value)

    @on(Input.Submitted, "#filter")
    def keep_filter(self) -> None:
        self._leave_filter()

    def action_back(self) -> None:
        """One step: the filter that is typed; else the zoom; else the marks of this pane, or of the next; else the
        filter that was kept."""
        line = self.query_one("#filter", Input)
        marked = [table for table in self.query(LiveTable) if table.marked]
        if line.display:
            line.value = ""
            self.filter_rows("")
            self._leave_filter()
        elif self._zoomed:
            self._zoomed = ""
            self.fit()
        elif marked:
            active = self._active_table()
            (active if active in marked else marked[0]).clear_marks()
        else:
            # The filter of this pane; where it has none, the other one: the screen shows it, and says that esc clears.
            has_log, has_rows = bool(self.log_of_events.filter_text), bool(self.sessions.filter_text)
            self._filters_log = has_log and (isinstance(self.focused, EventLog) or not has_rows)
            line.value = ""
            self.filter_rows("")

    def _filtered(self) -> LiveTable[SessionRow] | EventLog:
        """What the filter line is about: the event log has one of its own."""
        return self.query_one(EventLog) if self._filters_log else self.sessions

    def filter_rows(self, text: str) -> None:
        """Shows only what holds this text, of `!text` the others: in the event log or in sessions and clients,
        according to where the filter was begun."""
        panes = (self.query_one(EventLog),) if self._filters_log else (self.sessions, self.clients)
        for pane in panes:
            pane.filter_text = text
        self.tell()

    def filter_active(self, text: str) -> None:
        """Filters the pane with the focus."""
        self._filters_log = isinstance(self.focused, EventLog)
        self.filter_rows(text)

    def _leave_filter(self) -> None:
        line = self.query_one("#filter", Input)
        if line.display:
            line.display = False
            pane = self._filtered()
            self.set_focus(self.clients if pane is self.sessions and self._filters_from_clients else pane)
