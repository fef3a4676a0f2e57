"""The conversations that are open: their tabs, the panes in sight, and where the focus is among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.timer import Timer

from supervisor import SessionKey, SessionRow
from tui.engine_link.bridge import Bridge, Touched
from tui.engine_link.unread import Unread
from tui.operator.app import app_of
from tui.operator.operations import Operations
from tui.screens.chat.open_tabs import Deck
from tui.screens.chat.pane import ChatPane
from tui.transcript.transcript import Transcript
from tui.widgets.fittedfooter import FittedFooter
from tui.widgets.header import alarm_words
from tui.widgets.prompt import PromptInput
from tui.widgets.tab_strip import Tab, TabStrip
from tui.wording.sanitize import clean_cell

STREAM_SECONDS = 0.1
"""Between two looks at the open blocks: one timer for all panes."""
SIDE_BY_SIDE = 110
"""Columns from which two panes stand side by side."""
FOUR_WIDE, FOUR_HIGH = 150, 40
"""Columns and lines from which four panes can be read."""
TALL = 40
"""Lines from which two panes fit one above the other, where they do not fit side by side."""
SIZE_NAMES = ("-none", "-one", "-two", "-three", "-four")


class PanesScreen(Screen[None]):
    """Lays out what the deck says. The screen that is made of it gives the keys their meaning."""

    def __init__(self, bridge: Bridge, operations: Operations, clock: Callable[[], float]) -> None:
        super().__init__()
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self.deck = Deck()
        self.unread = Unread()
        self.panes: dict[SessionKey, ChatPane] = {}
        """Of the tabs that have been in sight."""
        self._sent: dict[SessionKey, list[str]] = {}
        """Prompts that the operator sent, oldest first; kept when their tab is closed."""
        self._stage = Container(id="stage")
        self._strip = TabStrip(id="tabs")
        self._streaming: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._strip
        yield self._stage
        yield FittedFooter()

    def on_mount(self) -> None:
        self._streaming = self.set_interval(STREAM_SECONDS, self.refresh_transcript)
        self.lay_out()

    def on_resize(self) -> None:
        self.lay_out()

    def on_screen_resume(self) -> None:
        self.refresh_rows(Touched(everything=True))

    @property
    def is_laid_out(self) -> bool:
        """Whether the widgets exist, so that they can be written into."""
        return self._streaming is not None

    # The pane that is spoken to

    @property
    def pane(self) -> ChatPane:
        """The one with the focus, or that had it before a dialog."""
        for widget in () if self.focused is None else self.focused.ancestors_with_self:
            if isinstance(widget, ChatPane) and widget.key in self.panes:
                return widget
        assert self.deck.at is not None, "the screen is in front only while a tab is open"
        return self.panes[self.deck.at]

    @property
    def key(self) -> SessionKey:
        return self.pane.key

    @property
    def row(self) -> SessionRow | None:
        return self.pane.row

    @property
    def transcript(self) -> Transcript:
        return self.pane.transcript

    @property
    def prompt(self) -> PromptInput:
        return self.pane.prompt

    # Layout

    @property
    def room(self) -> int:
        """How many panes can be read at this size."""
        width, height = self.app.size
        if width >= FOUR_WIDE and height >= FOUR_HIGH:
            return 4
        return 2 if width >= SIDE_BY_SIDE or height >= TALL else 1

    @property
    def in_sight(self) -> list[ChatPane]:
        """The panes that are laid out. That the terminal became larger is known before the message that has more of
        them made."""
        return [self.panes[key] for key in self.deck.shown(self.room) if key in self.panes]

    def open(
        self, keys: Iterable[SessionKey], *, at_question: bool = False, chosen: object = None, was_seen: bool = False
    ) -> None:
        """Shows these conversations, each in a tab of its own, and speaks to the first. One that is open already is
        shown, never opened twice. `at_question`: the focus goes to the card that is about `chosen`, else to the
        oldest one, and not to the message. `was_seen`: the operator has seen what `chosen` is about."""
        opened = list(keys)
        for key in opened:
            if key not in self.deck.tabs:
                self.unread.look(key, self.bridge.sessions.get(key))
        self.deck.open(opened)
        self.lay_out()
        if at_question and opened and self.deck.at is not None:
            self.panes[self.deck.at].go_to_question(chosen, was_seen=was_seen)

    def lay_out(self) -> None:
        """Brings what is on the screen into line with the deck."""
        deck = self.deck
        for key in [key for key in self.panes if key not in deck.tabs]:
            self._let_go(self.panes.pop(key))
        in_sight = deck.shown(self.room)
        for key in in_sight:
            if key not in self.panes:
                self.panes[key] = self._make_pane(key)
        if not self.is_laid_out or deck.at is None:
            return
        new = [self.panes[key] for key in in_sight if not self.panes[key].is_attached]
        if new:
            self._stage.mount(*new)
        panes = [self.panes[key] for key in in_sight]
        places = {pane: place for place, pane in enumerate(panes)}
        self._stage.sort_children(key=lambda child: places.get(child, len(places)))  # type: ignore[call-overload]
        for pane in self.panes.values():
            if pane not in new and pane.key in self.operations.unsent:
                pane.take_draft(self.operations.unsent.pop(pane.key))
            pane.show_in(places.get(pane), is_alone=len(deck.tabs) == 1, is_at=pane.key == deck.at)
        self._stage.set_classes(SIZE_NAMES[len(panes)])
        self._stage.set_class(self.app.size.width < SIDE_BY_SIDE, "-stacked")
        self._strip.display = len(deck.tabs) > 1
        at = self.panes[deck.at]
        if self.focused is None or at not in self.focused.ancestors_with_self:
            self.set_focus(at.prompt)
        self.refresh_rows(Touched(everything=True))

    def _make_pane(self, key: SessionKey) -> ChatPane:
        sent = self._sent.setdefault(key, [])
        return ChatPane(key, self.bridge, self.operations, self._clock, sent)

    def _let_go(self, pane: ChatPane) -> None:
        pane.keep_draft()
        self.unread.forget(pane.key)
        if pane.is_attached:
            pane.remove()

    @on(events.DescendantFocus)
    def follow_focus(self) -> None:
        """A click or the tab key chose another pane."""
        key = self.pane.key
        if key != self.deck.at:
            self.deck.go_to(key)
            self.lay_out()

    @on(ChatPane.Renamed)
    def rename(self, event: ChatPane.Renamed) -> None:
        """The engine sent the first prompt to another session: an employee has one for all callers."""
        old, new = event.old, event.pane.key
        sent = self._sent.pop(old, [])
        self._sent.setdefault(new, sent)
        if new in self.panes:
            draft = event.pane.prompt.draft
            self.deck.rename(old, new)
            self._let_go(self.panes.pop(old))
            self.operations.unsent.pop(new, "")
            if draft.strip():
                self.panes[new].prompt.go_on_with(draft)
        else:
            self.deck.rename(old, new)
            self.panes[new] = self.panes.pop(old)
        self.lay_out()

    # What is shown

    def refresh_transcript(self) -> None:
        """Takes over what the conversations in sight gained; costs nothing when that is nothing, or out of sight."""
        if not self.app.is_running or self not in self.app.screen_stack:
            return
        for pane in self.in_sight:
            pane.refresh_transcript()

    def refresh_rows(self, touched: Touched) -> None:
        """Called by the app's flush timer, whether something was touched or only time went by."""
        deck, sessions = self.deck, self.bridge.sessions
        if deck.at is None or not self.is_laid_out:
            return
        if self.is_active:
            self.unread.look(deck.at, sessions.get(deck.at))
        is_alone = len(deck.tabs) == 1
        alarm = alarm_words(
            self.bridge.host, leaves=app_of(self).leaves_when_drained, is_cut_off=bool(self.bridge.trouble)
        )
        elsewhere = self._elsewhere(deck.tabs)
        in_sight = self.in_sight
        for pane in in_sight:
            mark = self.unread.mark(pane.key, sessions.get(pane.key))
            pane.refresh_rows(touched, mark, (alarm, elsewhere) if is_alone else ("", ""))
        if not is_alone:
            shown = {pane.key for pane in in_sight}
            tabs = [
                Tab(name, self.unread.mark(key, sessions.get(key)), key == deck.at, key in shown)
                for key, name in zip(deck.tabs, tab_names(deck.tabs), strict=True)
            ]
            self._strip.set(tabs, alarm, elsewhere.replace(" for you", "") if self.app.size.width < 100 else elsewhere)

    def _elsewhere(self, opened: list[SessionKey]) -> str:
        """Who waits for the operator and is not open."""
        others = len({item.key for item in self.bridge.inbox()}.difference(opened))
        return f"{others} {'other waits' if others == 1 else 'others wait'} for you · F5" if others else ""

    def speak(self) -> None:
        """Focuses the prompt of the current tab."""
        self.lay_out()
        if self.deck.at is not None:
            self.set_focus(self.panes[self.deck.at].prompt)

    def close_tab(self, key: SessionKey) -> None:
        """The session goes on; what was not sent is there when it is opened again."""
        self.set_focus(None)
        self.deck.close(key)
        if self.deck.at is None:
            self.lay_out()
            self.dismiss(None)
        else:
            self.speak()

    # What is kept of it

    def drafts(self) -> dict[SessionKey, str]:
        """The text that is being written, by session; sessions without any are left out."""
        return {key: draft for key, pane in self.panes.items() if (draft := pane.prompt.draft).strip()}

    def forget(self, user: str) -> None:
        """Removes everything of this user: tabs, drafts, and prompts that the arrow keys bring back."""
        self._sent = {key: texts for key, texts in self._sent.items() if key.user != user}
        for key in [key for key in self.deck.tabs if key.user == user]:
            if (pane := self.panes.get(key)) is not None:
                pane.prompt.clear_words()
            self.deck.close(key)
        self.lay_out()
        if self.deck.at is None and self.is_active:
            self.dismiss(None)


def tab_names(keys: Sequence[SessionKey]) -> list[str]:
    """A one-line name for each tab, without what all names have in common: there is little room on a tab."""
    start = 0
    if len(keys) > 1:
        start = 2 if len({key[:2] for key in keys}) == 1 else int(len({key.instance for key in keys}) == 1)
    return [clean_cell("/".join(key[start:]), 120) for key in keys]
