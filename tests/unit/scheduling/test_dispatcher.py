"""The dispatcher's cases, numbered as in its code, without a loop."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import FailureKind
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import InstanceState, MemoryLevel, SlotState, WhyWaiting
from supervisor.clock import Clock
from supervisor.scheduling.dispatcher import (
    KEPT_FOR,
    Adopt,
    Begin,
    Decision,
    Evict,
    Open,
    OpenSpare,
    Outlook,
    Recycle,
    Roll,
    Scene,
    Wake,
    decide,
    explain,
    in_fair_order,
)
from supervisor.sessions.pool import Pool
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn
from tests.unit.scheduling.slots import add_slot


class Stage:
    """A pool of `cap` places and some sessions, put together line by line."""

    def __init__(self, cap: int = 2, *, spares: int = 0, max_sessions: int | None = None) -> None:
        self.pool = Pool(cap)
        self.sessions: list[Session] = []
        self.spares = spares
        self.max_sessions = max_sessions or cap
        self.state = InstanceState.RUNNING
        self.last_served: dict[str, int] = {}
        self.now = 0.0
        self.may_open = True
        self.is_over_budget = False
        self.wanted: dict[SessionKey | None, str] = {}
        """Digests that are not "same"."""
        self.may_roll = False
        self.successor: Session | None = None
        self._time = 0.0

    def slot(
        self,
        state: SlotState,
        session: Session | None = None,
        *,
        digest: str = "same",
        idle_since: float = 0.0,
        level: MemoryLevel = MemoryLevel.NORMAL,
    ) -> Slot:
        return add_slot(
            self.pool,
            state,
            session=session,
            is_spare=session is None,
            digest=digest,
            idle_since=idle_since,
            level=level,
        )

    def session(self, user: str, *prompts: str, session: str = "default", has_history: bool = False) -> Session:
        made = Session(SessionKey("desk", user, session), Clock())
        made.has_history = has_history
        for text in prompts:
            self.say(made, text)
        self.sessions.append(made)
        return made

    def say(self, session: Session, text: str) -> None:
        self._time += 1
        prompt = Prompt("desk", text, user=session.key.user)
        turn = Turn(text, text, session.key, prompt, session.conversation, at=self._time, is_recorded=True)
        turn.queued_steady = self._time
        session.mailbox.put(turn)

    @property
    def scene(self) -> Scene:
        return Scene(
            state=self.state,
            pool=self.pool,
            wanted=lambda session: self.wanted.get(session.key if session else None, "same"),
            max_sessions=self.max_sessions,
            ready=[session for session in self.sessions if session.mailbox.is_ready],
            now=self.now,
            may_open=self.may_open,
            is_over_budget=self.is_over_budget,
            spares_wanted=self.spares,
            may_roll=self.may_roll,
            successor=self.successor,
            last_served=self.last_served,
        )

    def decide(self) -> Decision | None:
        return decide(self.scene)


def test_1_a_pool_over_its_cap_gives_up_what_is_idle() -> None:
    stage = Stage(cap=1)
    stage.slot(SlotState.BUSY, stage.session("ana"))
    idle = stage.slot(SlotState.READY, stage.session("boris"))
    assert stage.decide() == Evict(idle)
    idle.move(SlotState.CLOSING)
    assert stage.decide() is None


def test_1_a_pool_that_is_just_full_gives_nothing_up() -> None:
    stage = Stage(cap=2)
    stage.slot(SlotState.READY, stage.session("ana"))
    stage.slot(SlotState.READY)
    assert stage.decide() is None


def test_1_a_pool_over_its_memory_budget_gives_up_what_is_idle_and_nothing_else() -> None:
    """S1.14"""
    stage = Stage(cap=3)
    stage.is_over_budget = True
    stage.slot(SlotState.BUSY, stage.session("ana"))
    stage.slot(SlotState.ASKING, stage.session("boris"))
    assert stage.decide() is None
    idle = stage.slot(SlotState.READY, stage.session("chen"))
    assert stage.decide() == Evict(idle)


@pytest.mark.parametrize("state", [InstanceState.RUNNING, InstanceState.PAUSED])
@pytest.mark.parametrize("prompts", [(), ("next",)])
def test_2_a_client_above_its_hard_ceiling_is_ended_when_it_is_free(
    state: InstanceState, prompts: tuple[str, ...]
) -> None:
    """Whether or not somebody waits, for it or for its place."""
    stage = Stage()
    stage.state = state
    heavy = stage.slot(SlotState.READY, stage.session("ana", *prompts), level=MemoryLevel.HARD)
    assert stage.decide() == Recycle(heavy)


@pytest.mark.parametrize("level", list(MemoryLevel))
@pytest.mark.parametrize("state", [SlotState.BUSY, SlotState.ASKING, SlotState.CLOSING])
def test_2_a_client_with_a_turn_is_left_alone_above_any_ceiling(state: SlotState, level: MemoryLevel) -> None:
    """S1.14; what panics is ended elsewhere (`ceilings`)."""
    stage = Stage()
    stage.slot(state, stage.session("ana"), level=level)
    assert stage.decide() is None


@pytest.mark.parametrize("state", [SlotState.RESERVED, SlotState.STARTING, SlotState.READY])
def test_3_no_turn_begins_on_a_client_with_options_that_are_not_wanted_any_more(state: SlotState) -> None:
    """S3.1-2: also while it is still on its way."""
    stage = Stage()
    stale = stage.slot(state, stage.session("ana", "next"), digest="older")
    assert stage.decide() == Roll(stale)


@pytest.mark.parametrize("state", [SlotState.BUSY, SlotState.ASKING, SlotState.CLOSING])
def test_3_a_client_with_a_turn_keeps_the_options_it_was_started_with(state: SlotState) -> None:
    """S3.1-2"""
    stage = Stage()
    stage.may_roll = True
    stage.slot(state, stage.session("ana", "next"), digest="older").is_stale = True
    assert stage.decide() is None


def test_3_what_is_wanted_is_asked_of_each_session() -> None:
    stage = Stage()
    ana, boris = stage.session("ana", "one"), stage.session("boris", "two")
    stage.slot(SlotState.READY, ana)
    warm = stage.slot(SlotState.READY, boris)
    stage.wanted[boris.key] = "another"
    assert stage.decide() == Begin(ana, stage.pool.get("desk-1"))  # type: ignore[arg-type]
    stage.wanted = {ana.key: "another"}
    assert stage.decide() == Roll(stage.pool.get("desk-1"))  # type: ignore[arg-type]
    stage.pool.get("desk-1").move(SlotState.CLOSING)  # type: ignore[union-attr]
    assert stage.decide() == Begin(boris, warm)


def test_4_no_turn_begins_on_a_client_above_its_soft_ceiling() -> None:
    stage = Stage()
    session = stage.session("ana", has_history=True)
    slot = stage.slot(SlotState.READY, session, level=MemoryLevel.SOFT)
    assert stage.decide() is None, "nobody wants it: it stays"
    stage.say(session, "hi")
    assert stage.decide() == Recycle(slot)
    slot.move(SlotState.CLOSING)
    assert stage.decide() is None
    session.slot = None
    assert stage.decide() == Open(session)


@pytest.mark.parametrize("level", list(MemoryLevel))
def test_4_a_client_that_has_not_worked_yet_is_used_however_heavy_it_is(level: MemoryLevel) -> None:
    """The next one would be no smaller: recycling it would go on for ever."""
    stage = Stage()
    session = stage.session("ana", "hi")
    slot = stage.slot(SlotState.READY, session, level=level)
    slot.turns = 0
    assert stage.decide() == Begin(session, slot)


def test_5_a_warm_client_of_its_own_is_used() -> None:
    stage = Stage()
    session = stage.session("ana", "hi", has_history=True)
    slot = stage.slot(SlotState.READY, session)
    assert stage.decide() == Begin(session, slot)


@pytest.mark.parametrize("state", [SlotState.RESERVED, SlotState.STARTING, SlotState.CLOSING])
def test_5_a_session_never_gets_a_second_client(state: SlotState) -> None:
    """S2.6: one writer per session, also while it starts and while it ends."""
    stage = Stage(cap=5)
    stage.slot(state, stage.session("ana", "hi"))
    assert stage.decide() is None


def test_5_a_warm_client_does_not_overtake_one_that_is_started_for_an_earlier_turn() -> None:
    stage = Stage(cap=3, max_sessions=1)
    stage.slot(SlotState.STARTING, stage.session("ana", "first"))
    warm = stage.slot(SlotState.READY, boris := stage.session("boris", "second"))
    stage.now = KEPT_FOR - 1
    assert stage.decide() is None
    stage.now = KEPT_FOR
    assert stage.decide() == Begin(boris, warm), "a start that hangs does not hold up all others"
    stage.now, stage.max_sessions = 0.0, 2
    assert stage.decide() == Begin(boris, warm), "only that one turn is kept"


def test_5_a_client_that_sleeps_is_not_woken_before_one_that_is_started_for_an_earlier_turn() -> None:
    stage = Stage(cap=3, max_sessions=1)
    stage.slot(SlotState.STARTING, stage.session("ana", "first"))
    asleep = stage.slot(SlotState.DORMANT, boris := stage.session("boris", "second"))
    stage.now = KEPT_FOR - 1
    assert stage.decide() is None
    stage.now = KEPT_FOR
    assert stage.decide() == Wake(boris, asleep), "a start that hangs does not hold up all others"
    stage.now, stage.max_sessions = 0.0, 2
    assert stage.decide() == Wake(boris, asleep), "only that one turn is kept"


def test_5_a_warm_client_that_comes_first_does_not_wait_for_one_that_is_started() -> None:
    stage = Stage(cap=3, max_sessions=1)
    warm = stage.slot(SlotState.READY, boris := stage.session("boris", "first"))
    stage.slot(SlotState.STARTING, stage.session("ana", "second"))
    assert stage.decide() == Begin(boris, warm)


def test_5_a_warm_client_does_not_overtake_one_for_whom_room_is_made() -> None:
    stage = Stage(cap=2, max_sessions=1)
    stage.session("ana", "first", has_history=True)
    warm = stage.slot(SlotState.READY, boris := stage.session("boris", "second"))
    idle = stage.slot(SlotState.READY, stage.session("chen"))
    assert stage.decide() == Evict(idle)
    idle.move(SlotState.CLOSING)
    assert stage.decide() is None
    stage.max_sessions = 2
    assert stage.decide() == Begin(boris, warm), "only that one turn is kept"


def test_6_a_new_session_adopts_a_spare_and_a_known_one_does_not() -> None:
    """S2.11"""
    stage = Stage(cap=3)
    spare = stage.slot(SlotState.READY)
    known = stage.session("ana", "again", has_history=True)
    assert stage.decide() == Open(known)
    new = stage.session("boris", "hi")
    known.mailbox.clear()
    assert stage.decide() == Adopt(new, spare)


def test_a_turn_that_waits_for_a_word_about_a_budget_says_so() -> None:
    session = Stage().session("ana", "dear")
    head = session.mailbox.head
    assert head is not None
    head.is_held = True
    assert explain(session, Outlook(InstanceState.RUNNING, 0.0)) is WhyWaiting.BUDGET


def test_6_no_spare_is_given_away_while_no_turn_may_run() -> None:
    stage = Stage(cap=3, max_sessions=1)
    spare = stage.slot(SlotState.READY)
    stage.slot(SlotState.BUSY, stage.session("ana"))
    new = stage.session("boris", "hi")
    assert stage.decide() is None
    stage.max_sessions = 2
    assert stage.decide() == Adopt(new, spare)


def test_6_a_spare_of_other_options_is_not_adopted() -> None:
    stage = Stage(cap=3)
    stage.slot(SlotState.READY, digest="other")
    new = stage.session("boris", "hi")
    assert stage.decide() == Open(new)


def test_6_a_spare_that_is_still_coming_is_better_than_a_second_start() -> None:
    stage = Stage(cap=3)
    coming = stage.slot(SlotState.STARTING)
    new = stage.session("boris", "hi")
    assert stage.decide() == Adopt(new, coming)


def test_6_the_spare_that_can_take_a_prompt_soonest_is_adopted() -> None:
    stage = Stage(cap=4)
    coming, asleep, awake = map(stage.slot, (SlotState.STARTING, SlotState.DORMANT, SlotState.READY))
    new = stage.session("boris", "hi")
    for best in (awake, asleep, coming):
        assert stage.decide() == Adopt(new, best)
        best.move(SlotState.CLOSING)


def test_6_a_session_that_backs_off_takes_no_spare_and_opens_no_client() -> None:
    """S1.18: another process would end as the last one did."""
    stage = Stage(cap=2)
    spare = stage.slot(SlotState.READY)
    held = stage.session("ana", "hello")
    held.backoff.fail(stage.now)
    assert stage.decide() is None
    other = stage.session("boris", "hello")
    assert stage.decide() == Adopt(other, spare)
    stage.now = held.backoff.until
    assert stage.decide() == Adopt(held, spare)


def test_7_room_is_used_before_anybody_is_evicted() -> None:
    stage = Stage(cap=2)
    stage.slot(SlotState.READY, stage.session("ana"))
    new = stage.session("boris", "hi")
    assert stage.decide() == Open(new)


def test_8_the_least_recently_used_idle_client_makes_room() -> None:
    stage = Stage(cap=2)
    stage.slot(SlotState.READY, stage.session("ana"), idle_since=20.0)
    oldest = stage.slot(SlotState.READY, stage.session("boris"), idle_since=10.0)
    stage.session("chen", "hi")
    assert stage.decide() == Evict(oldest)


def test_8_a_client_above_its_soft_ceiling_makes_room_before_any_other() -> None:
    stage = Stage(cap=3)
    stage.slot(SlotState.READY, idle_since=1.0)
    stage.slot(SlotState.READY, stage.session("ana"), idle_since=1.0)
    heavy = stage.slot(SlotState.READY, stage.session("boris"), idle_since=99.0, level=MemoryLevel.SOFT)
    stage.session("chen", "hi", has_history=True)
    assert stage.decide() == Evict(heavy)


def test_8_room_is_made_when_bytes_are_short_although_places_are_free() -> None:
    stage = Stage(cap=5)
    stage.may_open = False
    idle = stage.slot(SlotState.READY, stage.session("ana"))
    stage.session("chen", "hi")
    assert stage.decide() == Evict(idle)
    idle.move(SlotState.CLOSING)
    assert stage.decide() is None


def test_8_a_spare_makes_room_before_a_conversation_does() -> None:
    stage = Stage(cap=2)
    stage.slot(SlotState.READY, stage.session("ana"), idle_since=1.0)
    spare = stage.slot(SlotState.READY, idle_since=99.0)
    stage.session("chen", "hi", has_history=True)
    assert stage.decide() == Evict(spare)


def test_8_one_waiter_evicts_one_client_and_no_more() -> None:
    stage = Stage(cap=2)
    stage.slot(SlotState.CLOSING)
    stage.slot(SlotState.READY, stage.session("ana"))
    stage.session("chen", "hi")
    assert stage.decide() is None


@pytest.mark.parametrize("state", [SlotState.BUSY, SlotState.ASKING])
def test_8_busy_and_asking_clients_are_never_evicted(state: SlotState) -> None:
    """S1.14"""
    stage = Stage(cap=1, max_sessions=5)
    stage.slot(state, stage.session("ana"))
    stage.session("chen", "hi")
    assert stage.decide() is None


def test_8_an_idle_client_whose_session_has_a_prompt_waiting_is_not_evicted() -> None:
    stage = Stage(cap=1, max_sessions=1)
    waiting = stage.session("ana", "next", has_history=True)
    slot = stage.slot(SlotState.READY, waiting)
    stage.session("chen", "hi")
    assert stage.decide() == Begin(waiting, slot)


@pytest.mark.parametrize("turns", [0, 1])
def test_8_a_client_that_was_started_for_a_turn_runs_it_before_it_makes_room(turns: int) -> None:
    """One that has had its turn makes room for an earlier one; the start of one that has just come would be wasted."""
    stage = Stage(cap=1)
    boris = stage.session("boris", "b")
    slot = stage.slot(SlotState.READY, boris)
    slot.turns = turns
    stage.session("chiara", "c")
    stage.last_served = {"boris": 7}
    assert stage.decide() == (Evict(slot) if turns else Begin(boris, slot))


def test_10_spares_are_opened_when_nobody_waits() -> None:
    stage = Stage(cap=2, spares=1)
    assert stage.decide() == OpenSpare()
    stage.slot(SlotState.RESERVED)
    assert stage.decide() is None


def test_10_a_spare_on_its_way_out_is_none() -> None:
    stage = Stage(spares=1)
    spare = stage.slot(SlotState.READY)
    assert stage.decide() is None
    spare.move(SlotState.CLOSING)
    assert stage.decide() == OpenSpare()


def test_10_no_spare_takes_the_place_of_one_that_waits_for_a_turn() -> None:
    """Only the session that has a conversation: a new one takes the spare."""
    for has_history, step in ((True, None), (False, OpenSpare())):
        stage = Stage(cap=2, spares=1, max_sessions=1)
        stage.slot(SlotState.BUSY, stage.session("ana"))
        boris = stage.session("boris", "hello", has_history=has_history)
        assert stage.decide() == step
        boris.backoff.fail(0.0)
        assert stage.decide() == OpenSpare(), "one that backs off waits for something else"


def test_10_no_spare_takes_the_place_of_a_new_session_that_no_spare_serves() -> None:
    """Its provider or its model is another one, say."""
    stage = Stage(cap=2, spares=1, max_sessions=1)
    stage.slot(SlotState.BUSY, stage.session("ana"))
    boris = stage.session("boris", "hello")
    stage.wanted[boris.key] = "other"
    assert stage.decide() is None
    stage.wanted[None] = "other"
    assert stage.decide() == OpenSpare(), "the next spare serves it"


def test_10_no_spare_is_opened_when_bytes_are_short() -> None:
    stage = Stage(cap=2, spares=1)
    stage.may_open = False
    assert stage.decide() is None


def test_no_more_turns_run_than_allowed() -> None:
    """S1.4"""
    stage = Stage(cap=5, max_sessions=1)
    stage.slot(SlotState.BUSY, stage.session("ana"))
    stage.session("boris", "hi")
    assert stage.decide() is None


def test_a_turn_on_a_client_that_is_being_ended_counts_until_that_has_gone() -> None:
    """S1.4"""
    stage = Stage(cap=5, max_sessions=1)
    ana = stage.session("ana", "hello")
    leaving = stage.slot(SlotState.BUSY, ana)
    ana.begin()
    boris = stage.session("boris", "hi")
    for state in (SlotState.CLOSING, SlotState.GONE):
        leaving.move(state)
        assert stage.decide() is None
    stage.pool.remove(leaving)
    assert stage.decide() == Open(boris)


@pytest.mark.parametrize("state", sorted(set(InstanceState) - {InstanceState.RUNNING, InstanceState.DRAINING}))
def test_an_instance_that_does_not_run_starts_nothing(state: InstanceState) -> None:
    stage = Stage(spares=1)
    stage.slot(SlotState.READY, stage.session("ana", "hi"))
    stage.state = state
    assert stage.decide() is None


def test_a_draining_instance_runs_what_was_accepted_and_opens_no_spares() -> None:
    """S1.17"""
    stage = Stage(spares=1)
    stage.state = InstanceState.DRAINING
    assert stage.decide() is None
    session = stage.session("ana", "accepted")
    assert stage.decide() == Open(session)


def test_the_user_served_longest_ago_is_next_and_then_the_oldest_turn() -> None:
    stage = Stage(cap=1)
    crowd = [stage.session("ana", f"a{n}", session=f"s{n}") for n in range(3)]
    single = stage.session("boris", "b")
    stage.last_served = {"ana": 7}
    assert in_fair_order(stage.scene) == [single, *crowd]


def test_the_user_with_fewer_running_turns_is_next() -> None:
    stage = Stage(cap=3)
    stage.slot(SlotState.BUSY, stage.session("ana"))
    second = stage.session("ana", "a", session="two")
    other = stage.session("boris", "b")
    stage.last_served = {"boris": 9, "ana": 1}
    assert in_fair_order(stage.scene) == [other, second]


@pytest.mark.parametrize("first", ["ana", "boris"])
def test_a_client_on_its_way_to_the_session_itself_counts_for_nobody(first: str) -> None:
    """Else whoever has been given a client would stand behind whoever came later."""
    stage = Stage(cap=4)
    sessions = {user: stage.session(user, "hello") for user in (first, {"ana": "boris", "boris": "ana"}[first])}
    stage.slot(SlotState.STARTING, sessions["ana"])
    assert in_fair_order(stage.scene) == list(sessions.values())


def test_a_client_that_was_woken_ahead_of_a_prompt_counts_for_nobody_until_a_turn_is_on_its_way() -> None:
    """S2.26: who opens a chat has not been served yet."""
    stage = Stage(cap=4)
    opened = stage.session("ana")
    stage.slot(SlotState.WAKING, opened)
    order = [stage.session("ana", "first", session="two"), stage.session("boris", "second")]
    assert in_fair_order(stage.scene) == order
    stage.say(opened, "now")
    opened.begin()
    assert in_fair_order(stage.scene) == order[::-1]


def test_every_turn_of_a_user_counts_once_and_those_on_their_way_as_well() -> None:
    stage = Stage(cap=9)
    for user, count in (("ana", 2), ("boris", 1)):
        for number in range(count):
            stage.slot(SlotState.BUSY, stage.session(user, session=f"busy-{number}"))
    ana, boris = stage.session("ana", "hello"), stage.session("boris", "hello")
    stage.slot(SlotState.STARTING, boris)
    assert in_fair_order(stage.scene) == [boris, ana], "1 against 2: its own client does not count"
    stage.slot(SlotState.ASKING, stage.session("boris", session="asks"))
    assert in_fair_order(stage.scene) == [ana, boris], "2 against 2: the older turn"
    stage.slot(SlotState.READY, stage.session("ana", session="idle"))
    assert in_fair_order(stage.scene) == [ana, boris], "an idle client counts for nobody"


def test_the_operator_goes_before_the_callers() -> None:
    stage = Stage(cap=1)
    caller = stage.session("ana", "a")
    operator = stage.session("boris")
    turn = Turn(
        "t",
        "t",
        operator.key,
        Prompt("desk", "b", source=Source.OPERATOR),
        operator.conversation,
        at=9.0,
        is_recorded=True,
    )
    operator.mailbox.put(turn)
    assert in_fair_order(stage.scene) == [operator, caller]


@pytest.mark.parametrize(
    ("slot_state", "is_running", "state", "why"),
    [
        (SlotState.BUSY, True, InstanceState.RUNNING, WhyWaiting.SESSION_BUSY),
        (SlotState.ASKING, True, InstanceState.RUNNING, WhyWaiting.QUESTION),
        (SlotState.RESERVED, False, InstanceState.RUNNING, WhyWaiting.STARTING),
        (SlotState.STARTING, False, InstanceState.RUNNING, WhyWaiting.STARTING),
        (SlotState.CLOSING, False, InstanceState.RUNNING, WhyWaiting.STARTING),
        (SlotState.CLOSING, True, InstanceState.RUNNING, WhyWaiting.SESSION_BUSY),
        (SlotState.CLOSING, False, InstanceState.PAUSED, WhyWaiting.PAUSED),
        (SlotState.CLOSING, False, InstanceState.DRAINING, WhyWaiting.STARTING),
        (SlotState.READY, False, InstanceState.PAUSED, WhyWaiting.PAUSED),
        (SlotState.READY, False, InstanceState.PARKED, WhyWaiting.RATE_LIMIT),
        (SlotState.READY, False, InstanceState.DRAINING, WhyWaiting.DRAINING),
        (None, False, InstanceState.RUNNING, WhyWaiting.NO_SLOT),
    ],
)
def test_every_waiting_turn_knows_why(
    slot_state: SlotState | None, is_running: bool, state: InstanceState, why: WhyWaiting
) -> None:
    stage = Stage()
    session = stage.session("ana", "running", "waiting") if is_running else stage.session("ana", "waiting")
    if is_running:
        session.mailbox.begin()
    if slot_state is not None:
        stage.slot(slot_state, session)
    parked_for = FailureKind.RATE_LIMIT if state is InstanceState.PARKED else None
    assert explain(session, Outlook(state, 0.0, parked_for)) is why


def test_who_waits_for_bytes_is_told_so() -> None:
    session = Stage().session("ana", "waiting")
    assert explain(session, Outlook(InstanceState.RUNNING, 0.0, shortage=WhyWaiting.MEMORY)) is WhyWaiting.MEMORY
    assert explain(session, Outlook(InstanceState.RUNNING, 0.0, shortage=WhyWaiting.NO_SLOT)) is WhyWaiting.NO_SLOT
    assert explain(session, Outlook(InstanceState.PAUSED, 0.0, shortage=WhyWaiting.MEMORY)) is WhyWaiting.PAUSED


def test_what_keeps_every_turn_is_told_before_what_keeps_one() -> None:
    """The order in which reasons are looked at: what the operator has done, the provider, the disk, the session."""
    session = Stage().session("ana", "waiting")
    session.backoff.fail(0.0)
    parked = FailureKind.AUTHENTICATION

    def why(state: InstanceState = InstanceState.RUNNING, now: float = 0.0, **facts: Any) -> WhyWaiting | None:
        return explain(session, Outlook(state, now, **facts))

    assert why(InstanceState.PAUSED, parked_for=parked, is_recording=False) is WhyWaiting.PAUSED
    assert why(InstanceState.PARKED, parked_for=parked, is_recording=False) is WhyWaiting.PARKED
    assert why(parked_for=parked, is_recording=False) is WhyWaiting.DISK
    assert why(parked_for=parked) is WhyWaiting.BACKING_OFF
    assert why(parked_for=parked, now=session.backoff.until) is WhyWaiting.PARKED
    assert why(parked_for=FailureKind.RATE_LIMIT, now=session.backoff.until) is WhyWaiting.RATE_LIMIT
    assert why(InstanceState.DRAINING, now=session.backoff.until) is WhyWaiting.DRAINING
    assert why(shortage=WhyWaiting.MEMORY, now=session.backoff.until) is WhyWaiting.MEMORY


def test_a_turn_behind_one_that_the_agent_began_by_itself_is_told_so() -> None:
    stage = Stage()
    session = stage.session("ana", "waiting")
    stage.slot(SlotState.BUSY, session)
    prompt = Prompt("desk", "a timer", source=Source.AGENT)
    session.begin_own(Turn("own", "own", session.key, prompt, session.conversation, at=0.0))
    assert explain(session, Outlook(InstanceState.RUNNING, 0.0)) is WhyWaiting.SELF_BEGUN


def test_a_turn_whose_question_waits_without_a_client_waits_for_the_answer() -> None:
    session = Stage().session("ana", "waiting")
    assert session.mailbox.head is not None
    session.mailbox.head.is_detached = True
    assert explain(session, Outlook(InstanceState.PAUSED, 0.0)) is WhyWaiting.QUESTION


def test_nothing_waits_for_no_reason() -> None:
    assert explain(Stage().session("ana"), Outlook(InstanceState.RUNNING, 0.0)) is None


def test_a_pool_states_its_counts() -> None:
    stage = Stage(cap=6)
    stage.slot(SlotState.READY)
    stage.slot(SlotState.READY, stage.session("ana"))
    stage.slot(SlotState.ASKING, stage.session("boris"))
    stage.slot(SlotState.STARTING)
    assert repr(stage.pool) == "<Pool 4/6: 1 spare, 1 idle, 0 busy, 1 asking, 0 dormant, 0 waking, 1 coming, 0 closing>"


def test_a_client_that_was_killed_has_not_crashed() -> None:
    pool = Stage().pool
    pool.failures.update({FailureKind.KILLED: 2, FailureKind.CRASHED: 1})
    told = pool.statistics()
    assert (told.crashes, told.failures) == (1, ((FailureKind.KILLED, 2), (FailureKind.CRASHED, 1)))


def test_a_slot_cannot_skip_a_state_of_its_life() -> None:
    slot = Stage().slot(SlotState.RESERVED)
    with pytest.raises(AssertionError, match="cannot become busy"):
        slot.move(SlotState.BUSY)


def make_stale(slot: Slot) -> Slot:
    slot.is_stale = True
    return slot


def test_9_a_session_whose_idle_client_was_rolled_gets_another_one_before_spares_do() -> None:
    stage = Stage(spares=1)
    stage.successor = stage.session("ana", has_history=True)
    assert stage.decide() == Open(stage.successor)


def test_9_no_place_is_made_for_it() -> None:
    stage = Stage(cap=1)
    stage.slot(SlotState.READY, stage.session("boris"))
    stage.successor = stage.session("ana", has_history=True)
    assert stage.decide() is None
    stage = Stage()
    stage.may_open = False
    stage.successor = stage.session("ana", has_history=True)
    assert stage.decide() is None


def test_9_it_does_not_get_the_last_place_while_another_waits_for_one() -> None:
    stage = Stage(cap=2, max_sessions=1)
    stage.successor = stage.session("ana", has_history=True)
    stage.slot(SlotState.BUSY, stage.session("chen"))
    stage.session("boris", "hello", has_history=True)
    assert stage.decide() is None
    stage.pool.max_clients = 3
    assert stage.decide() == Open(stage.successor)


def test_11_stale_spares_are_replaced_first_and_then_who_has_been_idle_longest() -> None:
    """S3.1-2"""
    stage = Stage(cap=3, spares=1)
    late = make_stale(stage.slot(SlotState.READY, stage.session("ana"), digest="older", idle_since=2.0))
    early = make_stale(stage.slot(SlotState.READY, stage.session("boris"), digest="older", idle_since=1.0))
    spare = make_stale(stage.slot(SlotState.READY, digest="older", idle_since=3.0))
    assert stage.decide() is None, "the client that was rolled last is not replaced yet"
    stage.may_roll = True
    assert stage.decide() == Roll(spare)
    stage.pool.get(spare.id).move(SlotState.CLOSING)  # type: ignore[union-attr]
    stage.spares = 0
    assert stage.decide() == Roll(early)
    early.move(SlotState.CLOSING)
    assert stage.decide() == Roll(late)


@pytest.mark.parametrize("state", [one for one in InstanceState if one is not InstanceState.RUNNING])
def test_11_an_instance_that_opens_nothing_keeps_its_idle_clients(state: InstanceState) -> None:
    stage = Stage()
    stage.state, stage.may_roll = state, True
    make_stale(stage.slot(SlotState.READY, stage.session("ana"), digest="older"))
    assert stage.decide() is None


def test_11_nothing_idle_is_rolled_while_turns_wait_for_a_place() -> None:
    """The one that makes room for them is the stale one, which is worth least."""
    stage = Stage(cap=2)
    stage.may_roll = True
    stage.slot(SlotState.READY, stage.session("ana"), idle_since=1.0)
    stale = make_stale(stage.slot(SlotState.READY, stage.session("boris"), digest="older", idle_since=9.0))
    stage.session("chen", "hello")
    assert stage.decide() == Evict(stale)
