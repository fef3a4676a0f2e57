"""Finds and imports the Python modules whose functions templates offer as tools.

`booking:reserve` in `agents/desk.md` is the function `reserve` of `agents/tools/booking.py` where there is such a file,
and else of a module that is installed, or on `PYTHONPATH`.

Modules of a `tools` folder are imported anew when any Python file of that folder has changed. A function that was taken
out of the earlier version goes on as it was.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from supervisor.files.reading import find_below, read_file
from supervisor.text.cleaning import clean, one_line

FOLDER = "tools"
"""Beside a template."""
MOST_FILES = 1_000
"""Python files of a `tools` folder."""

_LOCK = threading.RLock()


class ModuleMistake(Exception):
    """A module cannot be used. The message follows the name of the module in a sentence."""


class _Uncached(SourceFileLoader):
    """Compiles what stands in the file: compiled files are told apart by second and size alone."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


@dataclass
class _Folder:
    """A `tools` folder as a place of modules."""

    path: Path
    version: str = ""
    names: frozenset[str] = field(default_factory=frozenset)
    """Of its modules and packages, without those that Python finds elsewhere."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds the modules of the folder. Called by Python's import system (`sys.meta_path`)."""
        if fullname.partition(".")[0] not in self.names:
            return None
        spec = PathFinder.find_spec(fullname, [str(self.path)] if path is None else path)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Uncached(spec.loader.name, spec.loader.path)
        return spec

    def refresh(self) -> None:
        """Forgets its modules when a file has changed."""
        if (version := _version_of(self.path)) == self.version:
            return
        for name in [name for name, module in [*sys.modules.items()] if self._holds(module)]:
            del sys.modules[name]
        self.names = frozenset()
        self.version = version
        importlib.invalidate_caches()
        self.names = frozenset(name for name in _names_in(self.path) if not _is_elsewhere(name))

    def _holds(self, module: ModuleType | None) -> bool:
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and Path(file).is_relative_to(self.path)


_FOLDERS: dict[Path, _Folder] = {}


def import_module(name: str, template: Path) -> tuple[ModuleType, str]:
    """The module for a template in that file, and the version of its source. Runs the module's code. Blocking.

    Raises `ModuleMistake`.
    """
    with _LOCK:
        folder = _open(template.parent / FOLDER)
        top = name.partition(".")[0]
        if folder is not None and top not in folder.names and _is_in(top, folder.path):
            raise ModuleMistake(
                f"is also the name of a module that Python finds elsewhere: rename {_place_of(top, folder.path)}"
            )
        if folder is not None and top in folder.names:
            _give_way(top, folder)
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                raise ModuleMistake(_tell_missing(name, template.parent / FOLDER)) from error
            raise ModuleMistake(f"cannot be imported: {_words(error, folder)}") from error
        except (Exception, SystemExit) as error:
            raise ModuleMistake(f"cannot be imported: {_words(error, folder)}") from error
        if folder is not None and top in folder.names:
            if not folder._holds(module):
                raise ModuleMistake(
                    f"is also the name of a module that is in use: rename {_place_of(top, folder.path)}"
                )
            return module, folder.version
        return module, _version_of_file(getattr(module, "__file__", None))


def functions_of(module: ModuleType) -> list[str]:
    """Public names of it that can be called."""
    return [name for name, value in vars(module).items() if not name.startswith("_") and _is_own(value, module)]


def _is_own(value: object, module: ModuleType) -> bool:
    home = getattr(value, "__module__", module.__name__)
    return not isinstance(value, type | ModuleType) and (
        type(value).__name__ == "SdkMcpTool" or (callable(value) and home == module.__name__)
    )


def _open(path: Path) -> _Folder | None:
    real = path.absolute()
    folder = _FOLDERS.get(real)
    if folder is None:
        if not real.is_dir():
            return None
        folder = _FOLDERS[real] = _Folder(real)
    # The last one opened is asked first: two folders may have a module of the same name.
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not folder]
    sys.meta_path.insert(0, folder)
    folder.refresh()
    return folder


def _give_way(name: str, folder: _Folder) -> None:
    """A module of the same name from another `tools` folder is forgotten."""
    module = sys.modules.get(name)
    if module is not None and any(other._holds(module) for other in _FOLDERS.values() if other is not folder):
        for one in [one for one in sys.modules if f"{one}.".startswith(f"{name}.")]:
            del sys.modules[one]


def _is_elsewhere(name: str) -> bool:
    """Whether Python knows a module of that name without any `tools` folder."""
    if name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return True
    return PathFinder.find_spec(name) is not None


def _names_in(folder: Path) -> list[str]:
    """Modules and packages in it."""
    try:
        entries = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
    names = {name.removesuffix(".py") for name in entries}
    return sorted(name for name in names if name.isidentifier() and _is_in(name, folder))


def _is_in(name: str, folder: Path) -> bool:
    return os.path.isfile(folder / f"{name}.py") or os.path.isfile(folder / name / "__init__.py")


def _place_of(name: str, folder: Path) -> Path:
    """The file, or the directory of a package."""
    file = folder / f"{name}.py"
    return file if os.path.isfile(file) else folder / name


def _tell_missing(name: str, folder: Path) -> str:
    from supervisor.config.validation import nearest

    near = nearest(name, dict.fromkeys(_names_in(folder)))
    hint = f"; did you mean {near}?" if near else f"; it is looked for in {folder} and where Python finds modules"
    return f"is no module{hint}"


def _version_of(folder: Path) -> str:
    """Covers every Python file below."""
    digest = hashlib.sha256()
    for number, path in enumerate(sorted(find_below(folder, ".py"))):
        if number == MOST_FILES:
            break
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(_bytes(path))
    return digest.hexdigest()[:16]


def _version_of_file(file: object) -> str:
    return hashlib.sha256(_bytes(Path(file))).hexdigest()[:16] if isinstance(file, str) else ""


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path)
    except (OSError, ValueError):
        return b""


def _words(error: BaseException, folder: _Folder | None) -> str:
    """The error in words, with the line in a `tools` folder that raised it or led there."""
    where = ""
    frames = traceback.extract_tb(error.__traceback__) if folder is not None else []
    own = [one for one in frames if folder is not None and Path(one.filename).is_relative_to(folder.path)]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        where = f" ({Path(error.filename).name}:{error.lineno})"
    elif own:
        where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})"
    return one_line(clean(f"{type(error).__name__}: {error.args[0] if error.args else error}"), 200) + where
