"""What may be spent in a day: counted in the journal, refused or put to the operator, never in the middle of a turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import anyio
import pytest
from msgspec.structs import replace

from supervisor.api.budgets import Budget, Measure, Scope
from supervisor.api.entries import QuestionClosed
from supervisor.api.errors import OverBudget, Refused, Suspended
from supervisor.api.events import BudgetNeared, QuestionSettled
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Interrupted
from supervisor.api.prompts import Priority, Prompt, Source
from supervisor.api.questions import Allow, Deny, QuestionKind, QuestionOutcome
from supervisor.api.states import SessionState, WhyWaiting
from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_restart import crashing
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = Prompt("desk", "hello", user="ana")
KEY = SessionKey("desk", "ana", "default")
NOON = time.mktime((2023, 11, 14, 12, 0, 0, 0, 0, -1))


class Day:
    """A clock on the wall that a test turns."""

    def __init__(self) -> None:
        self.now = NOON
        self.clock = Clock(wall=lambda: self.now, steady=time.monotonic)


@pytest.fixture
def day() -> Day:
    return Day()


@pytest.fixture(autouse=True)
def two_dollars(world: FakeWorld) -> None:
    """Every turn costs two dollars."""
    world.on_prompt = pay(2.0)


def pay(dollars: float) -> Callable[[FakeConnection, str], None]:
    def answer(connection: FakeConnection, text: str) -> None:
        connection.price = dollars
        connection.reply("ok")

    return answer


async def spend(supervisor: Supervisor, prompt: Prompt = HELLO, turns: int = 1) -> None:
    for _ in range(turns):
        assert isinstance(await (await supervisor.submit(prompt)).outcome(), Done)


async def budget(supervisor: Supervisor, scope: Scope, measure: Measure = Measure.COST) -> Budget:
    return next(one for one in await supervisor.budgets() if (one.scope, one.measure) == (scope, measure))


async def test_at_the_ceiling_the_next_turn_is_refused_until_the_day_turns(start: Start, day: Day) -> None:
    async with start(clock=day.clock, budgets={"user": {"cost_per_day": 5}}) as supervisor:
        await spend(supervisor, turns=3)
        with pytest.raises(OverBudget, match=r"ana reached the cost for today: \$6.00 of \$5.00") as raised:
            await supervisor.submit(HELLO)
        assert raised.value.retry_after == pytest.approx(12 * 3600)
        await spend(supervisor, replace(HELLO, user="ben"))  # another user has a ceiling of his own
        day.now += 12 * 3600
        await spend(supervisor)
        assert (await budget(supervisor, Scope.USER)).spent == pytest.approx(2.0)


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("measure", list(Measure))
async def test_each_scope_and_measure_has_a_ceiling(start: Start, day: Day, scope: Scope, measure: Measure) -> None:
    limit = {Measure.COST: 3, Measure.TOKENS: 20, Measure.TURNS: 2}[measure]
    async with start(clock=day.clock, budgets={scope.value: {f"{measure.value}_per_day": limit}}) as supervisor:
        await spend(supervisor, turns=2)
        with pytest.raises(OverBudget):
            await supervisor.submit(HELLO)
        others = {
            Scope.USER: replace(HELLO, user="ben"),
            Scope.SESSION: replace(HELLO, session="other"),
        }
        if scope in others:
            await spend(supervisor, others[scope])
        shown = await budget(supervisor, scope, measure)
        assert (shown.limit, shown.is_reached) == (limit, True)


async def test_what_was_spent_is_known_after_a_kill(start: Start, world: FakeWorld, day: Day) -> None:
    """The journal keeps the sums in the transaction that records a turn's end."""
    limits = {"user": {"cost_per_day": 5, "turns_per_day": 10}, "session": {"tokens_per_day": 1000}}
    async with crashing(start(clock=day.clock, budgets=limits), world) as supervisor:
        await spend(supervisor, turns=3)
        world.on_prompt = hold
        await supervisor.adjust("", "budgets.user.cost_per_day", "none")
        cut = await supervisor.submit(HELLO)
        await until(lambda: len(world.connections[-1].prompts) == 4)
        before = await supervisor.budgets()
    async with start(clock=day.clock, budgets=limits) as supervisor:
        assert isinstance(await (await supervisor.ticket(cut.turn_id)).outcome(), Interrupted)
        assert (await budget(supervisor, Scope.USER)).spent == pytest.approx(6.0)
        assert (await budget(supervisor, Scope.USER, Measure.TURNS)).spent == 4, "the one that was cut counts"
        tokens = next(one.spent for one in before if one.measure is Measure.TOKENS)
        assert (await budget(supervisor, Scope.SESSION, Measure.TOKENS)).spent == tokens
        with pytest.raises(OverBudget):
            await supervisor.submit(HELLO)


