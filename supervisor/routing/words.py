"""Text of any script as the words that an index is made of.

Case, width and diacritics are folded. Chinese, Japanese and Korean, and the scripts of South-East Asia, put no space
between words: there, every two neighbouring characters count as one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

HEAD, TAIL = 8_000, 2_000
"""Characters at the beginning and at the end of a text that are looked at: what a prompt is about stands in one of the
two, and a megabyte of pasted log between them costs nothing."""
LONGEST_WORD = 64
"""Characters of a word that count."""
LEAST_STEM = 4
"""Letters that the shorter of two forms of a word has at least."""
MOST_ENDING = 3
"""Letters that the longer one has more, at most: `print`, `printer`, `printing`."""

_SAME = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ـ": None, "ʼ": "'", "’": "'"})
"""Letters that have no decomposition, and are written without their mark all the same."""
_MARKS = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\ufe20-\ufe2f]"
)
"""Marks that people leave out: accents, vowel signs of Hebrew and Arabic. Those of Indian scripts are letters."""
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1100, 0x11FF),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3100, 0x312F),
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Scripts without spaces between words; Korean, whose words carry their particles, is read like them."""

_LITTLE = """
a about after all also am an and any are as at be been but by can could did do does for from get give had has have he
help her him his how i if in into is it its just let like make may me more my need no not of on one or our out over
please she should so some such tell than thank thanks that the their them then there these they this those to up us
use want was we were what when where which who why will with would you your agent agents answer answers user users
aber als am an auch auf aus bei bin bitte das dass dem den der des die dir doch du ein eine einem einen einer er es fur
haben hat ich ihr im in ist ja kann kein man mein meine mich mir mit nach nicht noch nur oder sich sie sind so uber um
und uns von vor was wenn wer wie wir zu zum zur
au aux avec ce ces dans de des du elle en est et il je la le les leur lui ma mais me mes moi mon ne nos notre nous on
ou par pas pour que qui sa se ses son sur te tu un une vos votre vous
al como con cual del el ella ellos es esta este la las lo los mas mi muy nos o para pero por que se si sin su sus te un
una y yo che da dei della di e gli ho il le mi non per piu sono una da do em no na os um uma nao het een en van voor
и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее мне
"""
LITTLE_WORDS = frozenset(_LITTLE.split())
"""Words that say nothing of what a text is about, as they are folded. What a template declares as a trigger counts even
so."""
_LITTLE_CHARACTERS = frozenset("的了是在我你他她它们和与或及为请吗呢吧不有这那就也都把被给对从到会能要可以个")


def fold(text: str) -> str:
    """Lower case, without accents, in the usual width."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_SAME)
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))


def sample(text: str) -> str:
    """The part of a long text that is looked at."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def words_of(text: str, *, singles: bool = False) -> list[str]:
    """The words of the text in order, folded. Scripts without spaces give pairs of characters; with `singles` also each
    character alone, so that a trigger of one character is found inside a text."""
    return [word for run in _runs(fold(sample(text))) for word in _words_of_run(run, singles)]


def is_pair(word: str) -> bool:
    """Whether the word is a pair of characters from a script without spaces, and so only a part of a word."""
    return _kind_of(word[0])[1]


def is_little(word: str) -> bool:
    """Whether the word says nothing about the subject of a text, such as `the`."""
    if not is_pair(word):
        return word in LITTLE_WORDS or (len(word) == 1 and word.isascii())
    # Japanese writes what a sentence is built with in hiragana, and what it is about in other characters.
    return all("ぁ" <= one <= "ゟ" for one in word) or any(one in _LITTLE_CHARACTERS for one in word)


def shorter_forms(word: str) -> Iterator[str]:
    """Words that this one may be a longer form of: `printer` for `printers`."""
    if not is_pair(word):
        for cut in range(1, MOST_ENDING + 1):
            if len(word) - cut >= LEAST_STEM:
                yield word[:-cut]


def _runs(folded: str) -> Iterator[tuple[str, bool]]:
    """Stretches of letters and digits, each of one kind: of an unspaced script, or not."""
    run: list[str] = []
    was_unspaced = False
    for one in folded:
        kind, is_unspaced = _kind_of(one)
        if kind == "Cf" or (one == "'" and run):
            continue  # joiners, and an apostrophe inside a word: `don't` is one word
        is_mark, is_part = kind[0] == "M", kind[0] in "LMN"
        is_unspaced = was_unspaced if is_mark else is_unspaced
        if run and not (is_part and is_unspaced == was_unspaced):
            yield "".join(run), was_unspaced
            run = []
        if is_part:
            run.append(one)
            was_unspaced = is_unspaced
    if run:
        yield "".join(run), was_unspaced


def _words_of_run(run: tuple[str, bool], singles: bool) -> list[str]:
    text, is_unspaced = run
    if not is_unspaced:
        return [text[:LONGEST_WORD]]
    pairs = [text[at : at + 2] for at in range(len(text) - 1)] or [text]
    return [*pairs, *text] if singles and len(text) > 1 else pairs


@lru_cache(maxsize=8192)
def _kind_of(character: str) -> tuple[str, bool]:
    """The character's category, and whether its script puts no spaces between words."""
    code = ord(character)
    return unicodedata.category(character), any(low <= code <= high for low, high in _UNSPACED)
