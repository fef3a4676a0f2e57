"""Every picture of the dashboard, at the three sizes it is made for (D5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from supervisor import (
    ActionTaken,
    ClientDormant,
    ClientWoken,
    Done,
    SessionOpened,
    SessionState,
    SlotState,
    Source,
    TurnFinished,
    TurnQueued,
    TurnStarted,
    Usage,
    WhyWaiting,
)
from supervisor.api.entries import Asked, Replied, ToolCalled, ToolReturned, TurnEnded
from supervisor.conversation import Conversation
from tests.tui import stage, troubles
from tests.tui.conftest import Draw
from tests.tui.stage import ANA, BEN, DORA, EMIL, ROOT
from tests.tui.stage_engine import MB, NOW, StageEngine
from tui.app import BullpenApp

SIZES = [(80, 24), (120, 36), (200, 50)]

pytestmark = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")

Size = tuple[int, int]


def streaming() -> StageEngine:
    """Ana's conversation: a past turn, and one whose reply is being written."""
    engine = stage.busy()
    talk = engine.conversations[ANA] = Conversation()
    past, now = {"turn_id": "t-11"}, {"turn_id": "t-12"}
    talk.append(Asked(at=NOW - 400, text="My VPN drops every ten minutes.", source=Source.CALLER, user="ana", **past))
    talk.append(Replied(at=NOW - 396, text="Let me look at the gateway's log for your account.", **past))
    command = "journalctl -u openvpn --since today | grep ana"
    talk.append(ToolCalled(at=NOW - 395, tool_use_id="u1", tool="Bash", summary=command, detail="{}", **past))
    talk.append(ToolReturned(at=NOW - 393, tool_use_id="u1", text="09:02 ana TLS key failed", is_error=False, **past))
    talk.append(
        Replied(
            at=NOW - 390,
            text="## What I found\n\nYour client fails every **ten minutes**: its clock is behind.\n\n"
            "1. Open *Settings › Time*\n2. Switch it on\n\n```sh\nsudo timedatectl set-ntp true\n```\n",
            **past,
        )
    )
    talk.append(TurnEnded(at=NOW - 389, outcome=Done("", Usage(2000, 300, 0, 0.03), 11.0), **past))
    talk.append(Asked(at=NOW - 14, text="Can you do it for me?", source=Source.OPERATOR, user="ana", **now))
    talk.append(ToolCalled(at=NOW - 6, tool_use_id="u2", tool="Bash", summary="timedatectl status", detail="{}", **now))
    talk.stream("I can reach your laptop. Its clock is **248 s** behind; I switch on time synchroni", "t-12")
    queued = (stage.waiting(1, WhyWaiting.SESSION_BUSY, 4, "And tell me when it is done"),)
    engine.put(replace(engine.sessions[ANA], waiting=queued, why=WhyWaiting.SESSION_BUSY))
    return engine


def a_morning(engine: StageEngine) -> Callable[[BullpenApp], None]:
    """Lets a few things happen, so that the event line has something to say."""

    def happen(app: BullpenApp) -> None:
        ana = {"instance": "helpdesk", "user": "ana", "session": "ticket-4711"}
        engine.happen(
            SessionOpened(at=NOW - 60, **ana),
            TurnQueued(at=NOW - 42, turn="t-12", source=Source.CALLER, **ana),
            TurnStarted(at=NOW - 14, turn="t-12", waited=0.01, acquisition="hot", **ana),
            TurnFinished(at=NOW - 9, turn="t-12", outcome=Done("", Usage(900, 200, 0, 0.02), 4.2), **ana),
        )

    return happen


def with_a_past(engine: StageEngine) -> StageEngine:
    engine.past_events = (
        TurnFinished(at=NOW - 90_000, turn="t-1", outcome=Done("", Usage(900, 200, 0, 0.02), 4.2), instance="helpdesk",
                     user="dora", session="vpn"),
        ActionTaken(at=NOW - 80_000, verb="scale", detail="5", instance="helpdesk"),
    )  # fmt: skip
    return engine


MARK_THREE = ["home", "space", "space", "space"]


def test_confirm_marked(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=[*MARK_THREE, "x"])


def test_broadcast(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=[*MARK_THREE, "B", *"Stop, please"])


def test_event_log(looks_as_before: Draw, size: Size) -> None:
    engine = with_a_past(stage.busy())
    looks_as_before(engine, size, press=["l", "up"], before=a_morning(engine))


def test_zoomed(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["3", "z"])


def test_filtered(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["M", "/", *"admin", "enter"])


def test_completion(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=[":", *"open help", "tab", "tab"])


