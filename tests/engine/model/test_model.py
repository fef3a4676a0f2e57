"""Any order of everything that can happen: the laws of the pool hold.

`make test` tries a bounded number of examples, always the same; `make soak` looks for new ones. An order that breaks a
law is written to a file; the files in `orders` once were, and are played again.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from supervisor.instance.scheduler import Scheduler
from tests.engine.model.book import Broken
from tests.engine.model.bullpens import Figures
from tests.engine.model.machine import PoolModel
from tests.engine.model.play import Play
from tests.engine.model.recording import ORDERS, play, read_order, write_order

FAILED = Path(tempfile.gettempdir())
"""Where an order goes that breaks a law."""


def search_for_a_breach(search: settings, folder: Path) -> None:
    """Raises what an order has broken, with the name of the file that has the order."""
    try:
        run_state_machine_as_test(PoolModel, settings=search)
    except Exception as error:
        path = write_order(Play.latest, folder / f"bullpen-order-{os.getpid()}.jsonl")
        error.add_note(
            f"The order stands in {path}. Played again, aloud: python -m tests.engine.model.recording {path}\n"
            f"Kept as a test: mv {path} {ORDERS}/what-it-broke.jsonl"
        )
        raise


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_no_order_of_events_breaks_a_law_of_the_pool(search: settings, capsys: pytest.CaptureFixture[str]) -> None:
    """R1, R3, R4, S1.3, S1.14, S1.17, S2.4, S2.20, S3.13–16, S5.15, S5.17–23"""
    PoolModel.tally.clear()
    search_for_a_breach(search, FAILED)
    with capsys.disabled():
        print("", ", ".join(f"{count:,} {what}" for what, count in PoolModel.tally.items()))


@pytest.mark.parametrize("path", sorted(ORDERS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_an_order_that_once_broke_a_law_does_not_break_it_again(path: Path) -> None:
    for _ in play(read_order(path), PoolModel()):
        pass


def test_an_order_that_breaks_a_law_is_written_to_a_file_that_breaks_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = settings.get_profile("handful")  # what is broken here is found at once, and needs no search
    with monkeypatch.context() as patch:
        patch.setattr(Scheduler, "run", lambda self: None)
        patch.setattr("tests.engine.model.play.LONGEST_WAIT", 30.0)  # nothing that waits is ever begun
        with pytest.raises(Broken) as caught:
            search_for_a_breach(search, tmp_path)
        (path,) = tmp_path.iterdir()
        assert any(str(path) in note for note in caught.value.__notes__)
        with pytest.raises(Broken):
            list(play(read_order(path), PoolModel()))
    list(play(read_order(path), PoolModel()))


def test_what_a_move_is_done_with_comes_back_from_its_file(tmp_path: Path) -> None:
    from supervisor.api.prompts import Priority, Source
    from supervisor.api.questions import Allow, Deny

    figures = Figures(1, 0, 1, 0, "none", "300MiB", 50, 4, 2, "2GiB")
    given = {"answers": [Allow(always=True), Deny("no")], "who": Source.OPERATOR, "rank": Priority.LOW, "pace": None}
    order = [("open_the_bullpen", {"bullpen": figures, "ending": "stop"}), ("make_up", given)]
    assert read_order(write_order(order, tmp_path / "order.jsonl")) == order


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('["pause"', r":2: Expecting ',' delimiter"),
        ('{"pause": 1}', r":2: a move is written \[NAME, \{ARGUMENTS\}\]"),
        ('["pause", {"why": {"Denied": {}}}]', r":2: Denied is no value that moves are made with; there are: Allow"),
        ('["pause", {"why": {"Source": "moon"}}]', r":2: 'moon' is not a valid Source"),
        ('["pause", {"why": {"Deny": {"words": 1}}}]', r":2: .*nexpected keyword argument 'words'"),
    ],
)
def test_a_damaged_order_names_its_line(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "order.jsonl"
    path.write_text(f'["let_time_pass", {{"seconds": 1}}]\n{line}\n', "utf-8")
    with pytest.raises(ValueError, match=why) as caught:
        read_order(path)
    assert str(caught.value).startswith(str(path))


def test_an_order_of_another_model_plays_nothing() -> None:
    with pytest.raises(ValueError, match="the model has no move fly_away; there are: answer_a_question"):
        next(play([("let_time_pass", {"seconds": 1}), ("fly_away", {})], PoolModel()))
