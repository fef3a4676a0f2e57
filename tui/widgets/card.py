"""What every card above the message box shares: when its keys count, and where words go that are typed on it."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static

from tui.operator.app import app_of
from tui.themes import MUTED
from tui.widgets.status_line import Line
from tui.wording.verbs import Where, key_of


class DockedCard(Vertical, can_focus=True, can_focus_children=False):
    """Something that waits for the operator's decision. Its keys work only while it has the focus, which it never takes
    by itself."""

    class WordsTyped(Message):
        """A letter that is none of the card's keys."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    BINDINGS: ClassVar[list[BindingType]] = [Binding("i", "stay", show=False)]

    is_settled = False
    """Whether it was decided, and the card is about to go."""
    was_chosen = False
    """Whether it was opened by its own row, which the operator had before their eyes: the next key is meant for it,
    however fast it comes."""
    unseen = 0
    """While it is a line: how many more wait behind it."""
    _is_painted = False
    _shown_at = float("inf")
    """Seconds of the steady clock, as events carry it: when it was first on the screen, open."""
    _listed_at = float("inf")
    """The same for its line."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(classes="line")

    @property
    def is_seen(self) -> bool:
        """Whether the card was on the screen when the operator pressed the key that takes effect now.

        A key that was on its way before cannot have been meant for it.
        """
        return self.was_chosen or self._shown_at < app_of(self).inputs.pressed_at

    @property
    def is_listed(self) -> bool:
        """Whether at least its line was on the screen then: an answer to the card before it may lead here."""
        return self.is_seen or self._listed_at < app_of(self).inputs.pressed_at

    def takes_keys(self) -> bool:
        """Whether a key may decide; tells why when it may not."""
        if not self.is_seen:
            self.notify("that key was pressed before the question was on the screen", markup=False, timeout=3)
        return self.is_seen and not self.is_settled

    def render_lines(self, crop: Region) -> list[Strip]:
        if crop.area and self._listed_at == float("inf"):
            self._listed_at = monotonic()
        if not self._is_painted and crop.area and not self.has_class("-folded"):
            self._is_painted = True
            self.call_after_refresh(self._note_shown)
        return super().render_lines(crop)

    def _note_shown(self) -> None:
        self._shown_at = monotonic()

    def action_stay(self) -> None:
        """The key that goes to a question from the dashboard, pressed once more: the question is here."""

    @property
    def subject(self) -> object:
        """What the card is about. It is equal for as long as the same thing waits."""
        raise NotImplementedError

    @property
    def since(self) -> float:
        """Unix seconds from which it waits."""
        raise NotImplementedError

    def show_age(self, now: float) -> None:
        """Writes how long it waits, and how long the choice is left."""
        raise NotImplementedError

    def write_line(self, title: str, age: str, summary: str = "") -> None:
        """Writes the single line that stands for the card while another card is open."""
        more = f" · and {self.unseen} more" if self.unseen else ""
        self.line.show(Content.assemble((title, "$text-warning"), (f"  {age}{more}  ", MUTED), summary))

    def on_key(self, event: events.Key) -> None:
        """A letter that is none of its keys begins words: they are meant for the message."""
        if event.character and event.is_printable and event.key not in self._bindings.key_to_bindings:
            event.stop()
            self.post_message(self.WordsTyped(event.character))


def how_to_reach(words: str) -> Static:
    """Stands in a card while it has no focus, in the place of its keys, which do nothing then."""
    line = Content.assemble((key_of("to_question", Where.CHAT), "bold $text-accent"), f" {words}")
    return Static(line, classes="reach", markup=False)
