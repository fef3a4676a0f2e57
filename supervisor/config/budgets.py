"""What may be spent in a day: `[budgets]` in `bullpen.toml`, and `budget` in a template."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from supervisor.text.values import in_words

MOST = 1e12


def parse_amount(value: object) -> float | None:
    """A number of dollars, tokens or turns: `5`, `2.50`, `$5`, `2M`, `none`. Raises `ValueError` in words."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip().lower().removeprefix("$").replace("_", "").replace(",", "")
        if text == "none":
            return None
        unit = {"k": 1e3, "m": 1e6}.get(text[-1:], 1.0)
        try:
            value = float(text.removesuffix("k").removesuffix("m")) * unit
        except ValueError:
            pass
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST:
        return float(value)
    raise ValueError(f"must be an amount such as 5, 2.50, 200k or 2M, or none; not {in_words(value)}")


def parse_whole(value: object) -> float | None:
    amount = parse_amount(value)
    if amount is not None and not amount.is_integer():
        raise ValueError(f"must be a whole number, or none; not {in_words(value)}")
    return amount


def spell_amount(amount: float | None) -> str:
    """Reading it gives the same amount again."""
    if amount is None:
        return "none"
    return f"{amount:.0f}" if float(amount).is_integer() else repr(amount)


_Text = Annotated[str, Field(pattern=r"^\$?[\d_,.]+[kKmM]?$|^none$")]
_Number = Annotated[float, Field(ge=0, le=MOST)]
Amount = Annotated[_Number | None, BeforeValidator(parse_amount, json_schema_input_type=_Number | _Text)]
Whole = Annotated[_Number | None, BeforeValidator(parse_whole, json_schema_input_type=_Number | _Text)]


class Ceilings(BaseModel):
    """What may be spent between two midnights, local time."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cost_per_day: Amount = Field(default=None, description="Dollars, by list prices. Default: `none`.")
    tokens_per_day: Whole = Field(
        default=None, description="Tokens, read, written and cached ones, such as `2M`. Default: `none`."
    )
    turns_per_day: Whole = Field(default=None, description="Turns that run. Default: `none`.")
    at: Literal["refuse", "ask"] = Field(
        default="refuse",
        description="What becomes of the next prompt once one is reached: it is refused, or waits while the operator "
        "is asked.",
    )


class TemplateBudget(Ceilings):
    """Spelled as templates spell keys."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True,
        field_title_generator=lambda name, _: to_camel(name),
    )  # fmt: skip


class BudgetSettings(BaseModel):
    """Ceilings by what they count for. Each user, session, instance and provider has the whole of its ceiling."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    all: Ceilings = Field(default_factory=Ceilings.model_construct, description="All agents together.")
    user: Ceilings = Field(default_factory=Ceilings.model_construct, description="Each user, with all agents.")
    session: Ceilings = Field(default_factory=Ceilings.model_construct, description="Each session.")
    instance: Ceilings = Field(
        default_factory=Ceilings.model_construct,
        description="Each instance. What its template says (`budget`) is stronger.",
    )
    provider: Ceilings = Field(default_factory=Ceilings.model_construct, description="Each provider.")
