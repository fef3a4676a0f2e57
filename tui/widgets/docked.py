"""What every card above the message box shares: when its keys count, and where words go that are typed on it."""

from __future__ import annotations

from textual import events
from textual.containers import Vertical
from textual.message import Message


class DockedCard(Vertical, can_focus=True, can_focus_children=False):
    """Something that waits for the operator's decision. Its keys work only while it has the focus, which it never takes
    by itself."""

    class WordsTyped(Message):
        """A letter that is none of the card's keys."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    is_settled = False
    """Whether it was decided, and the card is about to go."""

    @property
    def subject(self) -> object:
        """What it is about: the same for as long as the same thing waits."""
        raise NotImplementedError

    @property
    def since(self) -> float:
        """Unix seconds from which it waits."""
        raise NotImplementedError

    def show_age(self, now: float) -> None:
        """Writes how long it waits, and how long the choice is left."""
        raise NotImplementedError

    def on_key(self, event: events.Key) -> None:
        """A letter that is none of its keys begins words: they are meant for the message."""
        if event.character and event.is_printable and event.key not in self._bindings.key_to_bindings:
            event.stop()
            self.post_message(self.WordsTyped(event.character))
