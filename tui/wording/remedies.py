"""What can be done about a state, where the words about it are read: keys, verbs of a command, or nothing."""

from __future__ import annotations

from typing import NamedTuple

from tui.wording.verbs import Where, key_of

_OFFER_KEYS = f"{key_of('replay')} replays, {key_of('drop_offer')} drops"


class Remedies(NamedTuple):
    """The keys or commands that change a state, as the place where the words are read has them. An empty one is not
    offered."""

    resume: str = ""
    """Takes a stop back."""
    scale: str = ""
    set: str = ""
    """`{}` stands for the limit."""
    decide: str = ""
    """What can be done about a turn that a restart interrupted."""
    host: str = ""
    """Tells where things lie."""


KEYS = Remedies(key_of("resume"), key_of("scale"), ":set {}", _OFFER_KEYS, key_of("describe_host"))
"""On the dashboard."""
IN_CHAT = Remedies(
    f"{KEYS.resume} on the dashboard",
    f"{KEYS.scale} on the dashboard",
    f"{KEYS.set} on the dashboard",
    f"{key_of('to_question', Where.CHAT)}, then {_OFFER_KEYS}",
    f"{KEYS.host} on the dashboard",
)
"""Where letters are typed into a message."""
VERBS = Remedies("resume")
"""Where a command tells it."""
OUT_OF_REACH = Remedies(host=KEYS.host)
"""On the dashboard while the engine cannot be reached."""
