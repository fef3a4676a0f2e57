"""Which session a prompt is for."""

from __future__ import annotations

from supervisor.api.ids import DEFAULT_SESSION, ID_LENGTH, new_id, validate_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.states import Archetype

EMPLOYEE_USER, EMPLOYEE_SESSION = "everyone", "desk"
"""An employee has one session that all callers share."""

_CALL = "call-"


def is_of_one_call(session: str) -> bool:
    """Whether the session was made for a call that named none: it leaves nothing behind."""
    return session.startswith(_CALL) and len(session) == len(_CALL) + ID_LENGTH


def find_key(prompt: Prompt, archetype: Archetype) -> SessionKey:
    """The archetype decides; a missing session is the user's own default. Raises `InvalidId`."""
    user = validate_id(prompt.user, "user")
    session = "" if prompt.session == "" else validate_id(prompt.session, "session")
    match archetype:
        case Archetype.EMPLOYEE:
            return SessionKey(prompt.agent, EMPLOYEE_USER, EMPLOYEE_SESSION)
        case Archetype.TOOL:
            return SessionKey(prompt.agent, user, session or f"{_CALL}{new_id()}")
        case Archetype.SERVICE:
            return SessionKey(prompt.agent, user, session or DEFAULT_SESSION)