def test_preview(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(streaming(), size, press=["home", "down", "down", "wait:300"])  # it follows when the cursor rests


def test_empty(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.empty(), size)


def test_busy(looks_as_before: Draw, size: Size) -> None:
    engine = stage.busy()
    looks_as_before(engine, size, before=a_morning(engine))


def test_asking(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.asking(), size)


def test_resting(looks_as_before: Draw, size: Size) -> None:
    """Dormant clients beside hot and hibernated ones, and one that wakes."""
    engine = stage.resting()

    def happen(app: BullpenApp) -> None:
        dora = {"instance": "helpdesk", "user": "dora", "session": "vpn"}
        engine.happen(
            ClientWoken(at=NOW - 300, slept=410.0, seconds=0.19, client="helpdesk-5", **dora),
            ClientDormant(at=NOW - 245, before=199 * MB, after=9 * MB, client="helpdesk-5", **dora),
        )

    looks_as_before(engine, size, press=["3"], before=happen)


def test_describe_dormant(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.resting(), size, press=["3", "down", "down", "down", "down", "d"])


def test_draining(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.draining(), size)


def test_one_failed(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.failed(), size)


def test_aftermath(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.aftermath(), size, press=["4", "down", "down"])


def test_stalled(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.stalled(), size)


def test_parked(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.parked(), size)


def test_full_disk(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.full_disk(), size)


def test_clients_pane(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["3"])


def test_chat_streaming(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(streaming(), size, before=lambda app: app.screen.open_chat(ANA))


def test_chat_permission(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.asking(), size, press=["f4"], before=lambda app: app.screen.open_chat(ROOT))


def test_chat_choice(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.asking(), size, press=["f4", "down"], before=lambda app: app.screen.open_chat(EMIL))


def test_chat_interrupted(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.aftermath(), size, before=lambda app: app.screen.open_chat(ANA))


def several() -> StageEngine:
    """Ana's reply is being written; an administrator asks; Ben's and Dora's conversations are short."""
    engine = streaming()
    engine.put(
        stage.PERMISSION,
        replace(engine.sessions[ROOT], state=SessionState.ASKING, questions=("q-1",)),
        replace(engine.clients["admin-2"], state=SlotState.ASKING),
    )
    for key, text in ((BEN, "Your calendar is **reset**."), (DORA, "The tunnel is up again."), (ROOT, "I rotate.")):
        talk = engine.conversations[key] = Conversation()
        talk.append(Asked(at=NOW - 90, turn_id="t-2", text="Please look.", source=Source.CALLER, user=key.user))
        talk.append(Replied(at=NOW - 60, turn_id="t-2", text=text))
    return engine


def test_chat_panes(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(several(), size, before=lambda app: app.open_chats([ANA, BEN, ROOT, DORA]))


def test_chat_panes_with_a_focused_card(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(several(), size, press=["f4"], before=lambda app: app.open_chats([ROOT, ANA, BEN]))


def test_chat_tabs_with_news(looks_as_before: Draw, size: Size) -> None:
    """Out of sight: a question, a failure, new replies; another session waits that is not open."""
    engine = several()

    def before(app: BullpenApp) -> None:
        for key in (DORA, BEN, ROOT, ANA):
            app.open_chats([key])
            app.flush()
        engine.put(
            replace(engine.sessions[DORA], turns=engine.sessions[DORA].turns + 2),
            replace(engine.sessions[BEN], state=SessionState.FAILED, turns=99),
            stage.CHOICE,
            replace(engine.sessions[EMIL], state=SessionState.ASKING, questions=("q-2",)),
        )

    looks_as_before(engine, size, before=before)


def test_chat_found(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(
        streaming(), size, press=["ctrl+f", *"time", "enter", "f3"], before=lambda app: app.open_chats([ANA])
    )


def test_chat_plain_text(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(streaming(), size, press=["f12"], before=lambda app: app.open_chats([ANA]))


def test_help(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["question_mark"])


def test_confirm(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["1", "down", "down", "K"])


def test_new_chat(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["n", "c", "tab", *"zoe"])


def test_describe(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["d"])


def test_describe_instance(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.parked(), size, press=["1", "down", "down", "d"])


def test_describe_host(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.full_disk(), size, press=["H"])


def test_confirm_replay(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.aftermath(), size, press=["4", "down", "down", "R"])


def test_command(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(troubles.parked(), size, press=[":", *"set helpdesk.maxClients"])


def test_quit(looks_as_before: Draw, size: Size) -> None:
    looks_as_before(stage.busy(), size, press=["ctrl+q"])