async def test_turns_in_flight_count_so_that_many_at_once_do_not_pass_a_ceiling_together(
    start: Start, world: FakeWorld, make_template: MakeTemplate, day: Day
) -> None:
    """Of turns exactly; of dollars by the usual cost of a turn."""
    wide = make_template(concurrency={"maxSessions": 4}, pool={"spares": 0}, queue={"maxWaiting": 100})
    limits = {"all": {"turns_per_day": 6}, "user": {"cost_per_day": 9}}
    async with start(wide, clock=day.clock, budgets=limits) as supervisor:
        await spend(supervisor)
        world.on_prompt = hold
        taken = [await supervisor.submit(replace(HELLO, session=f"s{number}")) for number in range(4)]
        with pytest.raises(OverBudget, match="4 under way") as raised:
            await supervisor.submit(HELLO)
        assert raised.value.retry_after < 60, "they may cost less than is expected"
        taken.append(await supervisor.submit(replace(HELLO, user="ben", session="s1")))
        with pytest.raises(OverBudget, match="all agents together reached the turns for today"):
            await supervisor.submit(replace(HELLO, user="ben"))
        await supervisor.withdraw(taken[-1].turn_id)
        await taken[-1].outcome()
        taken.append(await supervisor.submit(replace(HELLO, user="ben")))


async def test_what_was_taken_in_runs_and_what_runs_is_never_cut(start: Start, world: FakeWorld, day: Day) -> None:
    async with start(clock=day.clock, budgets={"all": {"turns_per_day": 2}}) as supervisor:
        world.on_prompt = hold
        first, second = await supervisor.submit(HELLO), await supervisor.submit(HELLO)
        await supervisor.adjust("", "budgets.all.turns_per_day", "0")
        with pytest.raises(OverBudget):
            await supervisor.submit(HELLO)
        for number, ticket in enumerate((first, second), start=1):
            await until(lambda: bool(world.connections) and len(world.connections[-1].prompts) == number)  # noqa: B023
            world.connections[-1].reply("ok")
            assert isinstance(await ticket.outcome(), Done)


async def test_a_request_that_was_taken_in_before_is_that_turn_however_much_is_spent(start: Start, day: Day) -> None:
    async with start(clock=day.clock, budgets={"user": {"turns_per_day": 1}}) as supervisor:
        named = replace(HELLO, request="r-1")
        ticket = await supervisor.submit(named)
        await ticket.outcome()
        assert (await supervisor.submit(named)).turn_id == ticket.turn_id
        with pytest.raises(OverBudget):
            await supervisor.submit(replace(named, request="r-2"))


@pytest.mark.parametrize("source", [Source.HOOK, Source.OPERATOR, Source.CALLER])
async def test_whoever_sends_a_prompt_has_the_same_ceiling(start: Start, day: Day, source: Source) -> None:
    async with start(clock=day.clock, budgets={"instance": {"turns_per_day": 0}}) as supervisor:
        with pytest.raises(OverBudget, match="desk reached the turns for today"):
            await supervisor.submit(replace(HELLO, source=source, priority=Priority.CRITICAL))
        assert not (await supervisor.snapshot()).sessions, "nothing was changed"


