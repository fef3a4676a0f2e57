"""What is noted of turns: accepted, started, ended, offered for a decision."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.api.codec import pack_outcome
from supervisor.api.errors import JournalFailed
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Failed, FailureKind, Outcome, Usage, outcome_word
from supervisor.journal import notes
from supervisor.journal.note_taking import NoteTaker, StandIn
from supervisor.journal.notes import Note, step
from supervisor.journal.records import OfferOutcome, TurnRecord, turn_to_row

LARGEST = 2**63 - 1
"""The largest whole number that SQLite holds."""


class TurnBook:
    """A part of the journal."""

    def __init__(self, taker: NoteTaker) -> None:
        self._notes = taker

    def accept(self, record: TurnRecord, on_settled: Callable[[JournalFailed | None], None]) -> None:
        """`on_settled(None)` when it is durable. With an error it was not written and will not be. The offer that it
        replays is settled with it."""
        steps = [step(notes.ACCEPT_TURN, *turn_to_row(record))]
        if record.replays:
            steps.append(step(notes.SETTLE_OFFER, record.queued_at, OfferOutcome.REPLAYED.value, record.replays))
        self._notes.add(
            Note(
                tuple(steps),
                on_written=lambda: on_settled(None),
                on_refused=on_settled,
                what=lambda: f"prompt {record.id} of {record.key}",
                turn_id=record.id,
                change=lambda turn: turn or record,
            )
        )

    def start(
        self,
        turn_id: str,
        at: float,
        on_durable: Callable[[], None],
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        """Never given up, whatever the disk does: tried until it is durable. `on_lost` is told why when no disk could
        hold it: then the turn must not begin."""
        self._notes.add(
            Note(
                (step(notes.START_TURN, at, turn_id),),
                on_written=on_durable,
                on_lost=on_lost,
                what=lambda: f"the start of turn {turn_id}",
                turn_id=turn_id,
                change=lambda turn: turn and turn._replace(started_at=at),
            )
        )

    def put_back(self, turn_id: str, on_durable: Callable[[], None] | None = None) -> None:
        """Notes that a turn which had started waits again: nothing of it has reached a process."""
        self._notes.add(
            Note(
                (step(notes.START_TURN, None, turn_id),),
                on_written=on_durable,
                turn_id=turn_id,
                change=lambda turn: turn and turn._replace(started_at=None),
            )
        )

    def release(self, turn_id: str) -> None:
        """Notes that a turn which a budget held may run."""
        self._notes.add(
            Note(
                (step(notes.RELEASE_TURN, turn_id),),
                turn_id=turn_id,
                change=lambda turn: turn and turn._replace(is_held=False),
            )
        )

    def end(
        self,
        turn_id: str,
        at: float,
        outcome: Outcome,
        on_durable: Callable[[], None] | None = None,
        on_replaced: Callable[[Outcome], object] | None = None,
        *,
        served: str = "",
    ) -> None:
        """The first outcome of a turn stands; `served` is the provider that it ran with. Never given up: tried until
        it is durable. An outcome that no disk could hold is recorded as a failure of the engine: `on_replaced` is told
        of that one before `on_durable`."""

        def what() -> str:
            return f"the outcome of turn {turn_id}"

        def make(ending: Outcome, stand_in: StandIn | None = None) -> Note:
            def change(turn: TurnRecord | None) -> TurnRecord | None:
                return (
                    turn._replace(ended_at=at, outcome=ending, served=served) if turn and turn.outcome is None else turn
                )

            return Note(
                (
                    step(
                        notes.END_TURN, at, outcome_word(ending), pack_outcome(ending), served, *_spent(ending), turn_id
                    ),
                ),
                on_written=on_durable,
                what=what,
                stand_in=stand_in,
                turn_id=turn_id,
                change=change,
            )

        def stand_in(why: str) -> Note:
            failed = Failed(FailureKind.ENGINE, f"how the turn ended cannot be recorded ({why})")
            if on_replaced is not None:
                on_replaced(failed)
            return make(failed)

        self._notes.add_or(lambda: make(outcome, stand_in), stand_in, what)

    def offer(self, turn_id: str, key: SessionKey, made_at: float, expires_at: float) -> None:
        """Puts an interrupted turn up for a decision."""
        self._notes.note(notes.OFFER, turn_id, *key, made_at, expires_at)

    def settle_offer(self, turn_id: str, at: float, outcome: OfferOutcome) -> None:
        """The first decision stands. A replay settles its offer by itself (`TurnRecord.replays`)."""
        self._notes.note(notes.SETTLE_OFFER, at, outcome.value, turn_id)


def _spent(outcome: Outcome) -> tuple[float, int]:
    """Dollars and tokens. An outcome is recorded whatever its counts are."""
    usage = getattr(outcome, "usage", Usage())
    return usage.cost_usd, min(usage.tokens, LARGEST)
