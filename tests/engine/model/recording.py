"""An order of moves as a file: each example that is played writes down what it does, and a file can be played again.

A line is a move and what it was done with: `["reply", {"number": 3, "pace": null, "rests": true, "words": 1}]`.
`python -m tests.engine.model.recording FILE` plays one aloud: each move, and each stimulus that an instance handles.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import stateful
from msgspec import Struct
from msgspec.structs import asdict

from supervisor.api.prompts import Priority, Source
from supervisor.api.questions import Allow, Deny
from tests.engine.model.bullpens import Figures

ORDERS = Path(__file__).parent / "orders"
"""Those that once broke a law; `make test` plays them all."""
_VALUES: dict[str, Callable[..., Any]] = {one.__name__: one for one in (Allow, Deny, Figures, Priority, Source)}
"""What moves are done with, besides plain values: each is written as `{"Deny": {"reason": "no"}}`."""

Move = tuple[str, dict[str, Any]]


def rule(**strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """As `hypothesis.stateful.rule`; the move is written down before it is made."""
    return _recorded(stateful.rule, strategies)


def initialize(**strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """As `hypothesis.stateful.initialize`, likewise."""
    return _recorded(stateful.initialize, strategies)


def _recorded(make: Callable[..., Any], strategies: dict[str, Any]) -> Callable[[Callable[..., None]], Any]:
    def decorate(move: Callable[..., None]) -> Any:
        @functools.wraps(move)
        def record_and_move(self: Any, **arguments: Any) -> None:
            self.order.append((move.__name__, arguments))
            move(self, **arguments)

        return make(**strategies)(record_and_move)

    return decorate


def write_order(order: list[Move], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(_pack(move), sort_keys=True) + "\n" for move in order), "utf-8")
    return path


def read_order(path: Path) -> list[Move]:
    """Raises `ValueError`, with file and line, where a line is no move."""
    order: list[Move] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            match json.loads(line):
                case [str(name), dict(arguments)]:
                    order.append((name, {argument: _unpack(value) for argument, value in arguments.items()}))
                case _:
                    raise ValueError("a move is written [NAME, {ARGUMENTS}]")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    return order


def _pack(value: Any) -> Any:
    match value:
        case Enum():
            return {type(value).__name__: value.value}
        case dict():
            return {name: _pack(one) for name, one in value.items()}
        case list() | tuple():
            return [_pack(one) for one in value]
        case Struct():
            return {type(value).__name__: asdict(value)}
        case _:
            return value


def _unpack(value: Any) -> Any:
    match value:
        case dict() if len(value) == 1 and (make := _VALUES.get(next(iter(value)))) is not None:
            (given,) = value.values()
            return make(**given) if isinstance(given, dict) else make(given)
        case dict() if len(value) == 1 and (name := next(iter(value)))[:1].isupper():
            raise ValueError(f"{name} is no value that moves are made with; there are: {', '.join(_VALUES)}")
        case dict():
            return {name: _unpack(one) for name, one in value.items()}
        case list():
            return [_unpack(one) for one in value]
        case _:
            return value


def play(order: list[Move], machine: stateful.RuleBasedStateMachine) -> Iterator[Move]:
    """Makes the moves one after the other, and looks at the laws after each. Yields a move when it is about to be made.

    A move that is not possible any more is left out: the engine may have come to go another way. Raises `ValueError`
    for one that the model does not have.
    """
    known = type(machine).setup_state()
    moves = {one.function.__name__: one for one in (*known.initializers, *known.rules)}
    if unknown := {name for name, _ in order} - moves.keys():
        raise ValueError(f"the model has no move {', '.join(sorted(unknown))}; there are: {', '.join(sorted(moves))}")
    try:
        for name, arguments in order:
            if all(is_possible(machine) for is_possible in moves[name].preconditions):
                yield name, arguments
                moves[name].function(machine, **arguments)
                for law in known.invariants:
                    law.function(machine)
    finally:
        machine.teardown()


def main() -> None:
    from tests.engine.model.machine import PoolModel

    logging.basicConfig(stream=sys.stdout, format="    %(message)s")
    logging.getLogger("supervisor.instance.stimuli").setLevel(logging.DEBUG)
    try:
        for name, arguments in play(read_order(Path(sys.argv[1])), PoolModel()):
            print(name, arguments, flush=True)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
