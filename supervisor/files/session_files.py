"""What sessions have on disk outside the journal: their workspaces, and what the CLI keeps of their conversations.

Removing follows no symbolic link, enters no other file system, and touches nothing but what a session's own random id
names: a workspace directly below `workspaces/INSTANCE`, and files of the CLI that begin with the id.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from supervisor.files.paths import find_config_dir
from supervisor.scarcity import is_blind

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_SLUG = 200
"""Characters of a folder's name below `projects`; the CLI ends longer ones with a hash."""
_DEEPEST = 64
"""Levels of folders that are open at once; deeper ones are moved up first."""
_OPEN = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Belongings(NamedTuple):
    """Names under which files of one conversation are found, in order to remove them."""

    uuid: str
    """Claude Code's id of the conversation."""
    workspace: str = ""
    """Its working directory, by which the CLI names a folder; empty when another conversation goes on there."""


@dataclass
class DiskTally:
    """What was removed, or, of a measurement, found."""

    files: int = 0
    bytes: int = 0
    failed: list[str] = field(default_factory=list)
    """Paths that are still there, each with the reason."""

    def __iadd__(self, other: DiskTally) -> DiskTally:
        self.files += other.files
        self.bytes += other.bytes
        self.failed += other.failed
        return self


class CliStore(NamedTuple):
    """The folders in which the CLI keeps what belongs to conversations."""

    config_dir: Path
    """`CLAUDE_CONFIG_DIR`: transcripts below `projects`, and folders for todos, file history, environment and so on."""
    scratch: Path
    """Its folder for the output of running tasks."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> CliStore:
        """The folders that a CLI with that environment uses."""
        scratch = environment.get("CLAUDE_CODE_TMPDIR") or "/tmp"
        return cls(find_config_dir(environment), Path(scratch) / f"claude-{os.geteuid()}")

    def find(self, belongings: Collection[Belongings]) -> list[Path]:
        """Files and folders that belong to these conversations and to nothing else. Blocking: one look at the store,
        however many are asked for."""
        uuids = {one.uuid for one in belongings if UUID.fullmatch(one.uuid)}
        if not uuids:
            return []
        found: list[Path] = []
        projects = self.config_dir / "projects"
        for folder in (self.config_dir, *(one for one in _folders(self.config_dir) if one != projects)):
            found += [folder / name for name in _names(folder) if name[:36] in uuids]
        own: set[str] = set()
        """Names of folders that the CLI keeps for a directory which was one session's alone."""
        is_everywhere = False
        for one in belongings:
            slugs = _slugs(one.workspace) if UUID.fullmatch(Path(one.workspace).name) else set()
            own |= slugs
            is_everywhere = is_everywhere or not slugs or Path(one.workspace).name != one.uuid
        for base in (projects, self.scratch):
            if base == self.scratch and not _is_ours(base):
                continue
            for name in _names(base):
                if name in own:
                    found.append(base / name)
                elif is_everywhere:
                    found += [base / name / inner for inner in _names(base / name) if inner[:36] in uuids]
        return found

    def remove(self, belongings: Collection[Belongings]) -> DiskTally:
        """Blocking."""
        tally = DiskTally()
        for path in self.find(belongings):
            with _opened(path.parent) as parent:
                if parent is not None:
                    tally += remove(path.name, parent, str(path))
            if path.parent.parent in (self.config_dir / "projects", self.scratch):
                with suppress(OSError):
                    path.parent.rmdir()
        return tally


def remove_workspace(workspace: str, root: Path) -> DiskTally:
    """Removes a private workspace: `root/INSTANCE/ID`. Anything else is left alone, and told."""
    path = Path(workspace)
    is_own = path.parent.parent == root and path.is_absolute() and ".." not in path.parts and path.name
    if not is_own:
        return DiskTally(failed=[f"{workspace}: it is not below {root}"])
    with _opened(root) as above, _opened(path.parent.name, above) as parent:
        if parent is None:
            is_there = os.path.lexists(workspace)
            return DiskTally(failed=[f"{workspace}: a link leads there, and is not followed"] if is_there else [])
        return remove(path.name, parent, workspace)


def remove_below(folder: Path, name: str) -> DiskTally:
    """Removes one entry of a folder; what is a link in that folder's place is left alone."""
    with _opened(folder) as parent:
        return DiskTally() if parent is None else remove(name, parent, str(folder / name))


