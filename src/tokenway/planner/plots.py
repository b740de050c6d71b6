"""Pictures as bytes: PNG, SVG, or a page that holds one. matplotlib is imported when the first one is made."""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING, Final, Literal, get_args

from tokenway.planner.errors import PlanError
from tokenway.planner.report import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Form = Literal["png", "svg", "html"]
_FORMS: Final = get_args(Form)
_SIZE: Final = (9.0, 5.0)
_PAGE: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em auto; max-width: 60em }}
svg {{ max-width: 100%; height: auto }}
</style>
</head><body><h1>{title}</h1>
{picture}
{lines}
</body></html>
"""


def form_of(name: str) -> Form:
    """The form that the end of a file's name tells. Raises PlanError for another one."""
    ending = name.rpartition(".")[2].lower()
    for form in _FORMS:
        if form == ending:
            found: Form = form
            return found
    raise PlanError(f"'{name}' has to end in one of {', '.join('.' + form for form in _FORMS)}.")


def canvas(*, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure with so many axes, row by row."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who wants a picture pays for it

    figure = Figure(figsize=(_SIZE[0], _SIZE[1] * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]


def in_amounts(axis: Axis) -> None:
    """Writes `20T` where matplotlib has 2 x 10^13; on a logarithmic axis, wherever it would write something."""
    from matplotlib.ticker import FuncFormatter, LogFormatter  # noqa: PLC0415 - only who wants a picture pays for it

    class Between(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return amount(x) if super().__call__(x, pos) else ""

    axis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
    if axis.get_scale() == "log":
        axis.set_minor_formatter(Between(minor_thresholds=(1, 0.4)))


def render(figure: Figure, form: Form, *, title: str, lines: tuple[str, ...] = ()) -> bytes:
    """The figure in this form; `lines` stand below it on a page. The same figure gives the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415 - the same

    data = io.BytesIO()
    if form == "png":
        figure.savefig(data, format="png", dpi=144, metadata={"Software": None})
        return data.getvalue()
    with mpl.rc_context({"svg.hashsalt": "tokenway", "svg.fonttype": "none"}):
        figure.savefig(data, format="svg", metadata={"Date": None})
    if form == "svg":
        return data.getvalue()
    picture = data.getvalue().decode()
    told = "\n".join(f"<p>{html.escape(line)}</p>" for line in lines)
    page = _PAGE.format(title=html.escape(title), picture=picture[picture.index("<svg") :], lines=told)
    return page.encode()
