"""The palette in a chat: its verbs, one prompt for every pane, and every session by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.screens.chat.chat import ChatScreen
from tui.wording.sanitize import clean_cell
from tui.wording.verbs import VERBS, Where, key_caption

Entry = tuple[str, str, Callable[[], object]]
"""What is searched for, a sentence about it, and what choosing it does."""


class ChatProvider(Provider):
    async def discover(self) -> Hits:
        for text, about, act in self._verbs():
            yield DiscoveryHit(Content(text), act, text, about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for text, about, act in (*self._verbs(), *self._sessions()):
            if (score := matcher.match(text)) > 0:
                yield Hit(score, matcher.highlight(text), act, text, about)

    def _verbs(self) -> Iterator[Entry]:
        screen = self.screen
        if not isinstance(screen, ChatScreen):
            return
        for verb in VERBS:
            if verb.where is Where.CHAT and screen.check_action(verb.name, ()):
                act = partial(screen.run_action, verb.name)
                yield verb.label, f"{verb.description}  {key_caption(verb)}", act
        yield "send to every pane in sight", "Asks for one prompt, and names who gets it.", screen.ask_broadcast

    def _sessions(self) -> Iterator[Entry]:
        screen = self.screen
        if isinstance(screen, ChatScreen):
            for key, row in screen.bridge.sessions.items():
                yield clean_cell(str(key), 100), f"open its tab: {row.state}", partial(screen.open, [key])
