"""Every verb of the operator, once: bindings, palette, help and confirmations are made from this list."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from textual.binding import Binding


class Target(StrEnum):
    """The kind of thing that a verb is done to."""

    HOST = "everything"
    INSTANCE = "instance"
    SESSION = "session"
    CLIENT = "client"
    QUESTION = "question"
    VIEW = "view"
    """The screen itself: nothing in the engine changes."""


class Where(StrEnum):
    """The screen on which a key means this verb."""

    DASHBOARD = "dashboard"
    CHAT = "chat"
    QUESTION = "question card"
    ANYWHERE = "anywhere"


class Verb(NamedTuple):
    """An action of the operator, as keys, help and palette present it."""

    name: str
    """Also the Textual action: `action_<name>` of the screen that binds it."""
    key: str
    label: str
    """One or two words for the footer."""
    description: str
    """One sentence for the help and the palette."""
    target: Target
    group: str
    """Heading in the help."""
    where: Where = Where.DASHBOARD
    words: str = ""
    """What is typed after `:` to do the same; capitals stand for a name. Empty when there is no such line."""
    confirms: bool = False
    shown: bool = False
    """In the footer, as long as it can be done."""
    key_display: str | None = None
    is_prior: bool = False
    """Taken before a text field may use the key for editing."""
    idle: str = ""
    """What is said when its key is pressed and it can do nothing now; one for all verbs of a key. Empty where it always
    can."""

    def binding(self) -> Binding:
        return Binding(
            self.key,
            self.name,
            self.label,
            show=self.shown,
            priority=self.is_prior,
            key_display=self.key_display,
            tooltip=self.description,
        )

    def idle_binding(self) -> Binding:
        """Stands behind those of all verbs of its key: it is reached when none of them can be done."""
        return Binding(self.key, f"app.say_idle({self.idle!r})", show=False, priority=self.is_prior)


LOOK, STOP, STEER, ANSWER, WRITE, PROGRAM = GROUPS = (
    "Look",
    "Four stops",
    "Steer",
    "Answer a question (while its card has the focus)",
    "Chat",
    "Anywhere",
)
"""Headings of the help, in its order."""

ONE_OPEN = "one conversation is open: enter on a row of the dashboard opens another"

VERBS: tuple[Verb, ...] = (
    Verb("open", "enter", "open", "Open the chat of the row under the cursor.", Target.SESSION, LOOK,
         shown=True, key_display="⏎"),
    Verb("chats", "minus", "chats", "Back to the conversations that are open.", Target.VIEW, LOOK, key_display="-"),
    Verb("new_chat", "n", "new", "Start a conversation: choose instance, user and session.", Target.VIEW,
         LOOK, words="new AGENT USER", shown=True),
    Verb("broadcast", "B", "broadcast", "Send one message to every marked session.", Target.SESSION, STEER,
         words="broadcast", confirms=True, idle="no session here to send to: space marks some"),
    Verb("inbox", "i", "inbox", "Open the oldest question, else the oldest interrupted turn, to be answered.",
         Target.QUESTION, LOOK,
         shown=True, idle="the inbox is empty: no agent asks and no interrupted turn waits for you"),
    Verb("filter", "slash", "filter", "Show only rows with this text; /!text shows the others; esc clears.",
         Target.VIEW, LOOK, shown=True, key_display="/"),
    Verb("command", "colon", "command", "Type a verb and its target, such as :drain helpdesk.", Target.VIEW, LOOK,
         key_display=":"),
    Verb("scope", "0", "all / one", "Sessions and clients of every instance, or only of the one under the cursor.",
         Target.VIEW, LOOK),
    Verb("zoom", "z", "zoom", "Show the pane with the focus alone; again, or esc, shows all.", Target.VIEW, LOOK),
    Verb("log", "l", "log", "The log of events on the whole screen; / filters it, enter opens the session of a line.",
         Target.VIEW, LOOK),
    Verb("errors", "ctrl+z", "errors only", "Show only sessions that failed; again shows all.", Target.VIEW, LOOK,
         key_display="^z"),
    Verb("sort", "equals_sign", "needs-you first", "Sort by who needs you: asking, interrupted, failed, stalled, …",
         Target.VIEW, LOOK, key_display="="),
    Verb("pane('instances')", "1", "instances", "Go to the instances.", Target.VIEW, LOOK),
    Verb("pane('sessions')", "2", "sessions", "Go to the sessions.", Target.VIEW, LOOK),
    Verb("pane('clients')", "3", "clients", "Go to the clients.", Target.VIEW, LOOK),
    Verb("pane('inbox')", "4", "inbox", "Go to the list of what waits for you.", Target.VIEW, LOOK),
    Verb("pane('events')", "5", "events", "Go to the log of events.", Target.VIEW, LOOK),
    Verb("replay", "R", "replay", "Send the turn that a restart interrupted again, as a new turn.", Target.SESSION,
         STEER, words="replay SESSION", confirms=True, shown=True,
         idle="nothing to replay: no turn was interrupted here by a restart"),
    Verb("drop_offer", "Z", "drop", "Leave the turn that a restart interrupted as it is.", Target.SESSION, STEER,
         words="drop SESSION", confirms=True, shown=True,
         idle="nothing to drop: no turn was interrupted here by a restart"),
    Verb("interrupt", "x", "stop turn", "Stop the session's turn, running or waiting for its client; the queue stays.",
         Target.SESSION, STOP, words="interrupt SESSION", confirms=True, shown=True,
         idle="nothing to stop: no turn runs or waits for its client here"),
    Verb("clear_queue", "X", "clear queue", "Cancel the turns that wait. What runs goes on.", Target.SESSION, STOP,
         words="clear TARGET", confirms=True, idle="nothing to clear: no turn waits here"),
    Verb("drain", "D", "drain", "Refuse new prompts, let accepted ones end, then close every client.",
         Target.INSTANCE, STOP, words="drain INSTANCE", confirms=True, shown=True,
         idle="nothing to drain: no instance that takes prompts is here"),
    Verb("undo_drain", "D", "undo drain", "Take the drain back: the instance accepts prompts again.",
         Target.INSTANCE, STOP, words="resume INSTANCE", shown=True),
    Verb("kill", "K", "kill", "End the processes now: of the instance, or of the client under the cursor.",
         Target.INSTANCE, STOP, words="kill TARGET", confirms=True, shown=True,
         idle="nothing to end: no client is here"),
    Verb("help", "question_mark,f1", "help", "All keys.", Target.VIEW, LOOK, words="help", key_display="?", shown=True),
    Verb("describe", "d", "describe", "Show every fact about the row under the cursor.", Target.VIEW, LOOK,
         idle="nothing to describe: no row is under the cursor"),
    Verb("describe_host", "H", "host", "Show every fact about the host: memory, journal, limits.", Target.VIEW, LOOK),
    Verb("pause", "p", "pause", "New prompts queue; what runs goes on.", Target.INSTANCE, STEER,
         words="pause INSTANCE", confirms=True, shown=True,
         idle="nothing to pause or resume: no instance is here, or it is being killed"),
    Verb("resume", "p", "resume", "Take back pause, drain or stop; a parked pool tries again at once.",
         Target.INSTANCE, STEER, words="resume INSTANCE", shown=True),
    Verb("scale", "s", "scale", "Change how many turns may run in parallel.", Target.INSTANCE, STEER,
         words="scale INSTANCE N", shown=True, idle="nothing to scale: no instance is here"),
    Verb("set_limit", "", "set a limit", "Change one limit until the next restart.", Target.INSTANCE, STEER,
         words="set LIMIT VALUE"),
    Verb("hibernate", "h", "hibernate", "End an idle session's process; the conversation stays.", Target.SESSION,
         STEER, words="hibernate SESSION", idle="nothing to hibernate: no idle client is here"),
    Verb("compact", "", "compact", "Put a summary in the place of the conversation so far.", Target.SESSION, STEER,
         words="compact SESSION"),
    Verb("list('audit')", "", "audit", "Show what operators did: who, from where, when and to what.", Target.VIEW, LOOK,
         words="audit"),
    Verb("list('budgets')", "", "budgets", "Show what may be spent today, what was, and when it runs out.", Target.VIEW,
         LOOK, words="budgets"),
    Verb("list('providers')", "", "providers", "Show which providers there are, and how they stand.", Target.VIEW, LOOK,
         words="providers"),
    Verb("list('route')", "", "route", "Show which agent a prompt is for that names none, and why.", Target.VIEW, LOOK,
         words="route TEXT"),
    Verb("list('contexts')", "", "contexts", "Show what is prepared once for all clients of an agent.", Target.VIEW,
         LOOK, words="contexts"),
    Verb("list('hooks')", "", "hooks", "Show what is done when something happens, and how often it was.", Target.VIEW,
         LOOK, words="hooks"),
    Verb("list('hook-runs')", "", "hook runs", "Show what hooks did last.", Target.VIEW, LOOK, words="hook-runs"),
    Verb("list('schedules')", "", "schedules", "Show what is done at certain times, and when next.", Target.VIEW, LOOK,
         words="schedules"),
    Verb("list('servers')", "", "servers", "Show the MCP servers that all clients share.", Target.VIEW, LOOK,
         words="servers"),
    Verb("forget_user", "", "forget", "Remove a person: every session, what was said in it, and its files.",
         Target.SESSION, STOP, words="forget USER", confirms=True),
    Verb("close_session", "delete", "close", "Remove the session from the books.", Target.SESSION, STEER,
         words="close SESSION", confirms=True, idle="nothing to close: no session without turns is here"),
    Verb("approve", "a", "allow once", "Allow this one call.", Target.QUESTION, ANSWER, Where.QUESTION, shown=True),
    Verb("always", "A", "always", "Allow it, and its like, for the rest of this session.",
         Target.QUESTION, ANSWER, Where.QUESTION, shown=True,
         idle="always is not on offer for this call: a allows it once"),
    Verb("deny", "d", "deny", "Refuse it; the agent is told the reason you give.", Target.QUESTION, ANSWER,
         Where.QUESTION, shown=True),
    Verb("go_back", "escape,ctrl+b", "back", "One step back: from a card to the message, from there to the dashboard.",
         Target.VIEW, WRITE, Where.CHAT, shown=True, key_display="esc"),
    Verb("to_question", "f4", "question", "To the oldest question of this conversation; its letters answer there.",
         Target.QUESTION, WRITE, Where.CHAT, shown=True, key_display="F4",
         idle="there is no question to go to in this conversation"),
    Verb("to_offer", "f4", "interrupted turn", "To the turn that a restart interrupted, where no question is open.",
         Target.SESSION, WRITE, Where.CHAT, shown=True, key_display="F4"),
    Verb("stop_turn", "f9", "stop turn", "Stop this session's turn, running or waiting for its client; asks first.",
         Target.SESSION, WRITE, Where.CHAT, confirms=True, shown=True, key_display="F9",
         idle="no turn runs or waits in this session"),
    Verb("withdraw", "f8", "withdraw", "Cancel the newest prompt that still waits in this session.",
         Target.SESSION, WRITE, Where.CHAT, words="withdraw SESSION N", shown=True, key_display="F8",
         idle="no prompt waits in this session"),
    Verb("find", "ctrl+f", "find", "Find in this conversation; F3 and shift+F3 walk through the matches.",
         Target.VIEW, WRITE, Where.CHAT, key_display="^f", is_prior=True),
    Verb("find_next", "f3", "next match", "The next match.", Target.VIEW, WRITE, Where.CHAT, key_display="F3"),
    Verb("find_previous", "shift+f3", "previous match", "The previous match.", Target.VIEW, WRITE, Where.CHAT,
         key_display="⇧F3"),
    Verb("next_wanting", "f5", "next for you", "Go to the next session that needs you; it opens as a tab.",
         Target.SESSION, WRITE, Where.CHAT, shown=True, key_display="F5", is_prior=True,
         idle="no other session needs you"),
    Verb("previous_wanting", "shift+f5", "previous for you", "The previous session that needs you.", Target.SESSION,
         WRITE, Where.CHAT, key_display="⇧F5", is_prior=True, idle="no other session needs you"),
    Verb("next_pane", "f6", "pane", "Speak to the next pane.", Target.VIEW, WRITE, Where.CHAT, shown=True,
         key_display="F6", is_prior=True, idle="one pane is in sight: F7 shows several"),
    Verb("previous_pane", "shift+f6", "previous pane", "Speak to the previous pane.", Target.VIEW, WRITE, Where.CHAT,
         key_display="⇧F6", is_prior=True, idle="one pane is in sight: F7 shows several"),
    Verb("tile", "f7", "tile", "Show one, two or four conversations side by side, as far as there is room.",
         Target.VIEW, WRITE, Where.CHAT, shown=True, key_display="F7", is_prior=True,
         idle="two panes need 110 columns or 40 lines; here there are tabs"),
    Verb("next_tab", "ctrl+pagedown", "tab", "The next tab.", Target.VIEW, WRITE, Where.CHAT, shown=True,
         key_display="^PgDn", is_prior=True, idle=ONE_OPEN),
    Verb("previous_tab", "ctrl+pageup", "previous tab", "The previous tab.", Target.VIEW, WRITE, Where.CHAT,
         key_display="^PgUp", is_prior=True, idle=ONE_OPEN),
    Verb("close_tab", "f10", "close tab", "Close this tab. The session goes on, and your draft is kept.", Target.VIEW,
         WRITE, Where.CHAT, key_display="F10", is_prior=True),
    Verb("copy_reply", "ctrl+y", "copy reply", "Copy the last reply.", Target.VIEW, WRITE, Where.CHAT,
         key_display="^y", is_prior=True),
    Verb("plain_text", "f12", "plain text", "Show the conversation without frames, for your terminal's own selection.",
         Target.VIEW, WRITE, Where.CHAT, key_display="F12"),
    Verb("help", "f1", "help", "All keys.", Target.VIEW, WRITE, Where.CHAT, key_display="F1", shown=True),
    Verb("facts", "f2", "describe", "Show every fact about this session.", Target.VIEW, WRITE, Where.CHAT,
         key_display="F2"),
    Verb("drain_all", "", "drain all", "Drain every instance.", Target.HOST, STOP, words="drain all",
         confirms=True),
    Verb("kill_all", "", "kill all", "End every process of every instance. Asks for a typed word.", Target.HOST,
         STOP, words="kill all", confirms=True),
    Verb("app.command_palette", "ctrl+p", "palette", "Find any verb or session by name.", Target.VIEW, PROGRAM,
         Where.ANYWHERE, key_display="^p"),
    Verb("app.quit", "ctrl+q", "quit", "Leave; says first what would end, and offers to drain.", Target.HOST,
         PROGRAM, Where.ANYWHERE, words="quit", key_display="^q"),
)  # fmt: skip


def bindings(where: Where) -> list[Binding]:
    """The bindings of one screen, in the order of the registry; then what says that none of a key's verbs can be
    done."""
    verbs = [verb for verb in VERBS if verb.where == where and verb.key]
    return [*(verb.binding() for verb in verbs), *(verb.idle_binding() for verb in verbs if verb.idle)]


def idle_words(name: str, where: Where = Where.DASHBOARD) -> str:
    """The notice for a verb that can do nothing now."""
    return next(verb.idle for verb in VERBS if (verb.name, verb.where) == (name, where))


def bindings_of(*names: str) -> list[Binding]:
    """The dashboard's keys for these verbs, for another widget that takes them as well."""
    return [verb.binding() for verb in VERBS if verb.where is Where.DASHBOARD and verb.name in names]


def key_caption(verb: Verb) -> str:
    """The key as people write it."""
    return verb.key_display or verb.key


def key_of(name: str, where: Where = Where.DASHBOARD) -> str:
    """The key of a verb, as people write it. Raises `KeyError` when there is none of that name in that place."""
    for verb in VERBS:
        if (verb.name, verb.where) == (name, where):
            return key_caption(verb)
    raise KeyError(name)
