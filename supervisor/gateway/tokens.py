"""Who may come in over the network: tokens, stored as hashes with their names and when they were last used.

The file is small and belongs to the state directory. Any process may change it, one at a time; the running door takes
up what was changed before its next request is judged.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from supervisor.api.addressing import EMPLOYEE_USER
from supervisor.api.errors import Refused, UnknownTarget
from supervisor.api.ids import new_id, validate_id
from supervisor.files.private_file import read_private, write_private
from supervisor.text.cleaning import one_line

FILE = "tokens.json"
LARGEST = 4 * 1024**2
"""Bytes of the file: some ten thousand tokens."""
PREFIX = "bp"
SECRET_BYTES = 32
LONGEST_NAME = 100
"""Characters."""
USED_EVERY = 60.0
"""Seconds between two times that the door writes down which tokens were used."""


class Role(StrEnum):
    OPERATOR = "operator"
    """Everything, for any user."""
    READ_ONLY = "read-only"
    """Sees what an operator sees, and changes nothing."""
    DELEGATE = "delegate"
    """A trusted program that sends prompts for its users: any user, none of the operator's verbs."""
    USER = "user"
    """One person: that user's sessions and questions, and nothing else."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; never the token itself."""

    id: str
    digest: str
    """SHA-256 of the whole token, in hex."""
    name: str
    role: Role
    user: str = ""
    """The user whose token it is; empty for the other roles."""
    agent: str = ""
    """The one agent it is for; empty for all."""
    created_at: float = 0.0
    """Unix seconds."""
    last_used_at: float | None = None
    """Unix seconds; None while it was never used."""


class TokenFile:
    """The tokens of one state directory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._seen: tuple[int, int, int] | None = None
        """Inode, size and time of what `_tokens` was read from."""
        self._tokens: dict[str, Token] = {}
        self._used: dict[str, float] = {}
        """Unix seconds of what is not written down yet."""

    def all(self) -> tuple[Token, ...]:
        """Oldest first. Raises `Refused` when the file cannot be read."""
        self._take_up()
        return tuple(self._tokens.values())

    def find(self, token: str) -> Token | None:
        """Compares in constant time. None when there is no such token. Raises `Refused` when the file cannot be
        read."""
        self._take_up()
        parts = token.split("_", 2)
        known = self._tokens.get(parts[1]) if len(parts) == 3 and parts[0] == PREFIX else None
        # As much work for an id that is not known, so that the time tells nothing.
        digest = known.digest if known is not None else "0" * 64
        return known if hmac.compare_digest(digest, digest_of(token)) else None

    def note_used(self, token: Token) -> None:
        """Notes that the token is used now. `write_used` writes this to the file."""
        self._used[token.id] = time.time()

    def write_used(self) -> None:
        """Writes when each token was used last. A disk that cannot be written refuses no request. Blocking."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            with self._changing() as tokens:
                for token_id in used.keys() & tokens.keys():
                    tokens[token_id] = replace(tokens[token_id], last_used_at=used[token_id])
        except (OSError, Refused):
            self._used = used | self._used

    def add(self, role: Role, name: str = "", *, user: str = "", agent: str = "") -> tuple[Token, str]:
        """Makes a token and returns it with its text, which is kept nowhere. Raises `Refused`."""
        if role is Role.USER:
            if validate_id(user, "user") == EMPLOYEE_USER:
                raise Refused(f"no user can be called {EMPLOYEE_USER}: the conversations that all callers share are")
        elif user:
            raise Refused(f"a token of role {role} belongs to no user")
        if agent and role in (Role.OPERATOR, Role.READ_ONLY):
            raise Refused(f"a token of role {role} is for every agent: leave the agent out, or make one for a user")
        shown = one_line(name, LONGEST_NAME + 1) or user or role.value
        if len(shown) > LONGEST_NAME:
            raise Refused(f"the name of a token has at most {LONGEST_NAME} characters")
        token_id = new_id()
        text = f"{PREFIX}_{token_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        token = Token(token_id, digest_of(text), shown, role, user, agent, created_at=time.time())
        try:
            with self._changing() as tokens:
                tokens[token.id] = token
        except OSError as error:
            raise self._unusable(error) from error
        return token, text

    def revoke(self, name: str) -> Token:
        """Removes the token with that id, or with that name when no other has it. Raises `UnknownTarget`."""
        try:
            with self._changing() as tokens:
                found = [one for one in tokens.values() if name in (one.id, one.name)]
                if len(found) != 1:
                    which = "no token" if not found else f"{len(found)} tokens"
                    raise UnknownTarget(f"{which} {one_line(name, 100)}: name one by its id, see `bullpen token list`")
                del tokens[found[0].id]
        except OSError as error:
            raise self._unusable(error) from error
        return found[0]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        """The tokens as they are now, written back afterwards; no other process changes them meanwhile."""
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            tokens = self._read()
            yield tokens
            kept = [asdict(one) for one in tokens.values()]
            write_private(self.path, json.dumps(kept, indent=1))
        finally:
            os.close(descriptor)

    def _take_up(self) -> None:
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        except OSError as error:
            raise self._unusable(error) from error
        if seen != self._seen:
            self._tokens = self._read()
            self._seen = seen

    def _read(self) -> dict[str, Token]:
        try:
            packed = read_private(self.path, LARGEST)
            found = json.loads(packed) if packed else []
            tokens = [Token(**{**one, "role": Role(one["role"])}) for one in found]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self._unusable(error) from error
        return {token.id: token for token in tokens}

    def _unusable(self, error: Exception) -> Refused:
        if isinstance(error, OSError):
            return Refused(f"{self.path} cannot be used ({error.strerror or error}): see to its folder and its rights")
        why = "it is not what `bullpen token` writes"
        return Refused(f"{self.path} cannot be used ({why}): mend it, or remove it and make new tokens")


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
