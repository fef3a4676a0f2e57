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


async def load_late(module: str, name: str) -> Any:
    """What has that name in that module, with all that the module takes to get it."""
    return await run_in_thread(_load, module, name)


def _import(name: str) -> ModuleType:
    with _ONE_AT_A_TIME:
        return importlib.import_module(name)


def _load(module: str, name: str) -> Any:
    with _ONE_AT_A_TIME:
        return getattr(importlib.import_module(module), name)
