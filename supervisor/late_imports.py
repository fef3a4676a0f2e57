"""Heavy modules, imported in a thread while the loop goes on: one at a time.

Two threads that import modules which import each other can find one of them half made (`partially initialized module`);
Python prefers that to a deadlock. What several rooms import late (uvicorn, Starlette, mcp) is such a circle.
"""

from __future__ import annotations

import importlib
import threading
from types import ModuleType
from typing import Any

from supervisor.in_thread import run_in_thread

_ONE_AT_A_TIME = threading.Lock()


async def import_late(name: str) -> ModuleType:
    """The module of that name."""
    return await run_in_thread(_import, name)


async def load(name: str) -> Any:
    """A public name of this package, with what it is made of."""
    return await run_in_thread(_load, name)


def _import(name: str) -> ModuleType:
    with _ONE_AT_A_TIME:
        return importlib.import_module(name)


def _load(name: str) -> Any:
    with _ONE_AT_A_TIME:
        return getattr(importlib.import_module("supervisor"), name)
