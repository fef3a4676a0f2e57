"""Which session a prompt is for."""

from __future__ import annotations

from supervisor.api.ids import DEFAULT_SESSION, new_id, validate_id
from supervisor.api.types import Archetype, Prompt, SessionKey

EMPLOYEE_USER, EMPLOYEE_SESSION = "everyone", "desk"
"""An employee has one session that all callers share."""


def find_key(prompt: Prompt, archetype: Archetype) -> SessionKey:
    """The archetype decides; a missing session is the user's own default. Raises `InvalidId`."""
    user = validate_id(prompt.user, "user")
    session = "" if prompt.session == "" else validate_id(prompt.session, "session")
    match archetype:
        case Archetype.EMPLOYEE:
            return SessionKey(prompt.agent, EMPLOYEE_USER, EMPLOYEE_SESSION)
        case Archetype.TOOL:
            return SessionKey(prompt.agent, user, session or f"call-{new_id()}")
        case Archetype.SERVICE:
            return SessionKey(prompt.agent, user, session or DEFAULT_SESSION)
