"""Where a conversation on disk has to be cut so that an unanswered prompt is not sent twice (R2).

The CLI keeps a conversation as lines of JSON. A prompt stands there under the uuid it was sent with, and names the
entry it follows. Resuming at that entry, with the prompt's turn declared as dropped, leaves everything before it whole;
the file itself is not rewritten (all measured on the CLI this release is made for).
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from supervisor import bounds

_SAVED = b'"type":"cost-state"'

SYNTHETIC = "<synthetic>"
"""The model of messages that the CLI writes itself, in the agent's name."""

_LONGEST_NAME = 200
"""Characters of a folder's name below `projects`."""


class CutKind(StrEnum):
    NONE = "none"
    """Resume it as it is: the prompt never got there, or was answered after all."""
    AFTER = "after"
    """Resume at an entry and drop what comes after it."""
    ALL = "all"
    """The unanswered prompt is the first thing in it: nothing of it is to be kept."""


class TranscriptCut(NamedTuple):
    kind: CutKind
    at: str = ""
    """Uuid of the last entry to be kept."""
    drops: str = ""
    """Uuid of the prompt whose turn is dropped; empty when it may be several: then the CLI does not check it."""


def find_transcript(config_dir: Path, session_uuid: str) -> Path | None:
    """The file of a conversation; None when there is none."""
    return next(config_dir.glob(f"projects/*/{session_uuid}.jsonl"), None)


def keep_private(config_dir: Path, session_uuid: str, workspace: Path) -> None:
    """Moves a conversation to where the CLI keeps those of its workspace, with all that belongs to it.

    The CLI resumes it wherever it lies, and goes on writing there. Where its folder is named after a directory that
    sessions shared once, agents of that directory could read it. Blocking. Raises `OSError`.
    """
    transcript = find_transcript(config_dir, session_uuid)
    name = project_name(workspace)
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 40]}-{session_uuid}"  # the CLI finds it by the id
    own = config_dir / "projects" / name
    if transcript is None or transcript.parent == own:
        return
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The transcript last: as long as it is not moved, the next resume tries again.
    for entry in sorted(transcript.parent.glob(f"{session_uuid}*"), key=lambda entry: entry == transcript):
        if entry == transcript or not (own / entry.name).exists():
            entry.rename(own / entry.name)


def project_name(workspace: Path) -> str:
    """Name of a working directory's folder below the CLI's `projects`. The CLI shortens names longer than
    `_LONGEST_NAME`."""
    return re.sub(r"[^a-zA-Z0-9]", "-", str(workspace.resolve()))


def find_cut(transcript: Path, prompts: Iterable[str], *, with_unjudged: bool = False) -> TranscriptCut:
    """`prompts` are the uuids of unanswered prompts, newest first: the first that is found decides.

    `with_unjudged`: what stands before it is cut as well, back to the last words of the model. They prove that the API
    takes all that is before them.

    Blocking, and as slow as the file is long (24 MB: about 0.2 s).
    """
    entries = _read_entries(transcript)
    places = {entry["uuid"]: place for place, entry in enumerate(entries)}
    for uuid in prompts:
        if (place := places.get(uuid)) is None:
            continue
        if with_unjudged:
            return _cut_to_last_reply(entries, places, uuid)
        after = entries[place + 1 :]
        if _is_answered(after):
            return TranscriptCut(CutKind.NONE)
        if summary := _find_summary(after):
            # What stood before the prompt has been summed up since, and is not resumed any more.
            return TranscriptCut(CutKind.AFTER, summary, uuid)
        parent = entries[place].get("parentUuid")
        return TranscriptCut(CutKind.AFTER, str(parent), uuid) if parent else TranscriptCut(CutKind.ALL, drops=uuid)
    return TranscriptCut(CutKind.NONE)


def _cut_to_last_reply(entries: list[dict[str, Any]], places: dict[Any, int], prompt: str) -> TranscriptCut:
    seen = {prompt}
    entry = entries[places[prompt]]
    while (above := str(entry.get("parentUuid"))) in places and above not in seen:
        seen.add(above)
        entry = entries[places[above]]
        if _is_of_model(entry) or entry.get("isCompactSummary"):
            return TranscriptCut(CutKind.AFTER, above)
    return TranscriptCut(CutKind.ALL, drops=prompt)


def find_spent(transcript: Path) -> float:
    """Dollars that the CLI has saved as the conversation's running total: what a process that resumes it begins with.
    0 when nothing is saved. Blocking. Raises `OSError`, or `ValueError` when the entry cannot be read."""
    text = _read(transcript)
    if (place := text.rfind(_SAVED)) < 0:
        return 0.0
    try:
        entry = json.loads(text[text.rfind(b"\n", 0, place) + 1 :].split(b"\n", 1)[0])
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return bounds.dollars(bounds.mapping(entry).get("totalCostUSD"))


def set_aside(transcript: Path, uuid: str) -> None:
    """Moves a conversation out of the way, so that its id can be used for a new one. Nothing is deleted."""
    transcript.rename(transcript.with_name(f"{transcript.name}.unanswered-{uuid}"))


def _read(transcript: Path) -> bytes:
    """Raises `OSError`, at once where something else was put in its place: a FIFO would be waited for, a device end
    never."""
    with open(transcript, "rb", opener=_open_plain) as file:
        return file.read()


def _open_plain(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", path)
    return descriptor


def _read_entries(transcript: Path) -> list[dict[str, Any]]:
    """Entries that stand in the chain. A process that was killed leaves half a line, which may since have become the
    middle of the file."""
    entries = []
    # Not splitlines: a line may hold U+2028.
    for line in _read(transcript).split(b"\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(uuid := entry.get("uuid"), str) and uuid:
            entries.append(entry)
    return entries


def _find_summary(entries: list[dict[str, Any]]) -> str:
    """Uuid of the last one that sums up what came before it; empty when none does."""
    return next((str(entry["uuid"]) for entry in reversed(entries) if entry.get("isCompactSummary")), "")


def _is_answered(after: list[dict[str, Any]]) -> bool:
    """The last thing the agent said ended its turn. What the CLI says in its place ("API Error: …") is no answer."""
    said = [entry for entry in after if _is_said(entry)]
    if not said or not _is_of_model(said[-1]):
        return False
    return _message_of(said[-1]).get("stop_reason") in ("end_turn", "stop_sequence")


def _is_of_model(entry: dict[str, Any]) -> bool:
    return _is_said(entry) and _message_of(entry).get("model") != SYNTHETIC


def _is_said(entry: dict[str, Any]) -> bool:
    return entry.get("type") == "assistant" and not entry.get("isSidechain")


def _message_of(entry: dict[str, Any]) -> Mapping[str, Any]:
    return bounds.mapping(entry.get("message"))
