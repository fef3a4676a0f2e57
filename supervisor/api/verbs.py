"""The one table of everything that may be asked of an engine: `Engine` names them, this says what each is for.

The door gives each a route, the command line a command and the dashboard a key. A test walks `Engine` and fails when
one of the three is missing here, or here and not there.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Subject(StrEnum):
    """What a verb is about."""

    BULLPEN = "bullpen"
    INSTANCE = "an instance"
    SESSION = "a session"
    TURN = "a turn"
    CLIENT = "a client"
    QUESTION = "a question"
    USER = "a user"


class Verb(Struct, frozen=True, gc=False):
    """One method of `Engine`."""

    name: str
    """The method's."""
    subject: Subject
    says: str
    """What it does, in one sentence."""
    route: str
    """`POST /instances/{instance}/pause`."""
    command: str
    """`pause`, of `bullpen pause AGENT`."""
    key: str
    """The dashboard's verb for it (`tui.wording.verbs`), which has the key."""
    asks: bool = False
    """Whether a person is asked before it is done."""


_SESSION = "/sessions/{instance}/{user}/{session}"

VERBS: tuple[Verb, ...] = (
    Verb("watch", Subject.BULLPEN, "Tells the state, then everything that changes.", "GET /feed", "events", "log"),
    Verb("snapshot", Subject.BULLPEN, "Tells the state as it is now.", "GET /snapshot", "status", "describe_host"),
    Verb(
        "conversation",
        Subject.SESSION,
        "Tells what is said in a session, as it is said.",
        f"GET {_SESSION}/conversation",
        "logs",
        "open",
    ),
    Verb("glimpse", Subject.SESSION, "Tells the end of a conversation.", f"GET {_SESSION}/glimpse", "logs", "open"),
    Verb(
        "contexts",
        Subject.BULLPEN,
        "Tells what is prepared once for all clients of an agent, and how its caches do.",
        "GET /contexts",
        "contexts",
        "list('contexts')",
    ),
    Verb("past", Subject.BULLPEN, "Tells what earlier runs did.", "GET /events", "events", "log"),
    Verb(
        "audit",
        Subject.BULLPEN,
        "Tells what operators did: who, from where, when and to what.",
        "GET /audit",
        "audit",
        "list('audit')",
    ),
    Verb(
        "budgets",
        Subject.BULLPEN,
        "Tells what may be spent in a day, and what has been.",
        "GET /budgets",
        "budgets",
        "list('budgets')",
    ),
    Verb(
        "providers",
        Subject.BULLPEN,
        "Tells which providers there are, and how they stand.",
        "GET /providers",
        "providers",
        "list('providers')",
    ),
    Verb(
        "route", Subject.BULLPEN, "Tells which agent a prompt is for, and why.", "GET /route", "route", "list('route')"
    ),
    Verb("submit", Subject.SESSION, "Takes a prompt in.", "POST /turns", "ask", "new_chat"),
    Verb("turn", Subject.TURN, "Tells how far a turn is, or how it ended.", "GET /turns/{turn_id}", "turn", "facts"),
    Verb("ticket", Subject.TURN, "Follows a turn to its end.", "GET /turns/{turn_id}/events", "turn", "open"),
    Verb(
        "withdraw",
        Subject.TURN,
        "Cancels a turn that waits, interrupts it when it runs.",
        "DELETE /turns/{turn_id}",
        "withdraw",
        "withdraw",
    ),
    Verb(
        "interrupt",
        Subject.SESSION,
        "Stops the running turn of a session; its client lives on.",
        f"POST {_SESSION}/interrupt",
        "interrupt",
        "interrupt",
        asks=True,
    ),
    Verb(
        "clear_queue",
        Subject.INSTANCE,
        "Cancels what waits in an instance or a session.",
        "DELETE /instances/{instance}/queue",
        "clear",
        "clear_queue",
        asks=True,
    ),
    Verb(
        "answer",
        Subject.QUESTION,
        "Answers a question of an agent.",
        "POST /questions/{question_id}/answer",
        "answer",
        "approve",
    ),
    Verb(
        "replay",
        Subject.SESSION,
        "Sends the turn that a restart interrupted again.",
        f"POST {_SESSION}/replay",
        "replay",
        "replay",
    ),
    Verb(
        "drop_offer",
        Subject.SESSION,
        "Leaves the turn that a restart interrupted as it is.",
        f"POST {_SESSION}/drop",
        "drop",
        "drop_offer",
    ),
    Verb(
        "hooks", Subject.BULLPEN, "Tells what is done when something happens.", "GET /hooks", "hooks", "list('hooks')"
    ),
    Verb("hook_runs", Subject.BULLPEN, "Tells what hooks did last.", "GET /hooks/runs", "hooks", "list('hook-runs')"),
    Verb(
        "test_hook",
        Subject.BULLPEN,
        "Does what hooks do on an event, with a sample.",
        "POST /hooks/test/{event}",
        "hooks",
        "list('hook-runs')",
    ),
    Verb(
        "schedules",
        Subject.BULLPEN,
        "Tells what is done at certain times.",
        "GET /schedules",
        "schedules",
        "list('schedules')",
    ),
    Verb(
        "servers",
        Subject.BULLPEN,
        "Tells how the MCP servers are that all clients share.",
        "GET /servers",
        "servers",
        "list('servers')",
    ),
    Verb("limits", Subject.INSTANCE, "Tells the limits that can be changed now.", "GET /limits", "limits", "set_limit"),
    Verb(
        "adjust",
        Subject.INSTANCE,
        "Changes one limit until the next restart.",
        "PUT /limits/{limit}",
        "set",
        "set_limit",
    ),
    Verb(
        "pause",
        Subject.INSTANCE,
        "New prompts queue; what runs goes on.",
        "POST /instances/{instance}/pause",
        "pause",
        "pause",
    ),
    Verb(
        "resume",
        Subject.INSTANCE,
        "Takes back pause, drain and stop.",
        "POST /instances/{instance}/resume",
        "resume",
        "resume",
    ),
    Verb(
        "drain",
        Subject.INSTANCE,
        "Refuses new prompts, lets accepted ones end, closes all clients.",
        "POST /instances/{instance}/drain",
        "drain",
        "drain",
        asks=True,
    ),
    Verb(
        "kill",
        Subject.INSTANCE,
        "Ends everything of an instance now.",
        "POST /instances/{instance}/kill",
        "kill",
        "kill",
        asks=True,
    ),
    Verb(
        "scale",
        Subject.INSTANCE,
        "Changes how many turns may run in parallel.",
        "POST /instances/{instance}/scale",
        "scale",
        "scale",
    ),
    Verb(
        "kill_client",
        Subject.CLIENT,
        "Ends one client; its session stays.",
        "DELETE /clients/{client}",
        "kill",
        "kill",
        asks=True,
    ),
    Verb(
        "warm",
        Subject.SESSION,
        "Gets a session's client ready: its user is about to write.",
        f"POST {_SESSION}/warm",
        "warm",
        "open",
    ),
    Verb(
        "hibernate",
        Subject.SESSION,
        "Ends an idle session's process; the conversation stays.",
        f"POST {_SESSION}/hibernate",
        "hibernate",
        "hibernate",
    ),
    Verb(
        "compact",
        Subject.SESSION,
        "Puts a summary in the place of the conversation so far.",
        f"POST {_SESSION}/compact",
        "compact",
        "compact",
    ),
    Verb(
        "close_session",
        Subject.SESSION,
        "Removes a session from the books.",
        f"DELETE {_SESSION}",
        "close",
        "close_session",
        asks=True,
    ),
    Verb(
        "forget_user",
        Subject.USER,
        "Removes a person: sessions, words and files.",
        "DELETE /users/{user}",
        "forget",
        "forget_user",
        asks=True,
    ),
    Verb(
        "drained",
        Subject.BULLPEN,
        "Waits until an instance, or every one, is empty.",
        "GET /drained",
        "drain",
        "drain_all",
    ),
    Verb("stop", Subject.BULLPEN, "Ends everything, in order.", "POST /stop", "stop", "app.quit", asks=True),
)
"""Every verb, in the order of `Engine`."""
