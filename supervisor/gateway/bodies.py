"""What callers send, as models: camelCase and snake_case are both taken (S3.11–12), other keys are mistakes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from supervisor.api.checks import MAX_PROMPT
from supervisor.api.prompts import Priority, Prompt
from supervisor.api.questions import Allow, Answer, Choose, Deny

OnDisconnect = Literal["detach", "cancel"]


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class PromptBody(Body):
    """One prompt of one user."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"userId": "ana", "agentId": "helpdesk", "message": "The printer is on fire."}]}
    )

    user_id: str = Field(default="", description="For whom it is. A user's token may leave it out.")
    agent_id: str = Field(
        default="", description="Which agent. Left out, or `auto`: the one that the message is for (see GET /route)."
    )
    session_id: str = Field(
        default="", description="Which conversation. Left out, it is the user's own default with that agent."
    )
    message: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT, description="The prompt.")]
    priority: Literal["critical", "high", "normal", "low"] = Field(
        default="normal", description="Its place in the queue of an employee."
    )
    provider: str = Field(default="", max_length=64, description="The provider to use. Left out: the agent's own.")
    model: str = Field(default="", max_length=200, description="The model to use. Left out: the agent's own.")
    on_disconnect: OnDisconnect = Field(
        default="detach",
        description="What it means when the reader of the answer leaves: the turn goes on, or it is cancelled.",
    )

    def prompt(self, user: str, agent: str, request: str = "") -> Prompt:
        return Prompt(
            agent=agent,
            text=self.message,
            user=user,
            session=self.session_id,
            priority=Priority[self.priority.upper()],
            request=request,
            provider=self.provider,
            model=self.model,
        )


class RouteBody(Body):
    """A text that is for one of the agents."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "The printer is on fire."}]})

    text: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT, description="What a prompt would say.")]
    agents: tuple[str, ...] = Field(default=(), description="To choose from. Default: all that the caller may reach.")


class AnswerBody(Body):
    """An answer to a question of an agent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"answer": "allow"}]})

    answer: Literal["allow", "deny", "choose"]
    always: bool = Field(default=False, description="Allow its like too, for the rest of the session.")
    reason: str = Field(default="", description="Why it is denied; the agent is told.")
    choices: dict[str, str] = Field(
        default_factory=dict, description="Of a choice: question → the label of an option, or other words."
    )

    def read(self) -> Answer:
        match self.answer:
            case "allow":
                return Allow(self.always)
            case "deny":
                return Deny(self.reason)
            case _:
                return Choose(dict(self.choices))


class InterruptBody(Body):
    turn_id: str = Field(default="", description="The turn that is meant; another one is left alone.")


class ScaleBody(Body):
    max_sessions: int = Field(description="Turns that may run in parallel.")


class DrainBody(Body):
    deadline: float | None = Field(default=None, ge=0, description="Seconds after which what still runs is stopped.")
    before_end: bool = Field(
        default=False, description="All of bullpen ends after it: what waits is kept for the next start."
    )


class LimitBody(Body):
    value: str = Field(description="As people write it: `5`, `10m`, `2GiB`, `none`, `default`.")
    instance: str = Field(default="", description="Whose limit it is; left out, it is the host's.")


Json = dict[str, Any]
