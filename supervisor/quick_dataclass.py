"""`dataclass` of the standard library, made in a quarter of the time.

A start makes two hundred of them, and the standard one compiles up to eight functions for each: half a millisecond of
processor time. Here only `__init__` is compiled, and what all classes do alike is written once. Everything else is the
standard library's: fields, inheritance, slots, `replace`, `asdict`, `match`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, kw_only=False, eq=True):
        """As `dataclasses.dataclass`; a parameter that is not here is not supported."""

        def make(cls):
            made = _make(cls, has_slots=slots, is_by_name=kw_only)
            methods = _methods(made, is_frozen=frozen, has_slots=slots, is_compared=eq)
            for name, method in methods.items():
                if name not in vars(made):
                    setattr(made, name, method)
            return made

        return make if cls is None else make(cls)


def _make(cls: type, *, has_slots: bool, is_by_name: bool) -> type:
    """The class with its fields, and with slots for them."""
    doc = cls.__doc__
    cls.__doc__ = doc or cls.__name__  # else its signature is worked out and written there
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=has_slots, kw_only=is_by_name)(cls)
    made.__doc__ = doc
    return made


def _methods(cls: type, *, is_frozen: bool, has_slots: bool, is_compared: bool) -> dict[str, Any]:
    fields = dataclasses.fields(cls)
    methods: dict[str, Any] = {"__init__": _compile_init(cls, fields, is_frozen=is_frozen), "__repr__": _repr}
    if is_compared:
        values = _values_of([field.name for field in fields if field.compare])
        methods |= {"__eq__": _make_eq(values), "__hash__": _make_hash(values) if is_frozen else None}
    if is_frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        if has_slots:
            methods |= {"__getstate__": _get_state, "__setstate__": _set_state}
    return methods


_NOT_GIVEN: Any = object()


def _compile_init(cls: type, fields: Iterable[dataclasses.Field[Any]], *, is_frozen: bool) -> Any:
    by_place: list[str] = []
    by_name: list[str] = []
    lines: list[str] = []
    known: dict[str, Any] = {"_set": object.__setattr__, "_not_given": _NOT_GIVEN}
    for field in fields:
        name = value = field.name
        parameter = name
        if field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter, value = f"{name}=_not_given", f"_make_{name}() if {name} is _not_given else {name}"
        if field.init:
            (by_name if field.kw_only else by_place).append(parameter)
        elif parameter == name:
            continue  # the class sets it by itself
        else:
            value = parameter.partition("=")[2] if value == name else f"_make_{name}()"
        lines.append(f"_set(self, {name!r}, {value})" if is_frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join(["self", *by_place, *(["*", *by_name] if by_name else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(lines or ["pass"]), known)  # our own source
    init = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _values_of(names: Sequence[str]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else lambda _: ()


def _make_eq(values: Callable[[Any], Any]) -> Any:
    def __eq__(self: object, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _make_hash(values: Callable[[Any], Any]) -> Any:
    return lambda self: hash(values(self))


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: Sequence[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
