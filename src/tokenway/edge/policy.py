"""What a key may be used for: from where, for which models, at which endpoints, and what one call may cost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.money import format_usd
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.routing.names import may_ask


def check_address(principal: Principal, peer: str) -> None:
    """Raises Refusal (403) where a key may not be used from this address; `peer` is empty where there is none."""
    if principal.addresses is not None and not _is_within(principal.addresses, peer):
        message = f"This API key may not be used from {peer or 'where this call comes from'}."
        raise Refusal(_denied(message, "address_not_allowed"))


def check_models(snapshot: Snapshot, principal: Principal, name: str, more: Iterable[str] = ()) -> None:
    """Raises Refusal (403) for a model that a key may not use: the one that is asked for, or one of the fallbacks."""
    if principal.models is None:
        return
    for place, each in (("model", name), *((f"models[{index}]", other) for index, other in enumerate(more))):
        if not may_ask(snapshot, principal.models, each):
            raise Refusal(_denied(f"This API key may not use the model '{each[:120]}'.", "model_not_allowed", place))


def check_cost(principal: Principal, amount: int) -> None:
    """Raises Refusal (402) where a call can cost more than one of this key may."""
    limit = principal.max_cost
    if limit is not None and amount > limit:
        raise Refusal(
            Problem(
                402,
                ErrorType.PAYMENT_REQUIRED,
                f"This call can cost up to {format_usd(amount)} USD, and one call of this key may cost "
                f"{format_usd(limit)} USD. A smaller 'max_tokens' lowers that bound.",
                code="max_cost_exceeded",
                should_retry=False,
                details={"worst_case": format_usd(amount), "max_cost": format_usd(limit)},
            )
        )


def _denied(message: str, code: str, param: str | None = None) -> Problem:
    return Problem(403, ErrorType.PERMISSION_DENIED, message, param=param, code=code, should_retry=False)


@lru_cache(4096)
def _is_within(networks: tuple[str, ...], peer: str) -> bool:
    try:
        address = _plain(ip_address(peer))
    except ValueError:
        return False
    return any(address in network for network in map(_network, networks) if network.version == address.version)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An address of IPv4 that was written as one of IPv6, as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


@lru_cache(4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)
