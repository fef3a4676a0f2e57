"""What was written into message boxes and not sent, kept from one start to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from supervisor import SessionKey, clean, read_private, write_private

FILE = "drafts.json"
"""In the state directory; readable by its owner only. There is none while nothing is unsent."""
ATTACHED = "drafts-attached-"
"""Begins the names of the files of `bullpen attach`."""
MOST_BYTES = 4_000_000
MOST_CHARACTERS = 200_000
"""Of one draft; a longer one is kept only as long as the program runs."""
MOST_DRAFTS = 200

Drafts = Mapping[SessionKey, str]


class DraftFile:
    """Reads and writes them. Both are blocking, and quick: the file is small."""

    def __init__(self, folder: Path, name: str = FILE) -> None:
        self.path = folder / name

    def load(self) -> tuple[dict[SessionKey, str], str]:
        """The drafts that were kept, and one line about a file that cannot be used. That file is left where it is."""
        try:
            kept = read_private(self.path, MOST_BYTES)
            return ({} if kept is None else _unpack(json.loads(kept))), ""
        except OSError as error:
            why = error.strerror or str(error)
        except (ValueError, RecursionError):
            why = "it is not what bullpen writes there"
        return {}, f"{self.path} cannot be used ({why}): no unsent message is taken from it"

    def save(self, drafts: Drafts) -> None:
        """Replaces the file as a whole; without drafts there is none. Raises `OSError`."""
        fitting = [(key, text) for key, text in drafts.items() if text.strip() and len(text) <= MOST_CHARACTERS]
        rows, size = [], 0
        for key, text in fitting[:MOST_DRAFTS]:
            row = [*key, text]
            size += len(json.dumps(row)) + 2
            if size < MOST_BYTES:
                rows.append(row)
        if rows:
            write_private(self.path, json.dumps(rows))
        else:
            self.path.unlink(missing_ok=True)

    def forget(self, user: str, *, is_trial: bool = False) -> int:
        """Removes the drafts of a user's sessions, and says how many there were. A file that cannot be read is removed
        as a whole, because its content cannot be read. Raises `OSError`."""
        drafts, mistake = self.load()
        theirs = [key for key in drafts if key.user == user]
        if is_trial:
            return len(theirs)
        if mistake:
            with suppress(FileNotFoundError):
                self.path.unlink()
        elif theirs:
            self.save({key: text for key, text in drafts.items() if key.user != user})
        return len(theirs)


class SharedDraftFile(DraftFile):
    """Several dashboards write it: each changes only the drafts that it has changed itself."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._known: dict[SessionKey, str] = {}
        """As this dashboard loaded or saved them last."""

    def load(self) -> tuple[dict[SessionKey, str], str]:
        drafts, mistake = super().load()
        self._known = dict(drafts)
        return drafts, mistake

    def save(self, drafts: Drafts) -> None:
        before, (others, _) = self._known, super().load()
        gone = before.keys() - drafts.keys()
        changed = {key: text for key, text in drafts.items() if before.get(key) != text}
        super().save({key: text for key, text in others.items() if key not in gone} | changed)
        self._known = dict(drafts)


def attached_drafts(folder: Path, address: str) -> DraftFile:
    """The file of drafts for a bullpen elsewhere. `address` is its URL, or the path of its socket."""
    return SharedDraftFile(folder, f"{ATTACHED}{sha256(address.encode()).hexdigest()[:16]}.json")


def draft_files(folder: Path) -> list[DraftFile]:
    """All draft files of a state directory: of real runs, of rehearsals and of bullpens elsewhere."""
    attached = sorted(path.name for path in folder.glob(f"{ATTACHED}*.json"))
    return [DraftFile(folder), DraftFile(folder / "rehearsal"), *(DraftFile(folder, name) for name in attached)]


def _unpack(found: object) -> dict[SessionKey, str]:
    """Raises `ValueError` when it was not written by bullpen."""
    if not isinstance(found, list) or len(found) > MOST_DRAFTS:
        raise ValueError("no list")
    drafts = {}
    for row in found:
        if not (isinstance(row, list) and len(row) == 4 and all(isinstance(part, str) for part in row)):
            raise ValueError("no draft")
        if max(map(len, row[:3])) > 1_000 or len(row[3]) > MOST_CHARACTERS:
            raise ValueError("too long")
        drafts[SessionKey(*row[:3])] = clean(row[3])
    return drafts
