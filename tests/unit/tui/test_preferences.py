"""What the dashboard remembers survives a restart; a file that was spoilt costs one line and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tui.kept.preferences import FILE, MOST_BYTES, PreferenceFile, Preferences

KEPT = Preferences("nord", {"sessions": ("memory", True)}, "admin", "helpdesk")


def test_what_was_saved_is_loaded_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        PreferenceFile(tmp_path).save(KEPT)
    finally:
        os.umask(before)
    assert PreferenceFile(tmp_path).load() == (KEPT, "")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_first_start_has_the_default_ones_and_says_nothing(tmp_path: Path) -> None:
    assert PreferenceFile(tmp_path).load() == (Preferences(), "")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"theme": 7}',
        b'{"sort": []}',
        b'{"sort": {"sessions": "memory"}}',
        b'{"sort": {"sessions": ["memory", 1]}}',
        b'{"filter": "a\\u001b[2J"}',
        b'{"filter": "\\ud800"}',
        b"\xff\xfe",
        b"[" * 50_000,
        b" " * (MOST_BYTES + 1),
        json.dumps({"scope": "x" * 5_000}).encode(),
    ],
)
def test_a_broken_file_is_one_line_and_the_default_ones(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    found, line = PreferenceFile(tmp_path).load()
    assert found == Preferences()
    assert FILE in line
    assert "\n" not in line


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    found, line = PreferenceFile(tmp_path).load()
    assert (found, bool(line)) == (Preferences(), True)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    assert PreferenceFile(tmp_path).load()[1]
    (tmp_path / FILE).rmdir()
    (tmp_path / FILE).symlink_to("/dev/zero")
    assert PreferenceFile(tmp_path).load()[1]


def test_a_save_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PreferenceFile(tmp_path).save(KEPT)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        PreferenceFile(tmp_path).save(Preferences())
    assert PreferenceFile(tmp_path).load() == (KEPT, "")
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
