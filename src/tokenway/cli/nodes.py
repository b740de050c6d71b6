"""`tokenway nodes`: the machines that share the database, and those that will not come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tokenway.cli.options import AsJson
from tokenway.cli.output import Column, print_json, print_table
from tokenway.cli.place import Place, moment, opened

if TYPE_CHECKING:
    from tokenway.store.nodes import Node


def list_nodes(*, as_json: AsJson = False, place: Place | None = None) -> int:
    """List the machines that share the database, with when each was heard of.

    One that was stopped in good order is not there. A machine says every ten
    seconds that it lives.

    For example:
      tokenway nodes list
    """
    with opened(place) as store:
        found = store.nodes.all()
    now = time.time()
    if as_json:
        print_json([_data(each, now) for each in found])
        return 0
    names = ("id", "name", "state", "seen", "started", "release")
    columns = (*(Column(name) for name in names), Column("workers", right=True))
    print_table(columns, [_cells(each, now) for each in found], empty="No machine has said that it lives.")
    return 0


def retire(
    node: Annotated[str, Parameter(help="Its id, as `tokenway nodes list` has it.")],
    /,
    *,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Declare a machine gone that does not run any more and will not come back.

    What it left open expires and what it holds of limits is free within two
    minutes, while another machine runs; without this it is after seven days.
    One that was heard of in the last half minute is refused. If it comes back
    all the same, its journals are taken in.

    For example:
      tokenway nodes retire 3f2a9c01
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        found = store.nodes.retire(node, by=CLI)
    if as_json:
        print_json(_data(found, time.time()))
    else:
        print(f"The machine {found.id} ({found.name}) is declared gone.")
    return 0


def _cells(node: Node, now: float) -> list[str]:
    seen, started = f"{moment(node.seen)}", f"{moment(node.started)}"
    return [node.id, node.name, node.state(now), seen, started, node.release, f"{node.workers}"]


def _data(node: Node, now: float) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "state": node.state(now),
        "seen": moment(node.seen),
        "started": moment(node.started),
        "retired": moment(node.retired),
        "workers": node.workers,
        "release": node.release,
        "configuration": node.configuration,
        "fault": node.fault,
    }
