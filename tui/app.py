"""The dashboard as a Textual app. It looks at an engine and speaks to it; it does not own its life."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from msgspec.structs import replace
from rich.console import RenderableType
from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.driver import Driver
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input
from textual.widgets._toast import ToastRack
from textual.worker import Worker

from supervisor import (
    ActionTaken,
    BullpenError,
    Engine,
    Event,
    InstanceState,
    Offer,
    Question,
    SessionKey,
    Snapshot,
    clean,
)
from tui.engine_link.bridge import Bridge
from tui.engine_link.newest import Newest
from tui.engine_link.verb_queue import VerbQueue
from tui.kept.drafts import DraftFile
from tui.kept.preferences import PreferenceFile, Preferences
from tui.operator import consequences
from tui.operator.operations import Operations
from tui.screens import dialogs
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dashboard.palette import SessionProvider, VerbProvider
from tui.terminal.clipboard import CopyFile
from tui.terminal.control_filter import ControlFilter
from tui.terminal.driver import SafeDriver
from tui.terminal.input_queue import ENGINE_WORK, INPUT, InputQueue
from tui.terminal.notifications import Notices
from tui.terminal.partial_repaint import crop
from tui.terminal.pastes import PasteCut, on_one_line
from tui.terminal.workers import start_worker
from tui.themes import OURS
from tui.wording import format
from tui.wording.sanitize import clean_cell

if TYPE_CHECKING:
    from tui.screens.chat.chat import ChatScreen
    from tui.screens.chat.palette import ChatProvider

FLUSH_SECONDS = 0.25
"""Between two looks at the feed."""
REMEMBER_SECONDS = 2.0
"""Between two looks whether theme, sort or filter have changed."""
TOLD_WITHIN = 3.0
"""Seconds that leaving waits for the engine to answer what it was told last."""
DEFAULT_THEME = "bullpen-dark"

_log = logging.getLogger(__name__)


class BullpenApp(App[int]):
    """Runs until the operator leaves; `return_code` says how it ended.

    The engine runs in a task group outside of the app. The app ends by itself only through `ctrl+q`; code that
    started it may end it with `exit(return_code=…, message=…)` at any time.
    """

    CSS_PATH = ["app.tcss", "screens/dashboard/dashboard.tcss"]
    """With that of the first screen: Textual reads all of them again for each sheet that a screen brings."""
    SCREENS = {"help": lambda: dialogs.HelpScreen(), "help in a chat": lambda: dialogs.HelpScreen(in_chat=True)}
    """Mounted once: each says the same each time, and opens in a fraction of the time after the first."""
    COMMANDS = App.COMMANDS | {lambda: VerbProvider, lambda: SessionProvider, lambda: _chat_provider()}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", priority=True, key_display="^q", tooltip="Leave; says first what would end.")
    ]

    def __init__(
        self,
        engine: Engine,
        *,
        rehearsal: bool,
        title: str = "bullpen",
        clock: Callable[[], float] = time.time,
        driver_class: type[Driver] | None = None,
        copies: CopyFile | None = None,
        kept: PreferenceFile | None = None,
        drafts: DraftFile | None = None,
        notices: bool = False,
        attached_to: str = "",
        expected: Snapshot | None = None,
    ) -> None:
        """`clock` gives the Unix time that ages are counted from. `copies` takes what is copied, for terminals that
        ignore it. `kept` is where theme, sort and filter are remembered; without, every start begins with the default
        ones. `drafts` is where unsent messages are kept. With `notices`, bell, desktop notice and the terminal's title
        tell of new questions. `attached_to` names the bullpen, where the engine runs in another process: then leaving
        ends nothing. `expected` is shown at once; `take_over` is awaited when the engine is open, and keys wait
        until then, but for the one that leaves."""
        super().__init__(driver_class=driver_class)
        self.title = title
        self._attached_to = attached_to
        self._trouble = ""
        """Of the line, as it was told last."""
        self.sub_title = "rehearsal" if rehearsal else ""
        self._clock = clock
        self._copies = copies
        self._is_in_file = False
        """Whether what was copied last is in the file as well."""
        self._control_filter = ControlFilter()
        self._leaving: Worker[None] | None = None
        """Ends the program when everything is drained; None when that was not asked for."""
        self._states_before: dict[str, InstanceState] = {}
        """Of the instances when that drain began."""
        self.painted = anyio.Event()
        """The first frame is on the screen."""
        self.inputs = InputQueue(self, self._release)
        if expected is not None:
            # Every other key would be answered from what is not known yet.
            self.inputs.hold(lambda event: isinstance(event, events.Key) and event.key == "ctrl+q")
        self.verbs = VerbQueue(self)
        self.bridge = Bridge(engine, expected)
        self._limits: Newest[None, None] = Newest(self, lambda _: self.bridge.refresh_limits(), lambda *_: None)
        self.operations = Operations(engine)
        self._chats: ChatScreen | None = None
        self._dashboard: DashboardScreen | None = None
        self.operations.on_forgotten = self._forget
        for each in OURS:
            self.register_theme(each)
        self._notices = Notices(self._announce, terminal=os.environ.get("TERM", "")) if notices else None
        self._kept = kept
        self._remembered, self._mistake = kept.load() if kept is not None else (Preferences(), "")
        self._drafts = drafts
        self._kept_drafts: dict[SessionKey, str] = {}
        """As they stand in the file."""
        self._draft_trouble = ""
        """Why they could not be written last, as it was logged."""
        if drafts is not None:
            self._kept_drafts, mistake = drafts.load()
            self._mistake = " · ".join(filter(None, (self._mistake, mistake)))
            self.operations.unsent.update(self._kept_drafts)
        theme = self._remembered.theme
        self.theme = theme if theme in self.available_themes else DEFAULT_THEME

    @property
    def chats(self) -> ChatScreen:
        """Every open conversation; in front while one is looked at."""
        if self._chats is None:
            # A quarter of what the screen imports, and nothing of it is in the first frame.
            from tui.screens.chat.chat import ChatScreen

            self._chats = ChatScreen(self.bridge, self.operations, self._clock)
            self.install_screen(self._chats, "chats")
        return self._chats

    def post_message(self, message: Message) -> bool:
        """What comes from the terminal takes its turn; everything else goes to the queue as ever."""
        if isinstance(message, INPUT) and not message.is_forwarded:
            return self.inputs.take(message)
        return super().post_message(message)

    def _release(self, event: Message) -> bool:
        if isinstance(event, events.Paste):
            event.text = clean(event.text)
            if isinstance(self.focused, Input):
                event.text = self._fit(event.text, self.focused)
        return super().post_message(event)

    def _fit(self, text: str, field: Input) -> str:
        """The text as the field can take it: on one line, and not longer than it may be."""
        line = on_one_line(text)
        if not field.max_length:
            return line
        start, end = sorted(field.selection)
        room = max(0, field.max_length - len(field.value) + end - start)
        if len(line) > room:
            self.on_paste_cut(PasteCut(f"a line has at most {field.max_length:,} characters: the paste was cut"))
        return line[:room]

    def on_paste_cut(self, event: PasteCut) -> None:
        self.notify(event.text, severity="warning", markup=False)

    def _refresh_notifications(self) -> None:
        """Shows notifications on the screen in front only: one behind it would show the same beside them, over its
        rows."""
        super()._refresh_notifications()
        for screen in self.screen_stack if self._screen_stack else ():
            for rack in screen.query_children(ToastRack):
                self.call_later(setattr, rack, "display", screen is self.screen)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, crop(renderable))

    def get_line_filters(self) -> list[LineFilter]:
        return [*super().get_line_filters(), self._control_filter]

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The system commands that mean something here, in bullpen's words. The verbs are commands of the screens."""
        yield SystemCommand("Theme", "Choose the colours.", self.action_change_theme)
        keys = "help in a chat" if screen is self._chats else "help"
        yield SystemCommand("Keys", "All keys.", lambda: self.push_screen(keys))
        yield SystemCommand("Quit", "Leave; says first what would end.", self.action_quit)

    async def on_load(self) -> None:
        """The terminal is not the screen's yet: an engine that is out of reach is a line below the command."""
        if not self.bridge.has_rows:
            # The one time that the screen waits for the engine: before there are rows nothing can be shown.
            try:
                await self.bridge.open()
            except BullpenError as error:
                self.exit(return_code=1, message=Content(str(error)))
                return
        self._dashboard = DashboardScreen(self.bridge, self.operations, self._clock, self._remembered)

    def get_default_screen(self) -> Screen[Any]:
        """The dashboard: below it would be an empty screen that is laid out, gets its styles, and is never seen."""
        if self._dashboard is None:
            return super().get_default_screen()
        self._dashboard.fit_to(self.size)
        return self._dashboard

    def refresh_css(self, animate: bool = True) -> None:
        """Before there is a screen no style was asked for: the sheets are read once, with these colours."""
        if self.screen_stack:
            super().refresh_css(animate)
        else:
            self.stylesheet.set_variables(self.get_css_variables())

    def on_mount(self) -> None:
        if self._dashboard is None:
            return
        if self.bridge.is_open:
            self._limits.want(None)
            self._remove_copies()
        self._dashboard.call_after_refresh(self.painted.set)
        if self._mistake:
            self.notify(self._mistake, severity="warning", timeout=10, markup=False)
        self.set_interval(FLUSH_SECONDS, self.flush)
        self.set_interval(REMEMBER_SECONDS, self._remember)
        self.set_interval(REMEMBER_SECONDS, self._keep_drafts)

    async def take_over(self) -> None:
        """The engine is open: its rows take the place of those that were expected."""
        await self.bridge.open()
        self.call_later(self._begin)

    def _begin(self) -> None:
        self._remove_copies()
        self.flush()
        self.inputs.go_on()

    def prepare_help(self) -> None:
        """Mounts the list of keys behind what is shown, with its styles: that need not wait for the first `?`."""
        screen, _ = self._get_screen("help")
        self._load_screen_css(screen)

    def exit(self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        # While every table is still there to be asked.
        self._remember()
        self._keep_drafts()
        super().exit(result, return_code, message)

    def on_unmount(self) -> None:
        self._remove_copies()
        self.bridge.close()

    def _remove_copies(self) -> None:
        """Also those of a run that was cut off; none before the engine is open, as they may be another bullpen's."""
        if self._copies is not None and self.bridge.is_open:
            self._copies.remove()

    def _forget(self, user: str) -> None:
        if self._chats is not None:
            self._chats.forget(user)
        self._keep_drafts()
        if self._copies is not None:
            self._copies.remove()

    def action_help_quit(self) -> None:
        """Of `ctrl+c`, which ends many programs."""
        self.action_say_idle("ctrl+q leaves")

    def action_say_idle(self, words: str) -> None:
        """Says why a key does nothing now."""
        self.notify(words, markup=False, timeout=4)

    def copy_to_clipboard(self, text: str) -> None:
        """Copies the text to the terminal's clipboard and into a file."""
        text = text.encode("utf-8", "replace").decode()
        super().copy_to_clipboard(text)
        self._is_in_file = self._copies is not None and self._copies.write(text)

    def copy(self, text: str, what: str) -> None:
        """Copies, and says where to find the text when the terminal does not take it."""
        self.copy_to_clipboard(text)
        file = f" · it is in {self._copies.path} too" if self._is_in_file and self._copies is not None else ""
        self.notify(f"copied {what}{file} · nothing to paste? F12 shows the text plainly", markup=False, timeout=5)

    def _remember(self) -> None:
        """Writes down what the operator has changed since it was last written; nothing before the engine is open: rows
        that it names may not be known yet, and the state directory may be another's."""
        dashboard = next((screen for screen in self.screen_stack if isinstance(screen, DashboardScreen)), None)
        if self._kept is None or not self.bridge.is_open or dashboard is None or not dashboard.is_laid_out:
            return
        theme = "" if self.theme == DEFAULT_THEME else self.theme
        now = replace(dashboard.preferences(), theme=theme)
        if now != self._remembered:
            self._remembered = now
            try:
                self._kept.save(now)
            except OSError as error:
                _log.warning("theme, sort and filter are not remembered: %s", error)

    def _keep_drafts(self) -> None:
        """Writes down what is unsent when that has changed. A session that is gone takes its draft along, unless it
        stands in an open tab."""
        if self._drafts is None:
            return
        now = self._chats.drafts() if self._chats is not None else {}
        for key, text in (*self.operations.unsent.items(), *reversed(self.operations.unanswered)):
            now[key] = "\n".join(filter(None, (text, now.get(key, ""))))
        if now != self._kept_drafts:
            try:
                self._drafts.save(now)
            except OSError as error:  # tried again at the next look
                if (why := error.strerror or str(error)) != self._draft_trouble:
                    self._draft_trouble = why
                    _log.warning("unsent messages are not kept: %s", error)
            else:
                self._kept_drafts, self._draft_trouble = now, ""

    @property
    def is_leaving(self) -> bool:
        """Whether the app was told to exit: screens then lose their widgets, and nothing is written into them."""
        return self._exit

    @property
    def leaves_when_drained(self) -> bool:
        """Whether the app exits as soon as every instance is drained."""
        return self._leaving is not None

    def flush(self) -> None:
        """The one place where what the engine did reaches the screen: what is in sight takes its rows."""
        if not self.is_running or self.is_leaving:
            return
        touched = self.bridge.refresh()
        self._tell_of_the_line()
        if touched.everything or any(map(_changes_limits, touched.events)):
            self._limits.want(None)
        for key in touched.sessions:
            if key not in self.bridge.sessions and (text := self.operations.unsent.pop(key, "")):
                words = f"{key} is closed: what you had written for it goes with it: “{format.cut(text, 60)}”"
                self.notify(clean_cell(words, 300), severity="warning", timeout=8, markup=False)
        if self._notices is not None and self.bridge.is_open:
            self._notices.look(self.bridge.questions, len(self.bridge.inbox()), self._clock())
        for screen in self.screen_stack:
            if isinstance(screen, DashboardScreen) and screen.is_laid_out:
                screen.record(touched.events)
        in_sight = self._screens_with_rows()
        for screen in in_sight[1:]:
            if isinstance(screen, DashboardScreen):
                screen.is_behind = screen.is_behind or bool(touched)
        if in_sight and in_sight[0].is_laid_out:
            in_sight[0].refresh_rows(touched)

    def _tell_of_the_line(self) -> None:
        """Tells once when an engine in another process is out of reach, and once when it is back."""
        before, self._trouble = self._trouble, self.bridge.trouble
        if self._trouble and not before:
            self.notify(f"{self._trouble} · what you see is how it was", severity="error", timeout=10, markup=False)
        elif before and not self._trouble:
            self.notify(f"connected to {self._attached_to} again: this is how it is now", timeout=6, markup=False)

    def _screens_with_rows(self) -> list[DashboardScreen | ChatScreen]:
        """The front one first."""
        found: list[DashboardScreen | ChatScreen] = []
        for screen in reversed(self.screen_stack):
            if isinstance(screen, DashboardScreen):
                found.append(screen)
            elif self._chats is not None and screen is self._chats:
                found.append(self._chats)
        return found

    def open_chats(
        self,
        keys: Iterable[SessionKey],
        *,
        at_question: bool = False,
        chosen: Question | Offer | None = None,
        was_seen: bool = False,
    ) -> None:
        """Shows these conversations: each in a tab of its own, several of them side by side where there is room. The
        first is spoken to; with `at_question` the card of `chosen` has the focus, else its oldest card. When the row of
        `chosen` `was_seen`, the next key is meant for its card however fast it comes. Without keys, those that are open
        already."""
        subject = chosen.id if isinstance(chosen, Question) else chosen
        self.chats.open(keys, at_question=at_question, chosen=subject, was_seen=was_seen)
        if self.chats.deck.at is None:
            self.notify("no conversation is open", markup=False, timeout=2)
        elif self.chats not in self.screen_stack:
            self.push_screen(self.chats)

    def _announce(self, command: str) -> None:
        """Through the driver, which never lets anything wait for the terminal; where there is no terminal, nothing."""
        if isinstance(driver := self._driver, SafeDriver):
            driver.keep_title()
            driver.announce(command)

    # Leaving

    async def action_quit(self) -> None:
        """Ends at once when nothing would be lost by it; asks first otherwise."""
        if isinstance(self.screen, (dialogs.QuitScreen, dialogs.DrainingScreen, dialogs.DetachScreen)):
            return
        if self._leaving is not None:
            self._show_draining()
            return
        if self._attached_to:
            asked = dialogs.DetachScreen(consequences.of_detaching(self.bridge, self._attached_to))
            self.push_screen(asked, lambda is_sure: self._leave(dialogs.Leave.NOW if is_sure else None))
        elif self.bridge.work().is_idle:
            self._leave(dialogs.Leave.NOW)
        else:
            self.push_screen(dialogs.QuitScreen(lambda: consequences.of_quit(self.bridge)), self._leave)

    def _leave(self, answer: dialogs.Leave | None) -> None:
        if answer is dialogs.Leave.NOW and self.verbs.is_idle:
            self.exit(0)
        elif answer is dialogs.Leave.NOW:
            start_worker(self, self._exit_when_told, group=ENGINE_WORK)
        elif answer is dialogs.Leave.DRAIN:
            self._drain_and_leave()

    async def _exit_when_told(self) -> None:
        """Exits once the operator's verbs have reached the engine, at the latest after `TOLD_WITHIN` seconds; what was
        not answered by then is told below the command."""
        self.notify("leaves when the engine has answered what it was told last", markup=False, timeout=TOLD_WITHIN)
        with anyio.move_on_after(TOLD_WITHIN) as waiting:
            await self.verbs.idle()
        if not self.is_leaving:  # asked for twice
            unanswered = Content("the engine has not answered what it was told last: it may not have been done")
            self.exit(0, message=unanswered if waiting.cancelled_caught else None)

    def _drain_and_leave(self) -> None:
        names = self.bridge.to_be_drained()
        self._states_before = {name: self.bridge.instances[name].state for name in names}
        self.verbs.attempt(lambda: self.operations.drain_all(names, before_end=True))
        self._leaving = start_worker(self, self._exit_when_drained, exit_on_error=False, group=ENGINE_WORK)
        self._show_draining()

    def _show_draining(self) -> None:
        def decided(answer: dialogs.Leave | None) -> None:
            leaving = self._leaving
            if leaving is None:
                return
            if answer is dialogs.Leave.LATER:
                # Who holds the drain up may be waiting for an answer.
                self.notify("leaves when all is drained; ctrl+q shows what is left, or takes it back", markup=False)
                return
            leaving.cancel()
            self._leaving = None
            if answer is dialogs.Leave.NOW:
                self._leave(dialogs.Leave.NOW)
            else:
                states = self._states_before
                self.verbs.attempt(lambda: self.operations.take_back_drain(states))

        self.push_screen(dialogs.DrainingScreen(self._what_is_left, consequences.until_kept(self.bridge)), decided)

    async def _exit_when_drained(self) -> None:
        await self.verbs.idle()
        with anyio.move_on_after(self.bridge.host.drain_deadline):
            await self.operations.wait_until_drained()
        self.exit(0)

    def _what_is_left(self) -> list[str]:
        lines = []
        for row in sorted(self.bridge.instances.values(), key=lambda row: row.name):
            if row.pool.total or row.waiting or row.active_sessions:
                counts = f"{row.active_sessions} running, {row.waiting} queued, {format.some(row.pool.total, 'client')}"
                note = f" · {row.note}" if row.note and row.state is InstanceState.DRAINING else ""
                lines.append(f"{format.glyph(row.state)} {row.name}: {counts}{note}")
        return lines or ["nothing is left: leaving"]


def _chat_provider() -> type[ChatProvider]:
    from tui.screens.chat.palette import ChatProvider

    return ChatProvider


def _changes_limits(event: Event) -> bool:
    """Whether an operator has changed a limit, here or on another screen."""
    return isinstance(event, ActionTaken) and event.verb in ("set", "scale")
