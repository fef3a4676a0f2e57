"""What a prompt is about, in its own words."""

from __future__ import annotations

import re
from collections.abc import Collection

MAX_WORDS = 4
"""A subject longer than this would not read well inside a sentence."""

_WORD = re.compile(r"[^\W_](?:[\w'’.-]*\w)?")
_PAUSE = re.compile(r"[.,;:!?]+(?=\s|$)|[\n()“”\"]")

_COMMON_WORDS = """
a about add after again all also am an and any anything applies are arrived as ask at be been before better
bring but by came can cannot check change close come compare could count day did different do does doesn't don't
down draft drops each eats eight every everybody expire explain far find finish first floor for from full get
give go got had has have hello help here hey hi how i i'd i'll i'm i've if in into is isn't it it's its just
keeps know last leads left let like limit lists locked look make many maybe me missing month morning must my
near need needs new next night no not now odd of off old older oldest on once one open or other our out over per
please prepare put quick quickly reach really reset review right roll same say says second see send set shall
she short should show since so some soon still summarise tell than thank thanks that that's the their them then
there these they this those three to today tomorrow too two unpaid until up us use very wait want was way we
were what what's when where which while who why will with within without won't work works would write year yes
yesterday yet you your aware moment minute customer happened
"""
"""Words that say little about what a prompt is about."""

_COMMON = frozenset(_COMMON_WORDS.split())


def words_of(prompt: str) -> tuple[str, ...]:
    """The words of a prompt in lower case."""
    return tuple(word.lower() for word in _WORD.findall(prompt))


def subject_of(prompt: str, keywords: Collection[str] = ()) -> str:
    """The run of telling words that is longest; one with a keyword in it wins."""
    runs: list[list[str]] = [[]]
    for phrase in _PAUSE.split(prompt):
        for word in _WORD.findall(phrase):
            if word.lower() in _COMMON:
                runs.append([])
            else:
                runs[-1].append(word)
        runs.append([])
    best = max(
        runs,
        key=lambda run: (
            any(word.lower() in keywords for word in run),
            min(len(run), MAX_WORDS),
            sum(map(len, run)),
        ),
    )
    return " ".join(best[:MAX_WORDS]) or "this"
