"""What the CLI keeps of conversations on disk, and how a process finds them there when it begins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from supervisor.api.errors import ResumeTargetMissing, SessionIdTaken
from supervisor.process.connection import Launch


@dataclass
class Conversations:
    """The conversations of all processes of one test, by their ids."""

    prompts: dict[str, list[str]] = field(default_factory=dict)
    """Every prompt written to it: what a resumed client remembers."""
    uuids: dict[str, list[str]] = field(default_factory=dict)
    """The ids those prompts were written with."""
    uuids_seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """All that its prompts were ever written with, those that were cut from it included."""
    judged: dict[str, int] = field(default_factory=dict)
    """How many of those prompts the model has replied to: a later one may be what the API rejects."""
    costs: dict[str, float] = field(default_factory=dict)
    """The running total of its cost in dollars that the last process to end in order has saved."""

    def has_seen(self, name: str, uuid: str) -> bool:
        """Whether a prompt with that id was ever written to the conversation `name`."""
        return uuid in self.uuids_seen[name]

    def write(self, name: str, text: str, uuid: str) -> None:
        """Appends a prompt to the conversation `name`."""
        self.uuids_seen[name].add(uuid)
        self.prompts.setdefault(name, []).append(text)
        self.uuids.setdefault(name, []).append(uuid)

    def note_reply(self, name: str) -> None:
        """The model replies: it has accepted all that stands in the conversation `name`."""
        self.judged[name] = len(self.prompts.get(name, ()))

    def find(self, launch: Launch) -> None:
        """What the CLI does with its conversation at the start. Raises `ResumeTargetMissing` or `SessionIdTaken`."""
        name = launch.session_uuid
        if launch.resume and launch.drop_turns:
            self._cut(launch)
        may_begin_anew = bool(launch.drop_turns) and launch.is_unanswered
        if launch.resume and name not in self.prompts and not may_begin_anew:
            raise ResumeTargetMissing(f"No conversation found with session ID: {name}")
        if not launch.resume and name in self.prompts:
            raise SessionIdTaken(f"Session ID {name} is already in use")

    def _cut(self, launch: Launch) -> None:
        """Takes the unanswered prompt, and what came after it, out of the conversation that is resumed."""
        texts, uuids = self.prompts.get(launch.session_uuid, []), self.uuids.get(launch.session_uuid, [])
        if launch.drops_unjudged:
            judged = self.judged.get(launch.session_uuid, 0)
            del texts[judged:], uuids[judged:]
        elif (dropped := next((one for one in launch.drop_turns if one in uuids), None)) is not None:
            place = uuids.index(dropped)
            del texts[place:], uuids[place:]