async def test_a_turn_that_a_restart_cut_is_sent_again_whatever_was_spent(
    start: Start, world: FakeWorld, day: Day
) -> None:
    """It was taken in before, and the operator decides about it."""
    async with crashing(start(clock=day.clock), world) as supervisor:
        world.on_prompt = hold
        await supervisor.submit(HELLO)
        await until(lambda: bool(world.connections) and bool(world.connections[-1].prompts))
    world.on_prompt = pay(1.0)
    async with start(clock=day.clock, budgets={"user": {"turns_per_day": 1}}) as supervisor:
        with pytest.raises(OverBudget):
            await supervisor.submit(HELLO)
        assert isinstance(await (await supervisor.replay(KEY)).outcome(), Done)


async def test_the_operator_is_asked_and_the_turn_runs_or_is_cancelled(start: Start, day: Day) -> None:
    async with start(clock=day.clock, budgets={"user": {"turns_per_day": 1, "at": "ask"}}) as supervisor:
        await spend(supervisor)
        for answer in (Allow(), Deny("tomorrow")):
            ticket = await supervisor.submit(HELLO)
            await until(lambda: bool(supervisor.view.open_questions()))
            [question] = supervisor.view.open_questions()
            assert (question.kind, question.key, question.turn_id) == (QuestionKind.BUDGET, KEY, ticket.turn_id)
            assert "beyond the budget" in question.summary
            row = (await supervisor.snapshot()).sessions[0]
            assert (row.state, row.why) == (SessionState.ASKING, WhyWaiting.BUDGET)
            assert (await supervisor.turn(ticket.turn_id)).why is WhyWaiting.BUDGET
            await supervisor.answer(question.id, answer)
            outcome = await ticket.outcome()
            if isinstance(answer, Allow):
                assert isinstance(outcome, Done)
            else:
                assert isinstance(outcome, Cancelled)
                assert outcome.reason.endswith("the operator did not let it run beyond it: tomorrow")
            assert not supervisor.view.open_questions()
        with pytest.raises(Refused):
            await supervisor.answer(question.id, Allow())


async def test_a_question_about_the_budget_ends_with_its_turn(start: Start, day: Day) -> None:
    async with start(clock=day.clock, budgets={"user": {"turns_per_day": 0, "at": "ask"}}) as supervisor:
        ticket = await supervisor.submit(HELLO)
        await until(lambda: bool(supervisor.view.open_questions()))
        await supervisor.withdraw(ticket.turn_id)
        assert isinstance(await ticket.outcome(), Cancelled)
        assert not supervisor.view.open_questions()
        late = await supervisor.submit(HELLO)
        await until(lambda: bool(supervisor.view.open_questions()))
        day.now += 3601
        with anyio.fail_after(5):
            outcome = await late.outcome()
        assert isinstance(outcome, Cancelled)
        assert "was not answered in time" in outcome.reason


async def test_after_a_restart_the_operator_is_asked_anew(start: Start, world: FakeWorld, day: Day) -> None:
    limits = {"user": {"turns_per_day": 0, "at": "ask"}}
    async with crashing(start(clock=day.clock, budgets=limits), world) as supervisor:
        ticket = await supervisor.submit(HELLO)
        await ticket.accepted()
        await until(lambda: bool(supervisor.view.open_questions()))
        [before] = supervisor.view.open_questions()
        await supervisor._host.journal.flush()  # type: ignore[attr-defined]
    async with start(clock=day.clock, budgets=limits) as supervisor:
        [question] = supervisor.view.open_questions()
        assert question.id != before.id
        entries = (await supervisor.conversation(KEY)).read().entries
        assert not any(isinstance(one, QuestionClosed) for one in entries), "the conversation never heard of it"
        again = await supervisor.ticket(ticket.turn_id)
        assert (await supervisor.turn(ticket.turn_id)).why is WhyWaiting.BUDGET
        await supervisor.answer(question.id, Allow())
        assert isinstance(await again.outcome(), Done)


