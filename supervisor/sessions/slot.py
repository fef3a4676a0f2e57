"""A slot: one place in a pool, which a session holds from its first prompt to its end."""

from __future__ import annotations

from typing import TypeAlias

from supervisor.sessions.place import Place
from supervisor.sessions.session import Session

Slot: TypeAlias = Place[Session]
