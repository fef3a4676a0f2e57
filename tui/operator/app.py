"""What screens and widgets ask of the app that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

from textual.dom import DOMNode

from supervisor import Offer, Question, SessionKey
from tui.engine_link.verb_queue import VerbQueue
from tui.terminal.input_queue import InputQueue


class OperatorApp(Protocol):
    """`tui.app.BullpenApp` is the one that runs."""

    inputs: InputQueue
    verbs: VerbQueue

    @property
    def is_leaving(self) -> bool:
        """Whether the app is ending, so that its screens lose their widgets."""

    @property
    def leaves_when_drained(self) -> bool:
        """Whether the app exits as soon as every instance is drained."""

    def action_say_idle(self, words: str) -> None:
        """Says why a key does nothing now."""

    def copy(self, text: str, what: str) -> None:
        """Copies, and says where to find the text when the terminal does not take it."""

    def open_chats(
        self,
        keys: Iterable[SessionKey],
        *,
        at_question: bool = False,
        chosen: Question | Offer | None = None,
        was_seen: bool = False,
    ) -> None:
        """Shows these conversations, each in a tab of its own."""


def app_of(node: DOMNode) -> OperatorApp:
    return cast(OperatorApp, node.app)