def remove(name: str, parent: int, shown: str) -> DiskTally:
    """Removes an entry of the open folder `parent` with everything below it; `shown` is its path in messages."""
    tally = DiskTally()
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return tally
    if not stat.S_ISDIR(found.st_mode):
        _unlink(name, parent, found, shown, tally)
        return tally
    top = _enter(name, parent, shown, tally)
    if top is None:
        return tally
    try:
        moved = True
        while moved:
            moved = _empty(top, top, 0, shown, found.st_dev, tally)
    finally:
        os.close(top)
    _rmdir(name, parent, shown, tally)
    return tally


def _empty(folder: int, top: int, depth: int, shown: str, device: int, tally: DiskTally) -> bool:
    """True when something deep was moved up to `top`: then that is to be emptied again."""
    moved = False
    for name in os.listdir(folder):
        path = f"{shown}/{name}"
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) and found.st_dev != device:
                tally.failed.append(f"{path}: another file system is mounted there")
                continue
            if stat.S_ISDIR(found.st_mode) and depth >= _DEEPEST:
                os.rename(name, f".{found.st_ino}", src_dir_fd=folder, dst_dir_fd=top)
                moved = True
                continue
        except OSError as error:
            _note(path, error, tally)
            continue
        if not stat.S_ISDIR(found.st_mode):
            _unlink(name, folder, found, path, tally)
        elif (inner := _enter(name, folder, path, tally)) is not None:
            try:
                moved = _empty(inner, top, depth + 1, path, device, tally) or moved
            finally:
                os.close(inner)
            _rmdir(name, folder, path, tally)
    return moved


def _enter(name: str, parent: int, shown: str, tally: DiskTally) -> int | None:
    """The folder, open, and such that it can be emptied whatever its mode was."""
    try:
        try:
            descriptor = os.open(name, _OPEN, dir_fd=parent)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=parent)
            descriptor = os.open(name, _OPEN, dir_fd=parent)
        with suppress(OSError):
            os.fchmod(descriptor, 0o700)
        return descriptor
    except OSError as error:
        _note(shown, error, tally)
        return None


def _unlink(name: str, parent: int, found: os.stat_result, shown: str, tally: DiskTally) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except OSError as error:
        _note(shown, error, tally)
    else:
        tally.files += 1
        tally.bytes += found.st_size if stat.S_ISREG(found.st_mode) else 0


def _rmdir(name: str, parent: int, shown: str, tally: DiskTally) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if not tally.failed:  # what is in it has been told
            _note(shown, error, tally)


def _note(shown: str, error: OSError, tally: DiskTally) -> None:
    if not isinstance(error, FileNotFoundError):
        tally.failed.append(f"{shown}: {error.strerror}")


@contextmanager
def _opened(path: Path | str, parent: int | None = None) -> Iterator[int | None]:
    """Yields a descriptor of the folder; None when there is no such folder, or a link in its place. Raises `OSError`
    where that cannot be seen."""
    try:
        descriptor = os.open(path, _OPEN, dir_fd=parent) if parent is not None or isinstance(path, Path) else None
    except OSError as error:
        if is_blind(error):
            raise
        descriptor = None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def find_workspaces(root: Path) -> Iterator[tuple[str, float]]:
    """Every workspace, and when it was last changed (Unix seconds; what is deep in it does not count)."""
    for folder in _folders(root):
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.path, entry.stat(follow_symlinks=False).st_ctime


def measure(paths: Iterable[Path | str]) -> DiskTally:
    """Files and bytes of these, and of everything below them. Blocking. Raises `OSError` where this process has no
    descriptor or no memory left to look with: what cannot be seen is not nothing."""
    tally = DiskTally()
    left = [os.fspath(path) for path in paths]
    while left:
        path = left.pop()
        try:
            found = os.lstat(path)
            if stat.S_ISDIR(found.st_mode):
                with os.scandir(path) as entries:
                    left += [entry.path for entry in entries]
            else:
                tally.files += 1
                tally.bytes += found.st_size
        except OSError as error:
            if is_blind(error):
                raise
    return tally


def _slugs(workspace: str) -> set[str]:
    """The names that the CLI gives to the folders of a working directory. None for a path so long that only its
    beginning would be in the name: that may be another directory's as well."""
    paths = {workspace}
    with suppress(OSError, RuntimeError):
        paths.add(str(Path(workspace).resolve()))
    slugs = {re.sub(r"[^a-zA-Z0-9]", "-", path) for path in paths}
    return slugs if all(len(slug) <= _LONGEST_SLUG for slug in slugs) else set()


def _is_ours(folder: Path) -> bool:
    """A folder in a place where every user may make one."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        if is_blind(error):
            raise
        return []


def _folders(folder: Path) -> list[Path]:
    """The folders directly in this one, without links."""
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if is_blind(error):
            raise
        return []
