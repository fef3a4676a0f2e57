"""Providers as they stand, without any secret."""

from __future__ import annotations

from msgspec import Struct

from supervisor.api.outcomes import FailureKind


class ProviderRow(Struct, frozen=True, gc=False):
    """A provider that a template, a session or a prompt may name, and how it stands."""

    name: str
    """`default` is what bullpen itself was started with, unless the settings say otherwise."""
    endpoint: str
    """Host name that its clients talk to; empty for Anthropic's own, or what the host's environment says."""
    models: tuple[str, ...] = ()
    """Names that may be asked for; empty for any."""
    fallback: str = ""
    """The provider that turns go to while this one is parked."""
    fallback_model: str = ""
    credentials: str = ""
    """Where they come from (`env:NAME`, `file:PATH`); never what they are."""
    instances: tuple[str, ...] = ()
    """Instances that have it as their default."""
    clients: int = 0
    """Started for it."""
    parked_for: FailureKind | None = None
    """Why it takes no turns now. Of one that is an instance's default: of the first such instance that is parked."""
    parked_until: float | None = None
    """Unix seconds."""
    mistake: str = ""
    """Why no client can be started for it; empty when one can."""
