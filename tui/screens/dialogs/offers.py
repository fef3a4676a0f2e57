"""Asks before a turn that a restart interrupted is sent again, or left as it is."""

from __future__ import annotations

from typing import Any

from textual.app import App

from supervisor import Offer
from tui.engine_link.acceptance import follow
from tui.operator import consequences
from tui.operator.app import app_of
from tui.operator.operations import Operations
from tui.screens.dialogs.confirm import ask_first


def ask_replay(app: App[Any], operations: Operations, offer: Offer) -> None:
    async def replay() -> str:
        follow(app, await operations.replay(offer.key))
        return f"{offer.key}: the interrupted turn is sent again"

    ask_first(app, consequences.of_replay(offer), lambda: app_of(app).verbs.attempt(replay))


def ask_drop(app: App[Any], operations: Operations, offer: Offer) -> None:
    verbs = app_of(app).verbs
    ask_first(app, consequences.of_drop(offer), lambda: verbs.attempt(lambda: operations.drop_offer(offer.key)))
