"""Processes that a dead supervisor left behind: found by pid and start time and by their mark, ended, verified (R2).

A busy client without its supervisor finishes its turn first, API requests included, and would be a second writer of its
session. So nothing is started before this is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import psutil

from supervisor.in_thread import run_in_thread
from supervisor.journal import ClientRecord
from supervisor.process.cgroups import list_groups
from supervisor.process.process_tree import LOST, Tree, find_top, list_runs, list_tree
from supervisor.scarcity import is_blind

TERMINATE_WITHIN = 1.0
"""Seconds between TERM and KILL."""
KILL_WITHIN = 5.0
"""Seconds from KILL to a verified end."""


async def end_orphans(records: Sequence[ClientRecord]) -> tuple[int, int]:
    """Ends every process of those clients that still lives. Returns how many there were, and how many are left."""
    if not records:
        return 0, 0
    tree = Tree(None, "")
    tree.add(await run_in_thread(find_orphans, records))
    found = tree.alive_count
    if found:
        tree.terminate()
        if not await tree.emptied(TERMINATE_WITHIN):
            tree.kill()
            await tree.emptied(KILL_WITHIN)
        # What was started while the others were being ended.
        tree.add(await run_in_thread(find_orphans, records))
        tree.kill()
        await tree.emptied(KILL_WITHIN)
    for group in (group for run in _runs_of(records) for group in list_groups(run)):
        group.remove()
    return found, tree.alive_count


async def end_marked(run: str, *, kills: bool) -> None:
    """Tells every process of one supervisor to end (TERM), or kills them. Does not wait for it."""
    tree = Tree(None, "")
    tree.add(await run_in_thread(partial(list_runs, {run})))
    if kills:
        tree.kill()
    else:
        tree.terminate()


def find_orphans(records: Iterable[ClientRecord]) -> list[psutil.Process]:
    """Blocking: walks over all processes once. With those of shared MCP servers and of hooks of the same runs: where a
    guard was stopped when its supervisor was killed, nothing else ends them."""
    known = tuple(records)
    found = list_runs(_runs_of(known))
    for record in known:
        if (root := _same_process(record)) is not None:
            found += list_tree(find_top(root))
    return found


def _runs_of(records: Iterable[ClientRecord]) -> set[str]:
    return {record.mark.partition(":")[0] for record in records}


def _same_process(record: ClientRecord) -> psutil.Process | None:
    """The pid may have been reused: only the same start time makes it the process that is meant."""
    try:
        process = psutil.Process(record.pid) if record.pid > 0 else None
        return process if process is not None and process.create_time() == record.started else None
    except LOST as error:
        if is_blind(error):
            raise
        return None
