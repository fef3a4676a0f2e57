"""Keys that arrive together take effect in their order, at every screen and dialog: a program is written to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.terminal import Terminal
from tests.tui.theatre import FarAway

F1, F2, F4, F9 = "\x1bOP", "\x1bOQ", "\x1bOS", "\x1b[20~"
F6, F7 = "\x1b[17~", "\x1b[18~"
CTRL_F, CTRL_P, CTRL_Q, CTRL_B, ESC, TAB, BACK = "\x06", "\x10", "\x11", "\x02", "\x1b[27u", "\t", "\x7f"
UP, DOWN, RIGHT, LEFT, HOME = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H"

ONE_WAY = 0.1
"""Seconds to an engine that is far away, and as many back."""


class Staged(Terminal):
    """The dashboard over a scene of the stage, and what it reports."""

    def __init__(self, scene: str, report: Path) -> None:
        far = [] if FarAway.seed is None else [str(ONE_WAY)]
        super().__init__([sys.executable, "-m", "tests.tui.staged_app", scene, str(report), *far])
        self.report = report
        self.looked_at = 0
        """Calls that were looked at."""

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads(self.report.read_text())) if self.report.exists() else {}

    def arrive(self, *names: str) -> None:
        """Brings these about beside the keys that are pressed next: before, between or after them."""
        scratch = self.report.with_suffix(".wanted")
        scratch.write_text(" ".join(names))
        scratch.replace(self.report.with_suffix(".arrive"))

    def is_told(self, words: str) -> None:
        """Waits until the words were written at any time. A notification leaves again after a few seconds, which can be
        less than it takes to work out what stands on the screen after all that was painted before."""
        self.until(lambda: words.encode() in self.written, f"{words!r} among what was written")

    def has_arrived(self) -> None:
        self.until(lambda: not self.report.with_suffix(".arrive").exists(), "arrival")

    def settles(self, **wanted: object) -> None:
        """Waits until the report says so; `calls` are those since the last look, by their beginnings."""

        def is_so() -> bool:
            said = self.said
            if not said or said["waiting"]:
                return False
            calls = said["calls"][self.looked_at :]
            begins = wanted.get("calls", [])
            return (
                len(calls) == len(begins)  # type: ignore[arg-type]
                and all(map(str.startswith, calls, begins))  # type: ignore[arg-type]
                and all(said[name] == value for name, value in wanted.items() if name != "calls")
            )

        try:
            self.until(is_so, str(wanted), within=45)
        except AssertionError as error:
            raise AssertionError(f"{error}\nreported: {self.said}") from None
        self.looked_at = len(self.said["calls"])


@contextmanager
def staged(scene: str, folder: Path) -> Iterator[Staged]:
    terminal = Staged(scene, folder / "report.json")
    try:
        terminal.settles(screen="DashboardScreen")
        yield terminal
    finally:
        terminal.close()


def prompt(text: str, user: str, session: str, agent: str = "helpdesk") -> str:
    return f"submit Prompt(agent='{agent}', text='{text}', user='{user}', session='{session}'"


def test_no_key_of_a_burst_is_lost_or_overtaken(tmp_path: Path) -> None:
    """While rows change and replies grow."""
    with staged("asking", tmp_path) as terminal:
        press, settles = terminal.press, terminal.settles

        # A new chat: what follows the key belongs to the dialog, and what follows enter to the chat.
        press(f"nh{TAB}zoe{TAB}qq{BACK}1\rabcd{BACK}xy\rand{LEFT}{BACK}")
        settles(screen="ChatScreen", texts=["ad"], calls=[prompt("abcxy", "zoe", "q1")])
        press(f"{HOME}b{CTRL_B}nl{TAB}{TAB}tea\rtwo\r{ESC}")
        settles(screen="DashboardScreen", calls=[prompt("two", "operator", "tea", "lookup")])

        # Confirmations: y and n, the arrows, and a word that must be typed.
        press(f"1gKnKyDyp{RIGHT}\r")
        settles(screen="DashboardScreen", calls=["kill admin", "drain admin", "pause admin"])
        press(":kill all\raxl" + f"{LEFT}{BACK}l\r")
        settles(screen="DashboardScreen", calls=["kill"] * 4)

        # Lines: scale, the command line, the filter.
        press(f"s{BACK}7\r:scale helpdesk 9{BACK}8\r")
        settles(screen="DashboardScreen", calls=["scale admin 7", "scale helpdesk 8"])
        press(f"/zzz{BACK}{BACK}{BACK}dora\r\rhello\r{ESC}{ESC}")
        settles(screen="DashboardScreen", calls=[prompt("hello", "dora", "vpn")])

        # Reading: help, describe, host; each closes for the next.
        press(f"?jj{ESC}djk{ESC}Hq?q:{ESC}/adm{ESC}")
        settles(screen="DashboardScreen", texts=[""])

        # Quitting, and the palette in front of it.
        press(f"{CTRL_Q}n{CTRL_Q}{RIGHT}{LEFT}\r{CTRL_P}{ESC}{CTRL_Q}{ESC}")
        settles(screen="DashboardScreen")


def test_a_burst_reaches_the_question_that_was_on_the_screen(tmp_path: Path) -> None:
    with staged("asking", tmp_path) as terminal:
        press, settles = terminal.press, terminal.settles
        press("ii")
        settles(screen="ChatScreen", focused="PermissionCard")
        press(f"jkd{BACK}not no{BACK}ow\rthen{BACK}")
        settles(screen="ChatScreen", texts=["the"], calls=["answer q-1 Deny(reason='not now'"])
        press(f"{F9}n{F9}y{CTRL_F}abc{BACK}\rm{F2}{ESC}{F1}{ESC}s{ESC}{ESC}")
        settles(screen="DashboardScreen", calls=["interrupt admin/rita/rotate-keys t-31"])


def test_nothing_of_a_paste_acts_as_a_key(tmp_path: Path) -> None:
    """It holds escapes, line ends, letters of answers and controls, and comes in pieces; fields of one line take it on
    one line and do not submit it."""
    text = "one \x1b[31mred\x1b[0m line\r\nsecond\rthird\x11\x02\r"
    clean = "one red line\nsecond\nthird\n"
    with staged("asking", tmp_path) as terminal:
        press, settles = terminal.press, terminal.settles
        press(f"ii\x1b[200~{text}\x1b[201~{ESC}")
        settles(screen="ChatScreen", focused="prompt", texts=[""])
        for piece in ("x\x1b", "[200", f"~{text[:6]}", text[6:9], f"{text[9:]}\x1b", "[201~y"):
            press(piece)
        settles(screen="ChatScreen", texts=[f"x{clean}y"])
        press(f"\r{ESC}")
        settles(
            screen="DashboardScreen", calls=[prompt(f"x{clean}y".replace("\n", "\\n"), "rita", "rotate-keys", "admin")]
        )
        one_line = "one red line second third"
        for opens in ("/", ":", f"n{TAB}"):
            press(f"{opens}\x1b[200~{text}\x1b[201~")
            terminal.until(
                lambda: any(each.endswith(one_line) for each in terminal.said["texts"]), "the paste in its field"
            )
            press(f"{ESC}{ESC}")
            settles(screen="DashboardScreen")
        press("\x1b[200~qx\x11D\r")
        terminal.is_told("a paste did not end")
        press("?")
        settles(screen="HelpScreen")


@pytest.mark.far
def test_nothing_typed_into_a_conversation_answers_whatever_arrives_and_no_word_is_lost(tmp_path: Path) -> None:
    """Questions, choices and interrupted turns come in the middle of words, and go again."""
    with staged("busy", tmp_path) as terminal:
        press, settles = terminal.press, terminal.settles
        press("/rotate\r\r")
        settles(screen="ChatScreen", focused="prompt")
        arrivals = ("permission", "choice", "offer", "goes")
        for number, words in enumerate(("All right, next", "and then", "y", "a", "A", "1", "dRZ", "no, 2 of them")):
            terminal.arrive(arrivals[number % 4], arrivals[number // 4])
            press(words[:1])
            if number % 2:
                terminal.has_arrived()
            press(f"{words[1:]}\r")
            terminal.has_arrived()
            settles(screen="ChatScreen", focused="prompt", texts=[""],
                    calls=[prompt(words, "rita", "rotate-keys", "admin")])  # fmt: skip

        # A refusal gives the words back; the engine is told them when they are sent again.
        terminal.arrive("refuse")
        terminal.has_arrived()
        press("keep me\r")
        settles(texts=["keep me"], calls=[])
        press("\r")
        settles(texts=[""], calls=[prompt("keep me", "rita", "rotate-keys", "admin")])

        # On the whole screen a question takes its own letters only, and none when it is gone.
        terminal.arrive("goes", "permission")
        terminal.has_arrived()
        terminal.wait_for("May Bash run?")
        press(f"{F4}\r")
        settles(screen="QuestionScreen")
        press("xyz1")
        settles(screen="QuestionScreen", calls=[])
        terminal.arrive("goes")
        settles(screen="QuestionScreen", questions=0)
        press("a")
        settles(screen="ChatScreen", focused="prompt", texts=[""], calls=[])
        terminal.is_told("nothing was answered")

        # Two panes: what arrives in one changes nothing for words that go to the other.
        press(f"{ESC}{ESC}/dora\r\r{F7}")
        settles(screen="ChatScreen", texts=["", ""])
        terminal.arrive("permission", "offer", "choice")
        press(f"and\rdo{F6}all\rA{F6}ne\r")
        terminal.has_arrived()
        settles(
            screen="ChatScreen",
            calls=[prompt("and", "dora", "vpn"), prompt("all", "rita", "rotate-keys", "admin"),
                   prompt("done", "dora", "vpn")],
        )  # fmt: skip
        assert sorted(terminal.said["texts"]) == ["", "A"]
