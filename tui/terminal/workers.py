"""Work beside the queues of the screen."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from textual.dom import DOMNode
from textual.worker import Worker

Result = TypeVar("Result")


def start_worker(
    node: DOMNode,
    work: Callable[[], Coroutine[Any, Any, Result]],
    *,
    group: str = "default",
    exit_on_error: bool = True,
) -> Worker[Result]:
    """A worker of that node, which is cancelled when the node is removed. It is given a function, never a coroutine:
    one that is cancelled before its first turn would drop that, and Python complains of it later."""
    return node.run_worker(cast("Callable[[], Result]", work), group=group, exit_on_error=exit_on_error)
