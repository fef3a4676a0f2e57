"""One prompt to its outcome, as the engine keeps it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from supervisor.api.errors import BullpenError
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import FailureKind, Outcome
from supervisor.api.prompts import Prompt, Source
from supervisor.api.turns import TurnState
from supervisor.conversation import Conversation
from supervisor.sessions.loop_detector import TurnLoops
from supervisor.sessions.ticket import PromptTicket


class Turn:
    """The engine's record of a prompt on its way to its outcome. Its caller holds the `ticket`, and never this.

    Owned by its session's mailbox until it has ended. It ends exactly once. What is fixed when it is made comes first;
    below that, each group of fields is written by the one class that its heading names, and by nothing else.
    """

    def __init__(
        self,
        turn_id: str,
        uuid: str,
        key: SessionKey,
        prompt: Prompt,
        conversation: Conversation,
        *,
        at: float,
        replays: str = "",
        is_recorded: bool = False,
        is_revived: bool = False,
        is_held: bool = False,
        held_for: str = "",
    ) -> None:
        self.id = turn_id
        self.key = key
        self.prompt = prompt
        self.queued_at = at
        """Unix seconds."""
        self.replays = replays
        """Id of the interrupted turn whose prompt it sends again; mostly empty. It goes before all that waits."""
        self.first_uuid = uuid
        """The one its prompt was written with first: `uuid` is another when it is written again."""
        self.is_revived = is_revived
        """An earlier run has taken it in, and may have taken its prompt down."""
        self.held_for = held_for
        """What the operator is asked about it, in words; empty after a restart, when it is put anew."""
        self.ticket = PromptTicket(turn_id, key, conversation, is_accepted=is_recorded)

        # Written here, by the methods below.
        self.uuid = uuid
        """Travels with the prompt to the CLI and comes back in its Result."""
        self.stop_reason = ""
        """Why it was asked to stop; empty while it was not. The first reason stays."""
        self.fails_as: FailureKind | None = None
        """What kind of failure that is; None when it is an interrupt."""
        self._on_end: list[Callable[[], object]] = []

        # Written by `recovery.offers`.
        self.when_recorded: Callable[[bool], object] | None = None
        """Told whether it was accepted for good, once that is known."""

        # Written by `instance.turns`.
        self.queued_steady = 0.0
        self.eligible_steady: float | None = None
        """Since when nothing but the pool keeps it waiting (steady seconds); `maxWait` counts from here."""
        self.begins_when_recorded = False
        """Its record says already that it begins: it does as soon as that is durable, or is recorded anew."""

        # Written by `Session`.
        self.started_at: float | None = None
        """Unix seconds; None while it waits."""
        self.started_steady = 0.0
        self.first_text_steady: float | None = None
        self.is_in_conversation = False
        """Its prompt has been added to the conversation. A turn that begins again does not add it twice."""
        self.is_second_try = False
        """It was rejected behind words that the model had not replied to, and is sent again without them."""
        self.blocks: list[str] = []
        """What the agent has said in it: finished blocks, in order."""
        self.has_used_tools = False
        self.loops = TurnLoops()
        self.was_compacted = False
        """The CLI has shortened the conversation while it ran."""

        # Written by `instance.turns`, when the operator has answered.
        self.is_held = is_held or bool(held_for)
        """A budget is reached: it waits until the operator lets it run."""

        # Written by `instance.beginnings`.
        self.served = ""
        """The provider that it runs with; empty for the host's own."""

        # Written by `instance.detached_turns`.
        self.is_detached = False
        """It has begun, and waits for the answer to its question without a client."""
        self.told: list[str] = []
        """The answers it comes back with: what the agent is sent in place of the prompt."""

    def __repr__(self) -> str:
        return f"<Turn {self.id} of {self.key}, {self.state}>"

    @property
    def state(self) -> TurnState:
        if self.finished is not None:
            return TurnState.ENDED
        return TurnState.WAITING if self.started_at is None else TurnState.RUNNING

    @property
    def is_recorded(self) -> bool:
        """Whether the turn is in the journal: accepted for good, and free to begin."""
        return self.ticket.is_accepted

    @property
    def finished(self) -> Outcome | None:
        """The outcome, once there is one."""
        return self.ticket.finished

    @property
    def words(self) -> str:
        """What is sent to the agent: the prompt, or how its questions ended when it comes back."""
        return "\n\n".join([*self.told, "Go on with what you were doing."]) if self.told else self.prompt.text

    @property
    def is_prompt(self) -> bool:
        """A caller's words stand in the conversation for it."""
        return self.prompt.source not in (Source.AGENT, Source.ENGINE)

    @property
    def is_command(self) -> bool:
        """Whether the text is a command of the CLI, which the agent does not read."""
        return self.prompt.source is Source.ENGINE

    def ask_to_stop(self, reason: str, fails_as: FailureKind | None = None) -> None:
        """Notes why it is stopped, and as what it fails then. The first reason stays."""
        if not self.stop_reason:
            self.stop_reason, self.fails_as = reason, fails_as

    def rename(self) -> None:
        """Before it is written again: a prompt that goes by an id the conversation has seen is passed over."""
        self.uuid = str(uuid4())

    def on_end(self, call: Callable[[], object]) -> None:
        """Has `call` made, synchronously, when it ends."""
        self._on_end.append(call)

    def expect_form(self) -> None:
        """Notes that the answer has a form for programs: only the text of a good outcome is streamed."""
        self.ticket.gives_outcome_alone = True

    def note_recorded(self) -> None:
        self.ticket.accept()

    def end(self, outcome: Outcome) -> None:
        if self.finished is not None:
            raise AssertionError(f"{self!r} ended twice: {outcome!r}")
        self.ticket.end(outcome)
        self._leave()

    def replace_outcome(self, outcome: Outcome) -> None:
        """What is recorded is another: the one it ended with cannot be kept. Its caller is told what is recorded."""
        self.ticket.replace_outcome(outcome)

    def note_outcome_recorded(self) -> None:
        self.ticket.tell()

    def withdraw(self, error: BullpenError) -> None:
        """Ends the turn here without an outcome: it was refused after all, or is kept for the next start. The caller
        gets the error."""
        self.ticket.withdraw(error)
        self._leave()

    def _leave(self) -> None:
        calls, self._on_end = self._on_end, []
        for call in calls:
            call()
