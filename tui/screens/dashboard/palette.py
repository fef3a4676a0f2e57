"""The palette: every verb that can be done now, and every session by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.screens.dashboard.dashboard import DashboardScreen
from tui.wording.sanitize import clean_cell
from tui.wording.verbs import VERBS, Target, Where, key_caption

HIDDEN = frozenset({"app.command_palette", "app.quit", "open"})
"""Verbs that are the palette itself, stand in it already, or mean nothing without a cursor."""


class VerbProvider(Provider):
    """Commands of the palette: the verbs that the dashboard's keys do, for the row under its cursor."""

    async def discover(self) -> Hits:
        for text, help_text, act in self._possible():
            yield DiscoveryHit(Content(text), act, text, help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for text, help_text, act in self._possible():
            if (score := matcher.match(text)) > 0:
                yield Hit(score, matcher.highlight(text), act, text, help_text)

    def _possible(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        screen = self.screen
        if not isinstance(screen, DashboardScreen):
            return
        for verb in VERBS:
            if verb.where is not Where.DASHBOARD or verb.name in HIDDEN or not screen.can(verb.name):
                continue
            name = verb.label if "(" in verb.name else verb.name.replace("_", " ")
            text = f"{name}{self._target_name(screen, verb.target)}"
            caption = f"  {key_caption(verb)}" if verb.key else ""
            yield text, f"{verb.description}{caption}", partial(screen.run_action, verb.name)

    def _target_name(self, screen: DashboardScreen, target: Target) -> str:
        if target is Target.INSTANCE and (instance := screen.target_instance()):
            return f" {instance}"
        if target is Target.SESSION and (key := screen.target_session()):
            return f" {clean_cell(str(key), 60)}"
        return ""


class SessionProvider(Provider):
    """Sessions by name; choosing one opens its chat."""

    async def search(self, query: str) -> Hits:
        screen = self.screen
        if not isinstance(screen, DashboardScreen):
            return
        matcher = self.matcher(query)
        for key, row in screen.bridge.sessions.items():
            name = clean_cell(str(key), 100)
            if (score := matcher.match(name)) > 0:
                act = partial(screen.open_chat, key)
                yield Hit(score, matcher.highlight(name), act, name, f"open the chat: {row.state}")
