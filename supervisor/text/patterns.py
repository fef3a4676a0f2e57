"""Regular expressions of Rust's `regex`: they take time linear in the text, so that no text can make one slow."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

Matches = Callable[[str], bool]


@cache
def compile_pattern(pattern: str) -> Matches:
    """A function that says whether the pattern is found anywhere in a text. Raises `ValueError` with words that follow
    the name of a key. Compiled patterns are kept: they come from an operator's files."""
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        raise ValueError("is no regular expression (without look-around and back-references)") from None
    return validator.isinstance_python
