"""Names that a package hands on and imports when they are first used: from the imports below its `TYPE_CHECKING`."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

_IMPORT = re.compile(r"^    from (\S+) import (\w+) as", re.MULTILINE)


class LateNames:
    """Imports the public names of one package when they are first used. The package's `__getattr__` is `get`."""

    def __init__(self, package: str) -> None:
        """`package` is being imported now."""
        self._package = package
        module = sys.modules[package]
        source = module.__loader__.get_source(package) or ""  # type: ignore[union-attr]
        self.homes: dict[str, str] = {name: home for home, name in _IMPORT.findall(source)}
        """Name → module: each name is written once, in its import."""

    def get(self, name: str) -> Any:
        if (home := self.homes.get(name)) is None:
            raise AttributeError(f"module {self._package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        setattr(sys.modules[self._package], name, value)
        return value
