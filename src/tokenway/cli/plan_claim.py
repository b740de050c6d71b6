"""`tokenway plan claim`: what a claim such as "30 times an H100" comes to, regime by regime."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.options import AsJson
from tokenway.cli.reporting import planning, print_report


def claim(
    name: Annotated[str, Parameter(help="The claim, such as blackwell-30x.")],
    /,
    *,
    model: Annotated[tuple[str, ...], Parameter(help="Only for this model; again for more.")] = (),
    price: Annotated[str, Parameter(help="By which price of a GPU hour: on-demand, reserved, owned.")] = "owned",
    as_json: AsJson = False,
) -> int:
    """Show what a claim about hardware comes to: a table of regimes, never a single number.

    The ratio by model, lengths, speed, format and baseline, per GPU, per dollar
    and per watt, and what each figure of the chip brings to it. Needs the extra
    `plan` of the package.

    For example:
      tokenway plan claim blackwell-30x
      tokenway plan claim blackwell-30x --model llama-3-70b --json
    """
    with planning():
        from tokenway.planner.claims import claim_of  # noqa: PLC0415 - the help needs no numpy
        from tokenway.planner.regimes import claim_report  # noqa: PLC0415 - the same
        from tokenway.planner.shapes import shape_of  # noqa: PLC0415 - the same

        models = [shape_of(each)[0] for each in model]
        print_report(claim_report(claim_of(name), price, models), as_json=as_json)
    return 0
