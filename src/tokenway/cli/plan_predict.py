"""`tokenway plan predict`: what the planner's model of serving says for the rows of a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.errors import CommandError
from tokenway.cli.files import text_of
from tokenway.cli.output import say
from tokenway.cli.reporting import planning


def predict(
    *,
    table: Annotated[Path, Parameter(name="--csv", help="The rows, with names in the first line.")],
    out: Annotated[Path, Parameter(help="Where they go, with the predictions.")],
) -> int:
    """Predict the speed of deployments, a row each.

    A row names a model (model_path), a GPU (system), a precision, a backend,
    isl, osl and conc, and the layout: num_gpus, tp_size, attention_dp_size and
    moe_ep_size, or with the mode `disagg` prefill_gpus and decode_gpus and
    their workers. Rows come back in order with tpot_ms, the band tpot_low to
    tpot_high that holds four measurements of five, ttft_ms and
    tokens_per_s_per_gpu; or with the reason why there is no answer.

    For example:
      tokenway plan predict --csv points.csv --out predictions.csv
    """
    names, rows = _read(table)
    with planning():
        from tokenway.planner.serving.bulk import ADDED, answers  # noqa: PLC0415 - numpy is an extra

        found = answers(rows)
    kept = [name for name in names if name not in ADDED]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*kept, *ADDED], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, **answer} for row, answer in zip(rows, found.rows, strict=True))
    try:
        out.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror or error}.") from None
    unanswered = len(rows) - found.answered
    told = f"{out} has {_several(found.answered, 'prediction')}"
    say(told + (f", and {_several(unanswered, 'row')} with a reason." if unanswered else "."))
    return 0


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Names and rows; what a short row lacks is empty, what a long one has beyond the names is dropped."""
    text = text_of(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
        names = list(reader.fieldnames or ())
        rows = [{name: row[name] for name in names} for row in reader]
    except csv.Error as error:
        raise CommandError(f"{path} is no CSV: {error}.") from None
    if "model_path" not in names or "system" not in names:
        raise CommandError(f"{path} has no columns model_path and system; its first line has to name the columns.")
    return names, rows
