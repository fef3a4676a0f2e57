"""Asks before a turn that a restart interrupted is sent again, or left as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from supervisor import Offer, Refused
from tui import consequences
from tui.acceptance import follow
from tui.consequences import Consequence
from tui.operations import Operations
from tui.screens.confirm import ConfirmScreen


def ask_replay(app: App[Any], operations: Operations, offer: Offer) -> None:
    def replay() -> str:
        follow(app, operations.replay(offer.key))
        return f"{offer.key}: the interrupted turn is sent again"

    _ask(app, consequences.of_replay(offer), replay)


def ask_drop(app: App[Any], operations: Operations, offer: Offer) -> None:
    _ask(app, consequences.of_drop(offer), lambda: operations.drop_offer(offer.key))


def _ask(app: App[Any], consequence: Consequence, act: Callable[[], str]) -> None:
    def decided(answer: bool | None) -> None:
        if answer is not True:
            return
        try:
            app.notify(act(), markup=False, timeout=4)
        except Refused as error:
            app.notify(str(error), severity="warning", markup=False)

    app.push_screen(ConfirmScreen(consequence), decided)
