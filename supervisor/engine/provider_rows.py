"""Providers as they stand. No secret is told, and none is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from supervisor.api.providers import ProviderRow
from supervisor.api.states import InstanceState
from supervisor.config.providers import Provider
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext


def tell_providers(instances: Mapping[str, Instance], host: HostContext) -> tuple[ProviderRow, ...]:
    return tuple(_tell(provider, instances, host) for provider in host.providers)


def _tell(provider: Provider, instances: Mapping[str, Instance], host: HostContext) -> ProviderRow:
    settings, now = provider.settings, host.clock.steady()
    own = [one for one in instances.values() if one.core.provider == provider.name]
    parked = next((one for one in own if one.state is InstanceState.PARKED), None)
    kind = host.parks.kind(provider.name, now)
    until = host.clock.wall() + host.parks.left(provider.name, now) if kind is not None else None
    if kind is None and parked is not None:
        kind, until = parked.core.park.kind, parked.core.parked_until_at
    return ProviderRow(
        name=provider.name,
        endpoint=urlsplit(settings.base_url).hostname or "",
        models=tuple(settings.models or ()),
        fallback=settings.fallback or "",
        fallback_model=settings.fallback_model or "",
        credentials=settings.api_key or settings.auth_token or "",
        instances=tuple(sorted(one.name for one in own)),
        clients=sum(slot.provider == provider.name for one in instances.values() for slot in one.pool),
        parked_for=kind,
        parked_until=until,
        mistake=provider.mistake,
    )
