"""Which model a name means, for those who count or forbid: one model has one name here, however it is asked for.

a suffix                     is none of the name
an alias                     means its model
`provider/model`, a family   the first configured model that has this endpoint, else the endpoint's id
"""

from __future__ import annotations

from typing import Final

from tokenway.model.catalog import Model
from tokenway.model.snapshot import Snapshot
from tokenway.routing.plan import resolve, split_suffix

_ALL: Final = "*"


def counted_as(snapshot: Snapshot, name: str) -> str:
    """The name by which the model that `name` means is counted; `name` without its suffix where nothing serves it."""
    base, _ = split_suffix(snapshot, name)
    model = resolve(snapshot, base)
    return base if model is None else counted_name(snapshot, model)


def counted_name(snapshot: Snapshot, model: Model) -> str:
    """The name by which a model is counted that `resolve` has found."""
    if model.name in snapshot.models or not model.endpoints:
        return model.name
    identity = model.endpoints[0].id
    for name, known in snapshot.models.items():
        if any(each.id == identity for each in known.endpoints):
            return name
    return identity


def may_ask(snapshot: Snapshot, allowed: tuple[str, ...] | None, name: str) -> bool:
    """Whether a list of models has the one that a name means.

    An alias is on the list by its own name, or by what it means. A pattern speaks of models: it does not let an alias
    lead to another one than it says.
    """
    if allowed is None:
        return True
    base, _ = split_suffix(snapshot, name)
    if base in allowed:
        return True
    if base not in snapshot.models and base in snapshot.aliases:
        model = resolve(snapshot, base)
        base = base if model is None else model.name
    if allows(allowed, base):
        return True
    # A family's name and `provider/model` are one model, where the configuration has none of it.
    model = None if base in snapshot.models else resolve(snapshot, base)
    return model is not None and bool(model.endpoints) and allows(allowed, model.endpoints[0].id)


def allows(models: tuple[str, ...], name: str) -> bool:
    """Whether a name is among those of a list, where one that ends in `*` stands for all that begin so."""
    return any(name.startswith(each[:-1]) if each.endswith(_ALL) else name == each for each in models)
