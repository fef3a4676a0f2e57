"""Where the log goes, who can read it, and that it makes nothing else fail."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import ConfigurationError
from tui.cli import logs


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    before = os.umask(0)
    yield logger
    os.umask(before)
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:], logger.level = handlers, level
    logging.captureWarnings(False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_log_is_private_and_so_are_those_that_were_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES", 200)
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("bullpen.log", "bullpen.log.1", "bullpen.log.2"):
        (folder / name).touch(0o666)
    path = logs.log_to_file(tmp_path)
    assert {mode(one) for one in folder.iterdir()} == {0o600}
    for _ in range(20):
        logging.getLogger("test").warning("a line of some length")
    assert len(list(folder.iterdir())) == 3
    assert {mode(one) for one in folder.iterdir()} == {0o600}
    assert path == folder / "bullpen.log"


@pytest.mark.parametrize(
    ("value", "level", "name"),
    [
        ("", logging.INFO, None),
        ("debug", logging.DEBUG, None),
        ("ERROR", logging.ERROR, None),
        ("/var/log/b.log", logging.INFO, "/var/log/b.log"),
        ("debug:/var/log/b.log", logging.DEBUG, "/var/log/b.log"),
        ("/odd:name", logging.INFO, "/odd:name"),
    ],
)
def test_the_variable_names_a_level_a_file_or_both(value: str, level: int, name: str | None) -> None:
    assert logs.read_variable(value) == (level, Path(name) if name else None)


def test_what_the_variable_says_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: logging.Logger) -> None:
    monkeypatch.setenv(logs.VARIABLE, f"debug:{tmp_path}/own.log")
    assert logs.log_to_file(tmp_path / "state") == tmp_path / "own.log"
    logging.getLogger("test").debug("fine")
    assert (tmp_path / "own.log").read_text().endswith("DEBUG test: fine\n")
    assert root.level == logging.DEBUG
    assert not (tmp_path / "state").exists()


def test_a_file_that_was_asked_for_and_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(logs.VARIABLE, f"{tmp_path}/no/own.log")
    with pytest.raises(ConfigurationError, match=r"BULLPEN_LOG: .*own.log cannot be written \(No such file"):
        logs.log_to_file(tmp_path / "state")


def test_a_full_disk_costs_log_lines_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(logs.VARIABLE, "/dev/full")
    logs.log_to_file(tmp_path)
    logging.getLogger("test").error("lost")
    assert capfd.readouterr() == ("", "")
    assert mode(Path("/dev/full")) != 0o600, "only a file is made private"


def test_a_record_is_one_line_and_its_traceback_is_indented(tmp_path: Path) -> None:
    path = logs.log_to_file(tmp_path)
    try:
        raise ValueError("at https://u:secret@h/x?token=secret\n2026-01-01 CRITICAL forged\x1b[2J")
    except ValueError:
        logging.getLogger("x").exception("a\n2026-01-01 CRITICAL forged \u202e at http://u:secret@proxy:1/")
    text = path.read_text()
    first, *rest = text.splitlines()
    assert "a⟨LF⟩2026-01-01 CRITICAL forged ⟨U+202E⟩ at http://proxy:1/" in first
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert "secret" not in text
    assert "\x1b" not in text


def test_a_log_that_is_a_fifo_nobody_reads_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("BULLPEN_LOG", str(tmp_path / "fifo"))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        logs.log_to_file(tmp_path)
