"""Python functions that a template offers as tools: read from their signatures, once for all sessions.

A function is called with what the model gives, brought to the types of its parameters. A parameter of type `RunContext`
is bullpen's to fill in: it stands in no schema.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter
from typing_extensions import TypedDict

from supervisor.api.tools import MARK, Declared, RunContext
from supervisor.config.schema_check import find_error
from supervisor.config.tool_modules import ModuleMistake, functions_of, import_module
from supervisor.config.validation import nearest
from supervisor.text.cleaning import clean, one_line, show_name

_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)
"""A tool's name: what the API takes, less what stands before it."""


class FunctionMistake(Exception):
    """An entry names no function that can be a tool. The message follows the entry in a sentence."""


@dataclass(frozen=True)
class FunctionTool:
    """One function, ready to be called."""

    reference: str
    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON Schema of the arguments."""
    declared: Declared
    version: str
    """Of the source that it was read from."""
    call: Callable[[RunContext, dict[str, Any]], Any] = field(repr=False, compare=False)
    """Runs it with validated arguments, or makes its coroutine."""
    is_async: bool = False
    validate: Callable[[Mapping[str, Any]], dict[str, Any]] = field(default=dict, repr=False, compare=False)
    """Raises `ValueError` (pydantic's `ValidationError` is one)."""
    is_of_sdk: bool = False
    """Made by the SDK's `@tool`: its result is already one of MCP."""


def read_functions(references: Iterable[str], template: Path) -> tuple[list[FunctionTool], list[tuple[str, str]]]:
    """The functions, and for those that cannot be tools (entry, the sentence that follows it). Runs the code of their
    modules. Blocking."""
    found: dict[str, FunctionTool] = {}
    mistakes: list[tuple[str, str]] = []
    for reference in dict.fromkeys(references):
        try:
            tool = read_function(reference, template)
        except FunctionMistake as error:
            mistakes.append((reference, str(error)))
            continue
        if (other := found.setdefault(tool.name, tool)) is not tool:
            mistakes.append(
                (reference, f"has the name of {other.reference}: give one of them another with tool(name=)")
            )
    return list(found.values()), mistakes


def read_function(reference: str, template: Path) -> FunctionTool:
    """Raises `FunctionMistake`."""
    module_name, _, name = reference.partition(":")
    try:
        module, version = import_module(module_name, template)
    except ModuleMistake as error:
        raise FunctionMistake(f"cannot be used: {show_name(module_name)} {error}") from error
    value = getattr(module, name, None)
    if value is None:
        near = nearest(name, dict.fromkeys(functions_of(module)))
        hint = f"; did you mean {module_name}:{near}?" if near else ""
        raise FunctionMistake(f"names no function: {module_name} has no {name}{hint}")
    read = _read_sdk_tool if type(value).__name__ == "SdkMcpTool" else _read_plain
    try:
        return read(reference, value, version)
    except FunctionMistake as error:
        raise FunctionMistake(f"{error}{_place_of(value)}") from error


def _place_of(function: Any) -> str:
    """` (booking.py:12)`, after what is wrong with it; empty for what is not written in Python."""
    code = getattr(inspect.unwrap(getattr(function, "handler", function)), "__code__", None)
    return f" ({show_name(Path(code.co_filename).name)}:{code.co_firstlineno})" if code is not None else ""


def _read_plain(reference: str, function: Any, version: str) -> FunctionTool:
    if not inspect.isroutine(function):
        raise FunctionMistake(f"names no function, but {_article(type(function).__name__)}")
    return _read_routine(reference, function, version, _declared(function))


@lru_cache(maxsize=256)
def _read_routine(reference: str, function: Any, version: str, declared: Declared) -> FunctionTool:
    """Kept: a template is checked, its walls are described and its clients are prepared with the same functions, and
    each reading makes a validator and a schema."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
        signature = inspect.signature(function)
    except Exception as error:
        raise FunctionMistake(f"has type hints that cannot be read: {one_line(clean(str(error)), 200)}") from error
    contexts, parameters = [], {}
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise FunctionMistake(f"takes {_star(parameter)}{parameter.name}: name every argument with a type hint")
        if parameter.name not in hints:
            raise FunctionMistake(f"has no type hint for {parameter.name}: the model is told the types of arguments")
        if hints[parameter.name] is RunContext:
            contexts.append(parameter.name)
        else:
            parameters[parameter.name] = (hints[parameter.name], parameter.default)
    adapter = _adapter(parameters)
    schema = _schema(adapter)

    def validate(given: Mapping[str, Any]) -> dict[str, Any]:
        # What the model sends under the name of the context is dropped: it neither counts nor fails the call.
        return dict(adapter.validate_python({name: one for name, one in given.items() if name not in contexts}))

    def call(context: RunContext, arguments: dict[str, Any]) -> Any:
        return function(**arguments, **dict.fromkeys(contexts, context))

    return FunctionTool(
        reference,
        _checked(declared.name or function.__name__),
        clean(inspect.getdoc(function) or ""),
        schema,
        declared,
        version,
        call,
        is_async=inspect.iscoroutinefunction(function),
        validate=validate,
    )


def _read_sdk_tool(reference: str, made: Any, version: str) -> FunctionTool:
    """What the SDK's `@tool` makes. Its function takes the arguments, and the run context where it has a second
    parameter."""
    # Of the SDK that the tool's own module has imported.
    schema = sys.modules[type(made).__module__]._build_input_schema(made)
    takes_context = len(inspect.signature(made.handler).parameters) > 1
    hints = made.annotations.model_dump(exclude_none=True) if made.annotations is not None else {}

    def call(context: RunContext, arguments: dict[str, Any]) -> Any:
        return made.handler(arguments, context) if takes_context else made.handler(arguments)

    return FunctionTool(
        reference,
        _checked(made.name),
        clean(made.description),
        schema,
        Declared(read_only=hints.get("readOnlyHint") is True),
        version,
        call,
        is_async=True,
        validate=_make_validate(schema),
        is_of_sdk=True,
    )


def _make_validate(schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def validate(given: Mapping[str, Any]) -> dict[str, Any]:
        if (error := find_error(schema, given)) is not None:
            raise ValueError(error.message)
        return dict(given)

    return validate


def _adapter(parameters: Mapping[str, tuple[Any, Any]]) -> TypeAdapter[Any]:
    fields: dict[str, Any] = {}
    for name, (hint, default) in parameters.items():
        described = _described(hint)
        if default is inspect.Parameter.empty:
            fields[name] = described
        else:
            fields[name] = NotRequired[typing.Annotated[described, Field(json_schema_extra=_default(default))]]
    make: Any = TypedDict
    arguments = make("Arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    try:
        return TypeAdapter(arguments)
    except (PydanticUserError, TypeError, NameError) as error:
        words = one_line(clean(str(error)).split("\n")[0], 200)
        raise FunctionMistake(f"has a type hint that no JSON can be read as: {words}") from error


def _schema(adapter: TypeAdapter[Any]) -> Mapping[str, Any]:
    try:
        schema = adapter.json_schema()
    except PydanticUserError as error:
        words = one_line(clean(str(error)).split("\n")[0], 200)
        raise FunctionMistake(f"has a type hint that no JSON can be read as: {words}") from error
    return {"properties": {}, **{name: value for name, value in schema.items() if name != "title"}}


def _described(hint: Any) -> Any:
    """`Annotated[str, "A project"]` describes the argument, as with the SDK's `@tool`."""
    if typing.get_origin(hint) is typing.Annotated:
        base, *extras = typing.get_args(hint)
        found = [Field(description=extra) if isinstance(extra, str) else extra for extra in extras]
        return typing.Annotated[(base, *found)]
    return hint


def _default(value: object) -> dict[str, Any]:
    return {"default": value} if isinstance(value, str | int | float | bool) or value is None else {}


def _declared(function: object) -> Declared:
    found = getattr(function, MARK, None)
    return found if isinstance(found, Declared) else Declared()


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise FunctionMistake(f"is called {show_name(name)}: a tool's name is 1 to 48 letters, digits, _ and -")
    return name


def _star(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return "*"
    return "**" if parameter.kind is parameter.VAR_KEYWORD else ""


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def describe_functions(tools: Iterable[FunctionTool]) -> Iterator[str]:
    """A line for each, for `check`."""
    for tool in tools:
        notes = [f"at most {tool.declared.timeout:g} s", *(["read-only"] if tool.declared.read_only else [])]
        arguments = ", ".join(tool.schema.get("properties", {}))
        yield f"tool {tool.name}({arguments}) of {tool.reference}: {', '.join(notes)}"
