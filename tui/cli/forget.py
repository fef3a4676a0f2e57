"""`bullpen forget`: shows what there is of a person, asks, removes it, and says what a search finds afterwards."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import typer

from supervisor import Engine, Forgotten, forget_user
from tui.cli.exit_codes import DONE, FAILED, REFUSED
from tui.cli.output import say, tell
from tui.kept.drafts import draft_files
from tui.wording.format import bytes_short, some


def forget_from_terminal(folder: Path, user: str, *, is_trial: bool, is_sure: bool) -> int:
    """Returns the exit code: 0 when nothing is left, 1 when something is, 2 when nothing was removed for want of a yes.

    Raises what `forget_user` raises.
    """
    found = anyio.run(partial(forget_user, folder, user, is_trial=True))
    files = draft_files(folder)
    drafts = sum(file.forget(user, is_trial=True) for file in files)
    if found.is_empty and not drafts:
        say(f"nothing of {user} in {folder}")
        return DONE
    if drafts:
        found.rows["unsent messages"] = drafts
    say(f"of {user} in {folder}: {tell_forgotten(found)}")
    for agent in found.shared_with:
        say(f"note: {agent} remembers what {user} told it until its one session is closed in the dashboard")
    if is_trial:
        return DONE
    if not is_sure and not _is_agreed(user):
        return REFUSED
    done = anyio.run(partial(forget_user, folder, user))
    for file in files:
        try:
            done.rows["unsent messages"] = done.rows.get("unsent messages", 0) + file.forget(user)
        except OSError as error:
            done.left.append(f"{file.path}: {error.strerror}")
    say(f"removed: {tell_forgotten(done)}")
    for line in done.left:
        tell(f"still there: {line}")
    if done.left:
        return FAILED
    say("searched again: nothing is left")
    return DONE


async def forget_there(user: str, engine: Engine, *, is_trial: bool, is_sure: bool) -> int:
    """Forgets the user in a bullpen that is running: it ends the sessions first. Returns the exit code. Raises what
    `Engine.forget_user` raises."""
    found = [row for row in (await engine.snapshot()).sessions if row.key.user == user]
    if found:
        turns = sum(bool(row.turn_id) + len(row.waiting) for row in found)
        ends = f"; {some(turns, 'turn')} would be ended" if turns else ""
        say(f"of {user} in the bullpen that runs: {some(len(found), 'session')}{ends}")
    if is_trial:
        if not found:
            say(f"no session of {user} in the bullpen that runs; files that are left are seen when it has stopped")
        return DONE
    if found and not is_sure and not await anyio.to_thread.run_sync(_is_agreed, user):
        return REFUSED
    count = await engine.forget_user(user)
    say(f"removing {some(count, 'session')} of {user}, what was said, and what is on disk")
    return DONE


def _is_agreed(user: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        tell("nothing was removed: say --yes, or --dry-run only to see what there is")
        return False
    is_agreed = typer.prompt(f"Type {user} to remove all of it", default="", show_default=False, err=True) == user
    if not is_agreed:
        tell("nothing was removed")
    return bool(is_agreed)


def tell_forgotten(found: Forgotten) -> str:
    """`2 sessions, 7 turns, 12 files (34 kB)`."""
    rows = [some(count, _singular(name), name) for name, count in found.rows.items() if count]
    return ", ".join([*rows, f"{some(found.files, 'file')} ({bytes_short(found.bytes)})"])


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
