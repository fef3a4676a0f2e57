"""Names a conversation to begin: agent, user, session."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from supervisor import Archetype, InstanceRow, InvalidId, Prompt, SessionKey, find_key, validate_id
from tui.screens.dialogs.dialog import Dialog
from tui.themes import MUTED
from tui.wording.sanitize import clean_cell

_LINE = 58
"""Cells of a line of the list at 80 columns: an agent that takes two lines hides the next."""

TYPED_TOGETHER = 1.0
"""Seconds within which a further letter belongs to the name that is being typed."""


class AgentList(OptionList):
    """The agents, one a line. Letters typed one after the other go to the first name that begins with them; the same
    letter again goes to the next one."""

    _typed = ""
    """What was typed of a name last."""
    _typed_at = float("-inf")
    """Seconds of the steady clock, as events carry it."""

    def on_resize(self) -> None:
        """Scrolls to the chosen row, which the new size may have put out of sight."""
        self.scroll_to_highlight()

    def on_key(self, event: events.Key) -> None:
        if not event.character or not event.is_printable:
            return
        event.stop()
        letter = event.character.casefold()
        typed = self._typed + letter if event.time - self._typed_at < TYPED_TOGETHER else letter
        matching = self._matching(typed)
        if not matching:
            typed, matching = letter, self._matching(letter)
        self._typed, self._typed_at = typed, event.time
        if not matching:
            return
        now = self.highlighted if self.highlighted is not None else -1
        is_more = len(typed) > 1 and now in matching
        self.highlighted = (
            now if is_more else next((at for at in matching if at > now and now in matching), matching[0])
        )

    def _matching(self, typed: str) -> list[int]:
        names = (str(option.id).casefold() for option in self.options)
        return [at for at, name in enumerate(names) if name.startswith(typed)]


class NewChatScreen(Dialog[SessionKey | None]):
    """The key of the conversation. The session may exist already; then it is the one that is opened.

    Enter opens, in whichever field. What it would open always stands in the last line.
    """

    AUTO_FOCUS = "#agent"
    HINTS = ("enter opens", "tab next field", "esc cancels")

    def __init__(
        self, agents: Mapping[str, InstanceRow], existing: Collection[SessionKey], *, agent: str | None, user: str
    ) -> None:
        """`agents`: by name. `existing`: sessions there are. `agent` and `user`: chosen beforehand."""
        super().__init__()
        self._agents = agents
        self._existing = existing
        self._first = agent if agent is not None and agent in agents else next(iter(agents))
        self._user = user
        self._is_named = False
        """Whether the operator has written a session's name: it is not proposed any more then."""
        self._typed = ("", "")
        """User and session as they stood before an agent was chosen that has one session for all."""

    def compose(self) -> ComposeResult:
        with self.box("New chat"):
            yield Static("with", classes="caption", markup=False)
            width = max(map(len, self._agents)) + 2
            room = max(12, _LINE - width)
            options = [
                Option(Content.assemble(name.ljust(width), (clean_cell(row.description, room), MUTED)), id=name)
                for name, row in self._agents.items()
            ]
            yield AgentList(*options, id="agent", markup=False)
            yield Static("for user", classes="caption", markup=False)
            users = sorted({key.user for key in self._existing})
            yield Input(self._user, id="user", suggester=SuggestFromList(users))
            yield Static("session (a name of your choice)", classes="caption", markup=False)
            yield Input(id="session")
            yield Static(id="target", markup=False)
            yield Static(id="mistake", classes="mistake", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Open", id="open")

    def on_mount(self) -> None:
        self.query_one(AgentList).highlighted = list(self._agents).index(self._first)
        self.show_target()

    @property
    def agent(self) -> str:
        option = self.query_one(AgentList).highlighted_option
        return str(option.id) if option is not None else self._first

    @property
    def user(self) -> str:
        return self.query_one("#user", Input).value.strip()

    @property
    def session(self) -> str:
        return self.query_one("#session", Input).value.strip()

    @on(OptionList.OptionHighlighted)
    @on(Input.Changed, "#user")
    def show_target(self) -> None:
        """Proposes a session that this user does not have yet, and says what would be opened."""
        self._fill_fields()
        if not self._is_named and not self._is_shared:
            taken = {key.session for key in self._existing if (key.instance, key.user) == (self.agent, self.user)}
            free = next(f"chat-{number}" for number in range(1, len(taken) + 2) if f"chat-{number}" not in taken)
            with self.prevent(Input.Changed):
                self.query_one("#session", Input).value = free
        key = self._key()
        what = "goes on with" if key in self._existing else "begins"
        self.query_one("#target", Static).update(
            Content.assemble((f"enter {what} ", MUTED), (clean_cell(str(key), 200), "bold $text-accent"))
        )

    def _fill_fields(self) -> None:
        """An agent with one session for all leaves nothing to choose; what was typed is there again for the next."""
        user, session = self.query_one("#user", Input), self.query_one("#session", Input)
        if user.disabled == self._is_shared:
            return
        with self.prevent(Input.Changed):
            if self._is_shared:
                self._typed = (user.value, session.value)
                _, user.value, session.value = self._key()
            else:
                user.value, session.value = self._typed
        user.disabled = session.disabled = self._is_shared

    @property
    def _is_shared(self) -> bool:
        """Whether the agent has one session for all."""
        return self._agents[self.agent].archetype is Archetype.EMPLOYEE

    def _key(self) -> SessionKey:
        """Where the prompt goes."""
        if self._is_shared:
            return find_key(Prompt(self.agent, ""), Archetype.EMPLOYEE)
        return SessionKey(self.agent, self.user, self.session)

    @on(Input.Changed, "#session")
    def name_session(self) -> None:
        self._is_named = True
        self.show_target()

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    @on(Button.Pressed, "#open")
    def accept(self) -> None:
        mistake = self.query_one("#mistake", Static)
        try:
            if not self._is_shared:
                validate_id(self.user, "user")
                validate_id(self.session, "session")
        except InvalidId as error:
            mistake.update(Content(str(error)))
            mistake.add_class("-shown")
        else:
            self.dismiss(self._key())

    @on(Button.Pressed, "#cancel")
    def keep(self) -> None:
        self.dismiss(None)
