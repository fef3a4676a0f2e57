"""Equal content has equal hashes, whatever order it was written in."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import pytest
from msgspec import Struct

from supervisor.tools.content import content_hash


class Shelf(Struct, frozen=True):
    name: str
    books: Set[str] = frozenset()


@dataclass(frozen=True)
class Box:
    name: str
    books: Set[str] = frozenset()


@pytest.mark.parametrize("kind", [Shelf, Box])
def test_a_value_counts_by_its_kind_and_fields(kind: type[Shelf] | type[Box]) -> None:
    """S3.6: a set inside of it by what it holds."""
    titles = [f"book {number}" for number in range(20)]
    assert content_hash(kind("a", dict.fromkeys(titles).keys())) == content_hash(kind("a", frozenset(titles[::-1])))
    assert content_hash(kind("a")) != content_hash(kind("b"))
    assert content_hash(Shelf("a")) != content_hash(Box("a"))
