"""What tools keep of a user: a folder for each, in the state directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from supervisor.files.session_files import DiskTally, measure, remove_below

USERS = "users"
"""In the state directory."""


def user_folder(state_dir: Path, user: str) -> Path:
    """The folder for what tools keep of a user. Its name is a hash: an id from outside never becomes part of a path
    (S3.3-5)."""
    return state_dir / USERS / hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()[:32]


def has_user_folder(state_dir: Path, user: str) -> bool:
    return os.path.lexists(user_folder(state_dir, user))


def measure_user_folder(state_dir: Path, user: str) -> DiskTally:
    """Blocking."""
    folder = user_folder(state_dir, user)
    return measure([str(folder)] if os.path.lexists(folder) else [])


def remove_user_folder(state_dir: Path, user: str) -> DiskTally:
    """Blocking. Follows no links."""
    return remove_below(state_dir / USERS, user_folder(state_dir, user).name)
