"""The parts of a path that name something."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from supervisor.api.checks import MAX_NAME

Name = Annotated[str, Path(min_length=1, max_length=MAX_NAME, pattern=r"^[^/]+$")]
"""A user, a session, a turn or a question."""
AgentName = Annotated[str, Path(min_length=1, max_length=MAX_NAME)]
"""An agent, or a client, which begins with its agent's name: that may hold slashes. A limit or an event, of
which the engine itself says what is none."""
