"""Rows for the stage, and the scenes made of them: a working day, and what an agent may ask."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from supervisor import (
    Archetype,
    ChoiceItem,
    ClientRow,
    InstanceRow,
    InstanceState,
    Limit,
    PoolStatistics,
    Question,
    QuestionKind,
    SessionKey,
    SessionRow,
    SessionState,
    SlotState,
    Source,
    Usage,
    WaitingTurn,
    WhyWaiting,
)
from supervisor.conversation import Conversation
from tests.tui.stage_engine import MB, NOW, StageEngine


def instance(name: str, **changes: Any) -> InstanceRow:
    row = InstanceRow(
        name=name,
        description=f"the {name}",
        archetype=Archetype.SERVICE,
        state=InstanceState.RUNNING,
        note="",
        pool=PoolStatistics(max_clients=3),
        max_sessions=3,
        sessions=0,
        active_sessions=0,
        waiting=0,
        oldest_waiting_at=None,
        waiting_trend=(),
        memory_bytes=0,
        first_token_p50=None,
        questions=0,
        failed=0,
    )
    return replace(row, **changes)


def session(key: SessionKey, **changes: Any) -> SessionRow:
    row = SessionRow(
        key=key,
        state=SessionState.IDLE,
        why=None,
        waiting=(),
        turn_id="",
        turn_started_at=None,
        turns=3,
        usage=Usage(2100, 900, 14_000, 0.043),
        memory_bytes=0,
        created_at=NOW - 3000,
        last_activity_at=NOW - 90,
        client_id="",
        session_uuid="0b8e3c1e-6f0d-4b7e-9f30-6d3a1f1c7d10",
        questions=(),
        note="",
    )
    return replace(row, **changes)


def client(client_id: str, key: SessionKey | None, **changes: Any) -> ClientRow:
    row = ClientRow(
        id=client_id,
        instance=client_id.rpartition("-")[0],
        pid=4000 + sum(map(ord, client_id)),
        state=SlotState.READY,
        key=key,
        memory_bytes=212 * MB,
        memory_trend=(210, 211, 212, 211, 212, 212, 211, 212),
        processes=2,
        cpu_percent=0.4,
        started_at=NOW - 900,
        turns=3,
        last_event_at=NOW - 4,
        tool="",
        tool_started_at=None,
        note="",
    )
    return replace(row, **changes)


def waiting(position: int, why: WhyWaiting, age: float, text: str, source: Source = Source.CALLER) -> WaitingTurn:
    return WaitingTurn(f"w-{position}-{age:.0f}", text, source, NOW - age, why, position)


ANA = SessionKey("helpdesk", "ana", "ticket-4711")
BEN = SessionKey("helpdesk", "ben", "ticket-4712")
CARO = SessionKey("helpdesk", "caro", "printer")
DORA = SessionKey("helpdesk", "dora", "vpn")
EMIL = SessionKey("helpdesk", "emil", "onboarding")
ROOT = SessionKey("admin", "rita", "rotate-keys")
MIRA = SessionKey("admin", "mira", "backup-report")
CLERK = SessionKey("clerk", "clerk", "desk")
LOOKUP = SessionKey("lookup", "ben", "call-88")

PERMISSION = Question(
    id="q-1",
    kind=QuestionKind.PERMISSION,
    key=ROOT,
    turn_id="t-31",
    client_id="admin-2",
    tool="Bash",
    summary="systemctl restart vault && vault operator unseal",
    detail="command: systemctl restart vault && vault operator unseal\n"
    "description: Restart the vault and unseal it\ntimeout: 120000",
    asked_at=NOW - 48,
    expires_at=NOW + 252,
    always='Bash: systemctl restart vault && vault operator unseal {"timeout": 120000}',
)

CHOICE = Question(
    id="q-2",
    kind=QuestionKind.CHOICE,
    key=EMIL,
    turn_id="t-40",
    client_id="helpdesk-4",
    tool="AskUserQuestion",
    summary="Which laptop should the new colleague get?",
    detail="{}",
    asked_at=NOW - 12,
    expires_at=NOW + 288,
    choices=(
        ChoiceItem(
            "Which laptop should the new colleague get?",
            "Laptop",
            (("Standard", "14 inch, in stock"), ("Developer", "16 inch, two weeks"), ("None", "brings their own")),
        ),
        ChoiceItem(
            "Which groups?", "Groups", (("staff", "everybody"), ("vpn", "remote work"), ("git", "code")), multiple=True
        ),
    ),
)


def empty() -> StageEngine:
    """Four instances, nobody has called yet."""
    stage = StageEngine()
    spare = PoolStatistics(spare=1, max_clients=3)
    stage.put(
        instance("helpdesk", pool=spare, memory_bytes=182 * MB, description="Answers staff questions"),
        instance("admin", pool=PoolStatistics(max_clients=2), max_sessions=2, description="Keeps the machines"),
        instance("clerk", archetype=Archetype.EMPLOYEE, pool=PoolStatistics(max_clients=1), max_sessions=1,
                 description="One colleague, one task after the other"),
        instance("lookup", archetype=Archetype.TOOL, pool=PoolStatistics(max_clients=1), max_sessions=1,
                 description="Answers one lookup"),
        client("helpdesk-1", None, memory_bytes=182 * MB, turns=0),
    )  # fmt: skip
    return stage


def busy() -> StageEngine:
    """A working morning: turns run, some wait, one client is being started."""
    stage = StageEngine()
    trend = (0, 0, 1, 1, 2, 3, 3, 2, 2, 3, 4, 4, 3, 2, 2, 3)
    stage.put(
        instance(
            "helpdesk", description="Answers staff questions", sessions=5, active_sessions=2, waiting=3,
            pool=PoolStatistics(busy=2, idle=1, spare=1, starting=1, max_clients=5, hot=41, adopted=9, cold=4),
            max_sessions=5, oldest_waiting_at=NOW - 42, waiting_trend=trend, memory_bytes=1_024 * MB,
            first_token_p50=0.84, limit=Limit("maxClients", 5, 5),
        ),
        instance(
            "admin", description="Keeps the machines", sessions=2, active_sessions=1, max_sessions=2,
            pool=PoolStatistics(busy=1, max_clients=2, hot=3, cold=2), memory_bytes=388 * MB, first_token_p50=1.62,
        ),
        instance(
            "clerk", archetype=Archetype.EMPLOYEE, description="One colleague, one task after the other", sessions=1,
            active_sessions=1, waiting=2, pool=PoolStatistics(busy=1, max_clients=1, hot=17, cold=1), max_sessions=1,
            oldest_waiting_at=NOW - 8, waiting_trend=(0, 1, 1, 2, 2), memory_bytes=240 * MB, first_token_p50=1.1,
        ),
        instance(
            "lookup", archetype=Archetype.TOOL, description="Answers one lookup", sessions=1,
            pool=PoolStatistics(spare=1, max_clients=1, adopted=88), max_sessions=1, memory_bytes=171 * MB,
            first_token_p50=0.61,
        ),
        session(ANA, state=SessionState.WORKING, turn_id="t-12", turn_started_at=NOW - 14, client_id="helpdesk-3",
                memory_bytes=412 * MB, turns=14, last_activity_at=NOW - 1, usage=Usage(18_400, 5_200, 90_000, 0.42),
                about="My VPN drops every ten minutes", latest="Its clock is 248 s behind; I switch on time"),
        session(BEN, state=SessionState.WORKING, turn_id="t-13", turn_started_at=NOW - 5, client_id="helpdesk-4",
                memory_bytes=231 * MB, last_activity_at=NOW - 2, why=WhyWaiting.SESSION_BUSY,
                waiting=(waiting(1, WhyWaiting.SESSION_BUSY, 3, "and please also reset my calendar"),)),
        session(CARO, state=SessionState.WAITING, why=WhyWaiting.NO_SLOT, turns=1, last_activity_at=NOW - 42,
                waiting=(waiting(1, WhyWaiting.NO_SLOT, 42, "The printer on floor 3 blinks red"),
                         waiting(2, WhyWaiting.SESSION_BUSY, 20, "It says PC LOAD LETTER"))),
        session(DORA, state=SessionState.IDLE, client_id="helpdesk-5", memory_bytes=199 * MB,
                last_activity_at=NOW - 190, about="How do I get into the VPN from abroad?",
                latest="The certificate is valid until March."),
        session(EMIL, state=SessionState.HIBERNATED, turns=8, last_activity_at=NOW - 7300,
                about="A new colleague begins on Monday", latest="Everything is ordered."),
        session(ROOT, state=SessionState.WORKING, turn_id="t-31", turn_started_at=NOW - 66, client_id="admin-2",
                memory_bytes=388 * MB, turns=4, last_activity_at=NOW - 3, usage=Usage(40_100, 9_000, 200_000, 1.27),
                about="Rotate the keys of the vault and tell me who still uses the old ones"),
        session(MIRA, state=SessionState.HIBERNATED, turns=2, last_activity_at=NOW - 86_400),
        session(CLERK, state=SessionState.WORKING, turn_id="t-50", turn_started_at=NOW - 9, client_id="clerk-1",
                memory_bytes=240 * MB, turns=17, last_activity_at=NOW - 1, why=WhyWaiting.SESSION_BUSY,
                waiting=(waiting(1, WhyWaiting.SESSION_BUSY, 8, "File the March invoices"),
                         waiting(2, WhyWaiting.SESSION_BUSY, 6, "Write to the landlord"))),
        session(LOOKUP, state=SessionState.HIBERNATED, turns=1, last_activity_at=NOW - 31,
                usage=Usage(800, 120, 0, 0.004)),
        client("helpdesk-3", ANA, state=SlotState.BUSY, memory_bytes=412 * MB, cpu_percent=38, turns=14,
               tool="Bash", tool_started_at=NOW - 6, processes=4,
               memory_trend=(210, 215, 230, 260, 300, 350, 390, 412)),
        client("helpdesk-4", BEN, state=SlotState.BUSY, memory_bytes=231 * MB, cpu_percent=6),
        client("helpdesk-5", DORA, memory_bytes=199 * MB),
        client("helpdesk-6", None, memory_bytes=182 * MB, turns=0, started_at=NOW - 61),
        client("helpdesk-7", None, state=SlotState.STARTING, memory_bytes=64 * MB, turns=0, cpu_percent=97,
               started_at=NOW - 1, memory_trend=(20, 64)),
        client("admin-2", ROOT, state=SlotState.BUSY, memory_bytes=388 * MB, cpu_percent=12, tool="Read",
               tool_started_at=NOW - 1),
        client("clerk-1", CLERK, state=SlotState.BUSY, memory_bytes=240 * MB, cpu_percent=3, turns=17,
               started_at=NOW - 7200),
        client("lookup-9", None, memory_bytes=171 * MB, turns=0, started_at=NOW - 30),
    )  # fmt: skip
    return stage


def asking() -> StageEngine:
    """Two agents ask: one for permission, one for a choice."""
    stage = busy()
    stage.put(
        PERMISSION,
        CHOICE,
        replace(stage.sessions[ROOT], state=SessionState.ASKING, questions=("q-1",)),
        replace(stage.clients["admin-2"], state=SlotState.ASKING),
        replace(stage.sessions[EMIL], state=SessionState.ASKING, questions=("q-2",), turn_id="t-40",
                turn_started_at=NOW - 30, client_id="helpdesk-6", memory_bytes=182 * MB, last_activity_at=NOW - 12),
        replace(stage.clients["helpdesk-6"], key=EMIL, state=SlotState.ASKING, turns=1),
        replace(stage.instances["admin"], questions=1,
                pool=replace(stage.instances["admin"].pool, busy=0, asking=1)),
        replace(stage.instances["helpdesk"], questions=1,
                pool=replace(stage.instances["helpdesk"].pool, spare=0, asking=1)),
    )  # fmt: skip
    stage.conversations[ROOT] = Conversation()
    stage.conversations[EMIL] = Conversation()
    return stage


def resting() -> StageEngine:
    """Most of the helpdesk sleeps: the client of a session and a spare. One wakes for a turn; another turn waits."""
    stage = busy()
    asleep: dict[str, Any]
    asleep = {"state": SlotState.DORMANT, "memory_bytes": 9 * MB, "swap_bytes": 34 * MB, "cpu_percent": 0.0,
              "memory_trend": (199, 199, 199, 199, 199, 9, 9, 9), "last_event_at": NOW - 250}  # fmt: skip
    wakes = SlotState.WAKING
    stage.put(
        replace(stage.clients["helpdesk-4"], state=wakes, awake_bytes=188 * MB, swap_bytes=31 * MB, cpu_percent=71),
        replace(stage.clients["helpdesk-5"], **asleep, dormant_since=NOW - 245, awake_bytes=199 * MB,
                wake_seconds=0.19),
        replace(stage.clients["helpdesk-6"], **asleep, dormant_since=NOW - 3605, awake_bytes=182 * MB),
        replace(stage.clients["lookup-9"], **asleep, dormant_since=NOW - 61, awake_bytes=171 * MB),
        replace(stage.sessions[BEN], turn_started_at=NOW, waiting=(), why=None),
        replace(stage.sessions[DORA], state=SessionState.DORMANT, memory_bytes=9 * MB),
        replace(stage.sessions[CARO], why=WhyWaiting.WAKING, waiting=(
            waiting(1, WhyWaiting.WAKING, 0.2, "The printer on floor 3 blinks red"),)),
        replace(stage.instances["helpdesk"], pool=replace(stage.instances["helpdesk"].pool, busy=1, idle=0, spare=0,
                dormant=2, waking=1, woken=31)),
        replace(stage.instances["lookup"], pool=replace(stage.instances["lookup"].pool, spare=0, dormant=1)),
    )  # fmt: skip
    stage.put_host(dormant=3, swap_bytes=133 * MB, swap_budget=4_000 * MB)
    stage.live_limits = {"helpdesk": {"pool.dormantAfter": "60s", "pool.idleTtl": "4h"},
                         "": {"memory_budget": "8.0G", "wake_timeout": "10s", "dormant_budget": "50%"}}  # fmt: skip
    return stage


def draining() -> StageEngine:
    """The helpdesk is being emptied; one client is on its way out."""
    stage = busy()
    stage.put(
        replace(stage.instances["helpdesk"], state=InstanceState.DRAINING, note="2 turns running, 22 s left",
                pool=replace(stage.instances["helpdesk"].pool, idle=0, spare=0, starting=0, closing=1)),
        replace(stage.sessions[CARO], why=WhyWaiting.DRAINING,
                waiting=(waiting(1, WhyWaiting.DRAINING, 42, "The printer on floor 3 blinks red"),)),
        replace(stage.instances["admin"], state=InstanceState.PAUSED),
        replace(stage.clients["helpdesk-5"], state=SlotState.CLOSING, note="disconnect"),
        replace(stage.sessions[DORA], state=SessionState.HIBERNATED, client_id="", memory_bytes=0),
    )  # fmt: skip
    return stage


def failed() -> StageEngine:
    """A turn ended badly, and the lookup pool has parked itself."""
    stage = busy()
    stage.put(
        replace(stage.sessions[DORA], state=SessionState.FAILED, client_id="", memory_bytes=0,
                note="crashed-in-turn: the process ended with signal 9 (out of memory?)"),
        replace(stage.instances["helpdesk"], failed=1),
        replace(stage.instances["lookup"], state=InstanceState.PARKED, note="rate-limit: resumes at 14:05, in 3 min",
                failed=1),
    )  # fmt: skip
    return stage
