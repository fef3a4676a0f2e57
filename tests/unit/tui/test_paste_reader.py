"""What stands between the marks of a paste is text, however it is cut into reads, and never a key."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tui.terminal.pastes import (
    BURST,
    END,
    HELD,
    LATE,
    MOST_PASTED,
    SILENCE,
    START,
    Pasted,
    PasteReader,
    on_one_line,
    readable,
)

PIECES = st.lists(
    st.sampled_from(
        [b"a", b"\r", b"\x1b", b"[", b"\x1b[A", b"\x1b[20", b"0~", b"1~", b"\xc3", b"\xa9", b"\x03", b"\x00"]
    ),
    max_size=12,
)
KEYS = PIECES.map(b"".join).filter(
    lambda keys: START not in keys and END not in keys and not keys.endswith((b"\x1b", b"[", b"0", b"200"))
)
TEXT = PIECES.map(b"".join).filter(lambda text: END not in text + END[:-1])


def read(*reads: bytes, reader: PasteReader | None = None, now: float = 0.0) -> tuple[bytes, list[Pasted]]:
    """The bytes of keys without the marks, and the pastes."""
    reader = reader or PasteReader()
    came = [each for data in reads for each in reader.feed(data, now)]
    keys = b"".join(each for each in came if isinstance(each, bytes))
    return keys.replace(START, b"").replace(END, b""), [each for each in came if isinstance(each, Pasted)]


@given(st.lists(st.tuples(KEYS, TEXT), max_size=3), st.lists(st.integers(0, 200), max_size=20))
def test_keys_stay_keys_and_pastes_stay_pastes_wherever_the_reads_are_cut(
    parts: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(keys + START + text + END for keys, text in parts)
    ends = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})

    keys, pastes = read(*(stream[start:end] for start, end in pairwise(ends)))

    assert keys == b"".join(keys for keys, _ in parts)
    assert pastes == [Pasted(text) for _, text in parts]


def test_a_paste_that_does_not_end_is_given_up_after_a_silence_and_keys_are_keys_again() -> None:
    reader = PasteReader()
    assert read(START + b"half", reader=reader) == (b"", [])
    assert list(reader.expire(SILENCE)) == []
    assert list(reader.expire(SILENCE + 0.1)) == [Pasted(b"half", is_whole=False), END]
    assert read(b"q", reader=reader, now=4.0) == (b"q", [])


def test_what_comes_late_of_a_paste_that_was_given_up_is_text() -> None:
    """A line may hold a paste up for longer than anybody can wait."""
    reader = PasteReader()
    read(START + b"half", reader=reader)
    list(reader.expire(SILENCE + 1))
    assert read(b"a\rA" * BURST, b"d\r" + END + b"x", reader=reader, now=5.0) == (
        b"x",
        [Pasted(b"a\rA" * BURST + b"d\r")],
    )
    assert read(b"a" * BURST, reader=reader, now=6.0) == (b"a" * BURST, []), "its end mark has come"

    read(START + b"half", reader=reader, now=10.0)
    list(reader.expire(20.0))
    assert read(b"d\r" + END + b"x", reader=reader, now=21.0) == (b"x", [Pasted(b"d\r")])

    read(START + b"half", reader=reader, now=30.0)
    list(reader.expire(40.0))
    assert read(b"a" * BURST, reader=reader, now=41.0 + LATE) == (b"a" * BURST, [])


def test_nothing_of_a_paste_that_is_too_large_is_taken_or_kept_in_memory() -> None:
    reader = PasteReader()
    block = b"a\r" * 50_000
    reads = [START, *[block] * (MOST_PASTED // len(block) + 2), END, b"k"]
    keys, pastes = read(*reads, reader=reader)
    assert keys == b"k"
    assert pastes == [Pasted(b"", dropped=sum(map(len, reads[1:-2])))]


def test_the_beginning_of_a_mark_that_goes_on_as_nothing_becomes_keys_after_a_moment() -> None:
    reader = PasteReader()
    assert read(b"\x1b[20", reader=reader) == (b"", [])
    assert list(reader.expire(HELD + 0.1)) == [b"\x1b[20"]
    assert read(b"\x1b", reader=reader) == (b"\x1b", []), "esc is not held back"


def test_line_ends_of_every_kind_are_newlines_and_escapes_go() -> None:
    assert readable(b"one \x1b[31mred\x1b[0m line\r\nsecond\rthird\n\x00\xc3") == "one red line\nsecond\nthird\n\ufffd"
    assert on_one_line("a\n b\tc\n") == "a b c"
