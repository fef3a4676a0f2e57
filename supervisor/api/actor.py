"""Who acts, and from where: what is recorded beside every verb of an operator.

It belongs to the task that calls, as the request it serves does, so that no verb has to carry it through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Actor(NamedTuple):
    name: str = "operator"
    """`operator`, or the name of a token. One line."""
    via: str = "screen"
    """`screen`, `command` or `http`."""


_OPERATOR = Actor()
_acting: ContextVar[Actor] = ContextVar("acting", default=_OPERATOR)


def current_actor() -> Actor:
    """The operator at the screen, as long as nothing else was said."""
    return _acting.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Whatever is called inside, in this task, is done by that one."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)
