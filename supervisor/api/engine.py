"""All that a reader or an operator may call, on one page.

The dashboard, the command line and the gateway are written against `Engine`; `Supervisor` is the one that runs.

An engine may run in another process. So every method is `async`: it returns, or raises, when the engine has answered,
and what follows from a verb arrives on the feed. What is read again and again, the feed and a conversation, is opened
once; then a reader is a copy on this side, which is read without waiting and says when there is more. Everything that
crosses is a frozen value, and `codec` writes each as JSON and reads it back.

In the process of the engine (`Supervisor`) a verb waits for nothing: two verbs that are awaited one after the other are
applied in that order, and no other task runs in between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Protocol, Self

from supervisor.api.budgets import Budget
from supervisor.api.caches import Contexts
from supervisor.api.changes import Changes
from supervisor.api.entries import Cursor, Glimpse, Reading
from supervisor.api.events import ActionTaken, Event
from supervisor.api.hook_rows import HookRow, HookRun, ScheduleRow
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome
from supervisor.api.prompts import Prompt, Route
from supervisor.api.providers import ProviderRow
from supervisor.api.questions import Answer
from supervisor.api.shared_servers import SharedServerRow
from supervisor.api.snapshot import Snapshot
from supervisor.api.turns import TurnView


class ConversationReader(Protocol):
    """The text of one session, as far as it has arrived on this side. Reading waits for nothing and costs only what is
    new; nothing is kept for a reader that does not come. Call `close` when it is not read any more."""

    @property
    def name(self) -> str:
        """Names the copy of the conversation that this reader's cursors count in. To a reader of the same session with
        another name a cursor means nothing."""

    def read(self, cursor: Cursor = Cursor()) -> Reading:
        """Everything that has arrived since `cursor`; `Cursor()` reads from the beginning, as far back as entries are
        held in memory. A cursor is for a reader of the same `name` as the one that gave it, and for no other."""

    async def next_change(self) -> None:
        """Returns at the next change; read first, and nothing falls in between."""

    def close(self) -> None:
        """Ends the reading. Entries that have arrived can still be read; new ones need not arrive. A second call does
        nothing."""


class FeedReader(Protocol):
    """One reader's view of the state: `snapshot` at registration, then what changed, without a gap and in order, as far
    as it has arrived on this side. Use it as a context manager, or call `close`."""

    snapshot: Snapshot

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def wait(self) -> None:
        """Returns as soon as `take` has something to give. Several tasks may wait; the first that takes has it."""

    def take(self) -> Changes:
        """What has arrived since the last call, without waiting."""

    def close(self) -> None:
        """Ends the reading: no change arrives after this call. A second call does nothing."""


class Ticket(Protocol):
    """An accepted prompt. Dropping it changes nothing: the turn goes on."""

    @property
    def turn_id(self) -> str: ...

    @property
    def key(self) -> SessionKey: ...

    @property
    def finished(self) -> Outcome | None:
        """The outcome, once it has arrived on this side."""

    async def accepted(self) -> None:
        """Returns when the prompt is recorded for good. Raises `NotRecorded` when it could not be: then it was
        refused, and nothing of it is left. Raises `AcceptanceUnknown` when bullpen ended before it knew: the prompt may
        run after the next start. Cancelling the wait leaves the turn as it is."""

    async def outcome(self) -> Outcome:
        """Waits for the turn's one outcome, and until that is recorded: no restart takes back what was told. Cancelling
        the wait leaves the turn running. Raises as `accepted` does, `Suspended` when bullpen stops and keeps the prompt
        for the next start, and `OutcomeUnknown` when the outcome could not be recorded before bullpen ended."""

    def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        """The reply's text as it arrives, from its first character, until the turn ends; a line break after each block.
        Where the CLI gives up an attempt in the middle of a block, a `StartsAgain` says that what was given of it is
        void. With `whole`, a block is given when it is finished, and nothing given is ever void."""


class Engine(Protocol):
    """Every argument may be of any type and size: what is not as it should be is refused with one line (`Refused`), and
    a refused call has changed nothing. Methods that change something raise `NotAccepting` while it is not running.

    Cancelling the wait for a verb does not take it back: it may have reached the engine."""

    # Queries

    async def watch(self, recent: int = 0) -> FeedReader:
        """A snapshot, then what changed: `with await engine.watch() as feed`. The snapshot is there when it returns.
        So are the last `recent` events of this run, at most 1,000: `take` gives them first, and nothing falls between
        them and what comes then."""

    async def snapshot(self) -> Snapshot:
        """The state now. A reader that wants to stay current watches."""

    async def conversation(self, key: SessionKey) -> ConversationReader:
        """Returns when what has been said so far can be read. Raises `UnknownTarget`."""

    async def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        """The end of a conversation: its last `count` entries, 1 to 1,000. Cheap, however long it is. Raises
        `UnknownTarget`, or `JournalFailed` when it cannot be read back."""

    async def contexts(self) -> Contexts:
        """The contexts that are prepared once for each version of a template, and counts of the caches that hold
        them."""

    async def past(self) -> tuple[Event, ...]:
        """What earlier runs did, as the journal holds it: ended turns and operators' actions, oldest first, at most
        500 of each. Empty before the engine runs."""

    async def audit(self, count: int = 100) -> tuple[ActionTaken, ...]:
        """The last `count` verbs of operators, of this run and of earlier ones, oldest first: what was done, to what,
        by whom, from where and when. At most 10,000. Raises `JournalFailed`."""

    async def budgets(self) -> tuple[Budget, ...]:
        """Every ceiling of the day and how it stands, the fullest first, at most 500."""

    async def providers(self) -> tuple[ProviderRow, ...]:
        """What prompts may name as `Prompt.provider`, and how each stands. No secret is told."""

    async def route(self, text: str, agents: tuple[str, ...] = ()) -> Route:
        """Which agent a prompt of this text is for, of these or of all, and why. Sends nothing. Raises
        `NoAgentMatches`, or `InvalidPrompt` for what is no prompt."""

    # Prompts

    async def submit(self, prompt: Prompt) -> Ticket:
        """Takes a prompt in. Raises `UnknownAgent`, `InvalidId`, `InvalidPrompt`, `NotAccepting`, `Saturated`,
        `OverShare` or `OverBudget`.

        A prompt that names no agent goes on in the user's session of that name, if one agent has it, else to the agent
        that `route` tells; raises `NoAgentMatches`. What became of it stands in `Prompt.route` of its turn.

        It counts as accepted when `Ticket.accepted` returns; until then a full disk may still refuse it.

        A prompt with the name of a request (`Prompt.request`) that this user has handed in before is not taken in
        again: the ticket of that turn is returned, also of one that has ended, and after a restart. Raises
        `RequestConflict` when the prompt is another."""

    async def turn(self, turn_id: str) -> TurnView:
        """How far a turn is, or how it ended: as long as the journal keeps it. Raises `UnknownTarget`, or
        `JournalFailed` when it cannot be read back."""

    async def ticket(self, turn_id: str) -> Ticket:
        """The ticket of a turn that waits, runs or has ended. Raises as `turn` does, and `OutcomeUnknown`."""

    async def withdraw(self, turn_id: str) -> None:
        """Cancels a turn that still waits; interrupts it when it runs. Raises `UnknownTarget`, also for one that has
        ended."""

    async def interrupt(self, key: SessionKey, turn_id: str = "") -> bool:
        """Stops the session's running turn, or the next one when it still waits for its client; the client lives on.
        `turn_id` names the turn that is meant: another one is left alone. False when there was none. Raises
        `UnknownTarget`."""

    async def clear_queue(self, instance: str, key: SessionKey | None = None) -> int:
        """Cancels what waits in one session, or in the whole instance; what runs is left alone. Returns how many."""

    # Questions

    async def answer(self, question_id: str, answer: Answer, *, by: str = "operator") -> None:
        """Raises `UnknownTarget` or `AlreadyAnswered`; never pretends that a late answer counted."""

    # Turns that a restart interrupted

    async def replay(self, key: SessionKey) -> Ticket:
        """Sends the interrupted turn on offer again, as a new turn; the unanswered prompt is cut from the conversation
        first. Raises `UnknownTarget` when there is none."""

    async def drop_offer(self, key: SessionKey) -> None:
        """Leaves the interrupted turn on offer as it is. Raises `UnknownTarget` when there is none."""

    # Hooks and schedules

    async def hooks(self) -> tuple[HookRow, ...]:
        """Every hook that is declared, gates included, in the order in which they fire."""

    async def hook_runs(self, count: int = 50) -> tuple[HookRun, ...]:
        """What hooks, gates and schedules did last in this run of bullpen, the newest first: at most 1,000."""

    async def test_hook(self, event: str) -> tuple[HookRun, ...]:
        """Does what hooks are declared to do on that event, with a sample that meets their conditions. Returns what
        became of it when all has ended, after 30 s at the latest. Raises `UnknownTarget` for a name that is no event,
        and `Refused` when no hook is declared on it."""

    async def schedules(self) -> tuple[ScheduleRow, ...]:
        """Every schedule that is declared, when it runs next, and what it has missed."""

    # What agents share

    async def servers(self) -> tuple[SharedServerRow, ...]:
        """Every MCP server that all clients share (`mcpServers.NAME.shared`), by name."""

    # Limits

    async def limits(self, instance: str = "") -> Mapping[str, str]:
        """Every limit that can be changed now, as people write its value; of the host when no instance is named."""

    async def adjust(self, instance: str, limit: str, value: str) -> None:
        """Changes one limit of an instance (`maxClients`, `idleTtl`, …), or of the host when `instance` is empty
        (`max_agents`, …), until the next restart. Raises `Refused` with the nearest valid name, and changes nothing."""

    # Instances

    async def pause(self, instance: str) -> None:
        """New prompts queue; what runs goes on."""

    async def resume(self, instance: str) -> None:
        """Takes back pause, drain and stop."""

    async def drain(self, instance: str, *, deadline: float | None = None, before_end: bool = False) -> None:
        """Refuses new prompts, lets accepted ones end, closes all clients. After `deadline` seconds (`drain_deadline`
        of the settings when None) what still runs is interrupted, and what waits is cancelled. Called again while
        draining: at once.

        With `before_end` the caller ends all of bullpen after `deadline` seconds: until then nothing is interrupted or
        cancelled, also when it drains already, and that end keeps what waits for the next start."""

    async def kill(self, instance: str) -> None:
        """Cancels what waits, ends what runs, ends every process of the instance."""

    async def scale(self, instance: str, max_sessions: int) -> None:
        """Changes how many turns may run in parallel, and so how many clients. Raises `Refused` below 1."""

    # Single things

    async def kill_client(self, client_id: str) -> None:
        """Ends one client by the ladder. Its running turn becomes `Interrupted`; the session stays."""

    async def warm(self, key: SessionKey) -> bool:
        """The session's user is about to write: its client is woken, or a hibernated session resumed, when there is
        room and no turn waits. False when it was not, because it is warm already, or others come first. Raises
        `UnknownTarget`."""

    async def hibernate(self, key: SessionKey) -> None:
        """Ends an idle session's process; the conversation stays. Raises `Refused` when busy or asking."""

    async def compact(self, key: SessionKey) -> Ticket:
        """Has the CLI put a summary in the place of the session's conversation so far: a turn of its own, before all
        that wait. Raises `Refused` while a turn runs, and when there is no conversation."""

    async def close_session(self, key: SessionKey) -> None:
        """Removes a session from the books. Raises `Refused` when it has a turn running or waiting."""

    async def forget_user(self, user: str) -> int:
        """Removes a person: ends every session of that user, cancels what waits in it, and removes what was said and
        what is on disk, workspaces included. Returns how many sessions; until the last of them has ended the user's
        prompts are refused. Raises `InvalidId`, or `UnknownTarget` when nothing is known of that user."""

    # The end

    async def drained(self, instance: str | None = None) -> None:
        """Waits until the instance (or every one) has neither turns nor processes."""

    async def stop(self) -> None:
        """Ends everything; returns when no process is left. A program that was asked from outside lets what runs end
        first, for `drain_deadline` at most; asked again, it ends that now."""
