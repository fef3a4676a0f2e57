"""How much a state directory holds, and whose it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from types import MappingProxyType

from supervisor.api.snapshot import DiskUse
from supervisor.files.session_files import UUID, Belongings, CliStore, measure


def measure_disk(folder: Path, store: CliStore, sessions: Collection[Belongings]) -> DiskUse:
    """Blocking: walks over everything once; slow where there are thousands of workspaces."""
    journal = measure(path for path in folder.glob("journal.db*")).bytes
    of_session = {one.uuid: measure([one.workspace]).bytes for one in sessions if one.workspace}
    workspaces = measure([folder / "workspaces"]).bytes
    conversations = 0
    for path in store.find(sessions):
        size = measure([path]).bytes
        conversations += size
        for uuid in UUID.findall(os.fspath(path))[-1:]:
            of_session[uuid] = of_session.get(uuid, 0) + size
    total = measure([folder]).bytes
    if not store.config_dir.is_relative_to(folder):
        total += conversations
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        free = 0
    return DiskUse(total, journal, workspaces, conversations, free, MappingProxyType(of_session))