async def test_a_stop_in_order_ends_the_question_and_the_next_start_asks_anew(start: Start, day: Day) -> None:
    """R2: the turn is kept; an answer that came meanwhile would count for nothing."""
    limits = {"user": {"turns_per_day": 0, "at": "ask"}}
    with ExitStack() as stack:
        async with start(clock=day.clock, budgets=limits) as supervisor:
            ticket = await supervisor.submit(HELLO)
            await until(lambda: bool(supervisor.view.open_questions()))
            feed = stack.enter_context(await supervisor.watch())
        settled = [one for one in feed.take().events if isinstance(one, QuestionSettled)]
    assert [(one.turn, one.outcome) for one in settled] == [(ticket.turn_id, QuestionOutcome.LOST)]
    with pytest.raises(Suspended):
        await ticket.outcome()
    async with start(clock=day.clock, budgets=limits) as supervisor:
        [question] = supervisor.view.open_questions()
        assert question.turn_id == ticket.turn_id
        await supervisor.answer(question.id, Allow())
        assert isinstance(await (await supervisor.ticket(ticket.turn_id)).outcome(), Done)


async def test_four_fifths_and_the_whole_are_told_once_a_day(start: Start, day: Day) -> None:
    async with start(clock=day.clock, budgets={"user": {"cost_per_day": 5}}) as supervisor:
        with await supervisor.watch() as feed:
            await spend(supervisor, turns=3)
            day.now += 24 * 3600
            await spend(supervisor, turns=2)
            told = [one.budget for one in feed.take().events if isinstance(one, BudgetNeared)]
        assert [one.spent for one in told] == pytest.approx([4.0, 6.0, 4.0])
        assert [one.is_reached for one in told] == [False, True, False]


async def test_a_template_says_its_own_and_a_live_change_counts_at_once(
    start: Start, make_template: MakeTemplate, day: Day
) -> None:
    own = make_template(pool={"spares": 0}, budget={"turnsPerDay": 1, "at": "refuse"})
    async with start(
        own, clock=day.clock, budgets={"instance": {"turns_per_day": 50, "cost_per_day": 3}}
    ) as supervisor:
        await spend(supervisor)
        with pytest.raises(OverBudget):
            await supervisor.submit(HELLO)
        await supervisor.adjust("desk", "budget.turnsPerDay", "none")
        await spend(supervisor)
        with pytest.raises(OverBudget):
            await supervisor.submit(HELLO)  # the host's ceiling of dollars holds for every instance
        await supervisor.adjust("", "budgets.instance.cost_per_day", "$10")
        assert (await supervisor.limits())["budgets.instance.cost_per_day"] == "10"
        await spend(supervisor)
        for name, value in (
            ("budgets.instance.cost_per_day", "-1"),
            ("budgets.instance.at", "never"),
            ("budgets", "1"),
        ):
            with pytest.raises(Refused):
                await supervisor.adjust("", name, value)


async def test_a_person_who_is_forgotten_is_in_no_sum_any_more_and_the_others_stay(
    start: Start, world: FakeWorld, day: Day
) -> None:
    limits = {"user": {"cost_per_day": 50}, "instance": {"cost_per_day": 50}}
    async with start(clock=day.clock, budgets=limits) as supervisor:
        await spend(supervisor)
        await spend(supervisor, replace(HELLO, user="ben"))
        await supervisor.forget_user("ana")
        await until(lambda: all(row.key.user != "ana" for row in supervisor.view.snapshot().sessions))
        await until(lambda: not supervisor._forgotten)  # type: ignore[attr-defined]
        assert [one.name for one in await supervisor.budgets() if one.scope is Scope.USER] == ["ben"]
        assert (await budget(supervisor, Scope.INSTANCE)).spent == pytest.approx(4.0)
    async with start(clock=day.clock, budgets=limits) as supervisor:
        assert [one.name for one in await supervisor.budgets() if one.scope is Scope.USER] == ["ben"]
        assert (await budget(supervisor, Scope.INSTANCE)).spent == pytest.approx(4.0)


async def test_a_turn_that_waits_for_the_operator_holds_up_no_other_user(
    start: Start, make_template: MakeTemplate, day: Day
) -> None:
    """Also where all users share one session."""
    clerk = make_template("desk", archetype="employee")
    async with start(clerk, clock=day.clock, budgets={"user": {"turns_per_day": 1, "at": "ask"}}) as supervisor:
        await spend(supervisor)
        held = await supervisor.submit(HELLO)
        await until(lambda: bool(supervisor.view.open_questions()))
        await spend(supervisor, replace(HELLO, user="ben"))
        assert (await supervisor.turn(held.turn_id)).why is WhyWaiting.BUDGET
        [row] = (await supervisor.snapshot()).sessions
        assert (row.state, row.questions) == (SessionState.ASKING, (supervisor.view.open_questions()[0].id,))
        await supervisor.answer(supervisor.view.open_questions()[0].id, Allow())
        assert isinstance(await held.outcome(), Done)


