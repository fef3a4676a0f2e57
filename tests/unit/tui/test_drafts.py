"""Unsent messages are kept for their owner alone, and go with the person they were written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor import SessionKey
from tui.kept.drafts import FILE, MOST_CHARACTERS, DraftFile, attached_drafts, draft_files

ANA, BEN = SessionKey("desk", "ana", "one"), SessionKey("desk", "ben", "two")


def test_what_was_saved_is_loaded_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    drafts = DraftFile(tmp_path)
    drafts.save({ANA: "two\nlines", BEN: "  "})
    assert drafts.load() == ({ANA: "two\nlines"}, "")
    assert drafts.path.stat().st_mode & 0o777 == 0o600
    drafts.save({})
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_is_too_long_costs_no_other_one(tmp_path: Path) -> None:
    drafts = DraftFile(tmp_path)
    drafts.save({ANA: "x" * (MOST_CHARACTERS + 1), BEN: "short"})
    assert drafts.load() == ({BEN: "short"}, "")


def test_of_a_forgotten_user_no_draft_is_left(tmp_path: Path) -> None:
    drafts = DraftFile(tmp_path)
    drafts.save({ANA: "a secret", BEN: "another"})
    assert drafts.forget("ana", is_trial=True) == 1
    assert drafts.forget("ana") == 1
    assert drafts.load() == ({BEN: "another"}, "")
    assert "secret" not in drafts.path.read_text()
    drafts.path.write_text("a secret of ana's, cut off")
    drafts.forget("ana")
    assert not drafts.path.exists()


@pytest.mark.parametrize("text", ["", "{", "{}", '[["desk", "ana"]]', '[["desk", "ana", "one", 7]]', "[" * 50_000])
def test_a_broken_file_is_one_line_and_no_draft(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    found, line = DraftFile(tmp_path).load()
    assert found == {}
    assert FILE in line
    assert "\n" not in line


def test_escapes_in_the_file_do_not_reach_the_screen(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[["desk", "ana", "one", "a\\u001b[2Jb"]]')
    assert DraftFile(tmp_path).load()[0] == {ANA: "ab"}


def test_attached_dashboards_keep_their_drafts_by_the_bullpen_and_beside_each_other(tmp_path: Path) -> None:
    one, other = (attached_drafts(tmp_path, "https://bullpen.example.org") for _ in range(2))
    elsewhere = attached_drafts(tmp_path, "/other/bullpen.sock")
    assert one.load() == other.load() == ({}, "")
    one.save({ANA: "from the one"})
    other.save({BEN: "from the other"})
    assert other.load()[0] == {ANA: "from the one", BEN: "from the other"}
    one.save({})
    assert other.load()[0] == {BEN: "from the other"}, "it took back its own"
    assert elsewhere.load() == ({}, "")
    elsewhere.save({ANA: "a secret"})
    assert sum(file.forget("ana") for file in draft_files(tmp_path)) == 1
    assert elsewhere.load() == ({}, "")
