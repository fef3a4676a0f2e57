"""Names a conversation to begin: instance, user, session."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Select, Static

from supervisor import InvalidId, SessionKey, validate_id
from tui.screens.dialog import Dialog


class NewChatScreen(Dialog[SessionKey | None]):
    """The key of the conversation. The session may exist already; then it is the one that is opened."""

    AUTO_FOCUS = "#session"

    def __init__(self, instances: list[str], *, instance: str, user: str, session: str) -> None:
        super().__init__()
        self._instances = instances
        self._first = instance if instance in instances else instances[0]
        self._user, self._session = user, session

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = "New chat"
            box.border_subtitle = "enter opens · esc cancels"
            yield Static("with", classes="caption")
            options = [(Content(name), name) for name in self._instances]
            yield Select(options, value=self._first, allow_blank=False, id="instance")
            yield Static("for user", classes="caption")
            yield Input(self._user, id="user")
            yield Static("session (a name of your choice)", classes="caption")
            yield Input(self._session, id="session")
            yield Static(id="mistake", classes="mistake", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Open", id="open")

    @on(Input.Submitted)
    @on(Button.Pressed, "#open")
    def accept(self) -> None:
        user = self.query_one("#user", Input).value.strip()
        session = self.query_one("#session", Input).value.strip()
        mistake = self.query_one("#mistake", Static)
        try:
            validate_id(user, "user")
            validate_id(session, "session")
        except InvalidId as error:
            mistake.update(str(error))
            mistake.add_class("-shown")
        else:
            self.dismiss(SessionKey(str(self.query_one("#instance", Select).value), user, session))

    @on(Button.Pressed, "#cancel")
    def keep(self) -> None:
        self.dismiss(None)
