"""Which failures of a write come from outside, and what they are called."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

_KEPT = "nothing that was accepted is lost"
_TAKEN = "what was accepted before is in the files that were there"


class Fault(NamedTuple):
    words: str
    """What is wrong: "the disk is full"."""
    remedy: str
    """What to do about it, with {folder} and {file} in it."""
    comfort: str = _KEPT
    """What became of the prompts that were accepted before."""


class StateLost(Exception):
    """Raised before a commit that would go into files which no later run can find."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.words)


FOLDER_GONE = Fault(
    "its folder has been moved or deleted", "move it back to {folder}, or stop bullpen and start it again", _TAKEN
)
FOLDER_REPLACED = Fault(
    "another folder stands in the place of its own",
    "put the one that was there back to {folder}, or stop bullpen and start it again",
    _TAKEN,
)
FILE_GONE = Fault(
    "its file has been moved or deleted", "put the one that was there back to {file}, or restore it and restart", _TAKEN
)
FILE_REPLACED = Fault(
    "another file stands in the place of its own",
    "put the one that was there back to {file}, or restore it and restart",
    _TAKEN,
)
LOCK_GONE = Fault(
    "the lock of its folder has been moved, deleted or replaced",
    "stop every bullpen that uses {folder}, and start one again",
)

_FAULTS = {
    sqlite3.SQLITE_FULL: Fault("the disk is full", "free space in {folder}"),
    sqlite3.SQLITE_READONLY: Fault("it is read-only", "make {folder} and what is in it writable"),
    sqlite3.SQLITE_PERM: Fault("access is denied", "make {folder} and what is in it writable"),
    sqlite3.SQLITE_CANTOPEN: Fault("it cannot be opened", "make {folder} and what is in it writable"),
    sqlite3.SQLITE_BUSY: Fault("another program has locked it", "end the program that holds {file}"),
    sqlite3.SQLITE_LOCKED: Fault("another program has locked it", "end the program that holds {file}"),
    sqlite3.SQLITE_PROTOCOL: Fault("another program has locked it", "end the program that holds {file}"),
    sqlite3.SQLITE_IOERR: Fault("the disk reports an error", "see to the disk of {folder}"),
    sqlite3.SQLITE_NOMEM: Fault("there is no memory left", "free memory on this host"),
    sqlite3.SQLITE_CORRUPT: Fault("its file is damaged", "stop bullpen and restore {file}, or move it away"),
    sqlite3.SQLITE_NOTADB: Fault("its file is damaged", "stop bullpen and restore {file}, or move it away"),
}


_ABOUT_VALUES = (
    OverflowError,
    UnicodeError,
    TypeError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
)


def is_about_a_value(error: Exception) -> bool:
    """Whether a value that was to be written is to blame: too large a number or text, a wrong type, none at all."""
    if isinstance(error, sqlite3.ProgrammingError):
        return "binding" in str(error)
    return isinstance(error, _ABOUT_VALUES)


def find_fault(error: BaseException) -> Fault | None:
    """The cause when it lies outside and may pass; None when the error is a bug of bullpen's."""
    if isinstance(error, StateLost):
        return error.fault
    if isinstance(error, MemoryError):
        return _FAULTS[sqlite3.SQLITE_NOMEM]
    if not isinstance(error, sqlite3.Error):
        return None
    return _FAULTS.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF)


def tell(fault: Fault, file: Path) -> str:
    """One line for the caller whose record could not be written."""
    remedy = fault.remedy.format(folder=file.parent, file=file)
    return f"the journal cannot be written ({fault.words}): {remedy}; {fault.comfort}"