async def test_what_waits_for_the_operator_runs_once_its_ceiling_is_raised_and_not_before(
    start: Start, make_template: MakeTemplate, day: Day
) -> None:
    """As many as have room then, the first that was taken in first; the others wait on."""
    wide = make_template(concurrency={"maxSessions": 4}, pool={"spares": 0}, budget={"turnsPerDay": 1, "at": "ask"})
    async with start(wide, clock=day.clock) as supervisor:
        await spend(supervisor)
        held = [await supervisor.submit(replace(HELLO, session=f"s{number}")) for number in range(3)]
        await until(lambda: len(supervisor.view.open_questions()) == 3)
        with await supervisor.watch() as feed:
            await supervisor.adjust("desk", "budget.turnsPerDay", "2")
            assert isinstance(await held[0].outcome(), Done)
            settled = [one for one in feed.take().events if isinstance(one, QuestionSettled)]
        assert [(one.turn, one.outcome, one.by) for one in settled] == [
            (held[0].turn_id, QuestionOutcome.APPROVED, "the budget itself")
        ]
        assert [one.turn_id for one in supervisor.view.open_questions()] == [one.turn_id for one in held[1:]]
        await supervisor.adjust("desk", "budget.turnsPerDay", "none")
        for one in held[1:]:
            assert isinstance(await one.outcome(), Done)


async def test_what_waits_for_the_operator_runs_when_the_day_turns(
    start: Start, make_template: MakeTemplate, day: Day
) -> None:
    patient = make_template(pool={"spares": 0}, questionTtl="2d")
    async with start(patient, clock=day.clock, budgets={"user": {"turns_per_day": 1, "at": "ask"}}) as supervisor:
        await spend(supervisor)
        held = await supervisor.submit(HELLO)
        await until(lambda: bool(supervisor.view.open_questions()))
        supervisor._held.look()
        assert supervisor.view.open_questions()
        day.now += 12 * 3600
        assert isinstance(await held.outcome(), Done)


async def test_a_turn_that_a_kill_cut_counts_for_the_provider_it_asked_for(
    start: Start, world: FakeWorld, day: Day
) -> None:
    limits = {"provider": {"turns_per_day": 9}}
    second = {"second": {"base_url": "http://127.0.0.1:9", "api_key": "env:HOME"}}
    world.on_prompt = hold
    async with crashing(start(clock=day.clock, budgets=limits, providers=second), world) as supervisor:
        await supervisor.submit(replace(HELLO, provider="second"))
        await until(lambda: bool(world.written))
    for _ in range(2):  # and after another start, which knows it from the journal
        async with start(clock=day.clock, budgets=limits, providers=second) as supervisor:
            found = {one.name: one.spent for one in await supervisor.budgets()}
            assert found == {"second": 1}


async def test_a_clock_that_is_set_and_set_back_forgets_nothing_that_was_spent(start: Start, day: Day) -> None:
    async with start(clock=day.clock, budgets={"user": {"cost_per_day": 5}}) as supervisor:
        await spend(supervisor, turns=3)
        for days in (1, 40, 3):
            day.now += days * 24 * 3600
            await spend(supervisor)
            day.now -= days * 24 * 3600
            with pytest.raises(OverBudget):
                await supervisor.submit(HELLO)


async def test_the_session_of_a_call_that_is_over_is_not_listed(
    start: Start, day: Day, make_template: MakeTemplate
) -> None:
    """Each call of a tool without a session has its own: none of them can be used again."""
    tool = make_template(archetype="tool")
    async with start(tool, clock=day.clock, budgets={"session": {"turns_per_day": 9}}) as supervisor:
        await spend(supervisor, replace(HELLO, session=""))
        await spend(supervisor, replace(HELLO, session="kept"))
        assert [one.name for one in await supervisor.budgets()] == ["desk/ana/kept"]
