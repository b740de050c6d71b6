"""Rows of measurements, in the columns of InferenceX's exports, as deployments and loads.

A row names lengths nominally: InferenceX draws them evenly from 80 to 100 % of that, so a mean request has nine tenths.
Columns that say nothing are taken for what the others imply.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from tokenway.planner.errors import PlanError
from tokenway.planner.serving.deployment import SHARED, Deployment, Load, Pool
from tokenway.planner.serving.names import engine_of, model_of, numbers_for, system_of

NOMINAL: Final = 0.9
"""Mean length of what is drawn from 80 to 100 % of a nominal one."""

_NOTHING: Final = frozenset({"nan", "none", "null", "n/a", "-"})
"""Words for a column that says nothing."""

_RELEASES: Final = (
    *(("trtllm", "1.0", date(2025, 7, 15)), ("vllm", "0.10", date(2025, 8, 1)), ("vllm", "0.11", date(2025, 10, 2))),
    *(
        ("vllm", "0.12", date(2025, 12, 3)),
        ("sglang", "0.5.5", date(2025, 11, 6)),
        ("sglang", "0.5.6", date(2025, 12, 3)),
    ),
    ("sglang", "0.5.7", date(2026, 1, 1)),
)
"""About when versions were released that are older than the newest points."""


def asked(row: Mapping[str, str]) -> tuple[Deployment, Load]:
    """The deployment and the load of a row. Raises PlanError, with the reason, for one that cannot be told."""
    shape = model_of(_text(row, "model_path"))[1]
    chip = system_of(_text(row, "system"))[1]
    numbers = numbers_for(shape, chip, _text(row, "precision"))
    load = Load(
        input=_number(row, "isl") * NOMINAL,
        output=max(1.0, _number(row, "osl") * NOMINAL),
        concurrency=_number(row, "conc"),
    )
    mode = _told(row, "mode").lower()
    is_apart = mode.startswith("dis") if mode else _count(row, "prefill_gpus") > 0
    pool, prefill = _apart(row) if is_apart else (_together(row), None)
    deployment = Deployment(
        shape=shape,
        chip=chip,
        numbers=numbers,
        pool=pool,
        prefill=prefill,
        engine=engine_of(_told(row, "backend")),
        released=_released(row),
    )
    return deployment, load


def _together(row: Mapping[str, str]) -> Pool:
    """Where one pool does both: `num_gpus` that `tp_size` splits; attention apart per chip where it says so."""
    tp, gpus, apart = _count(row, "tp_size"), _count(row, "num_gpus"), _count(row, "attention_dp_size")
    gpus = gpus or (tp or 1) * apart or tp
    if not gpus:
        raise PlanError("How many GPUs there are is missing (num_gpus, or tp_size and attention_dp_size).")
    tp = min(tp or gpus, gpus)
    if apart > 1 and tp * apart > gpus:
        tp = max(1, gpus // apart)
    return Pool(tp=tp, dp=max(1, gpus // tp), ep=_parts(_count(row, "moe_ep_size"), gpus, is_apart=gpus > tp))


def _apart(row: Mapping[str, str]) -> tuple[Pool, Pool]:
    """A pool that decodes and one that prefills."""
    every = _count(row, "num_gpus")
    prefill = _count(row, "prefill_gpus")
    decode = _count(row, "decode_gpus") or max(0, every - prefill)
    prefill = prefill or max(0, every - decode)
    if not decode or not prefill:
        raise PlanError("How many GPUs decode and how many prefill is missing (decode_gpus, prefill_gpus, num_gpus).")
    tp, told = _count(row, "decode_tp_size"), _count(row, "decode_moe_ep_size")
    decoding = _workers(decode, _count(row, "decode_num_workers"), tp)
    if max(tp, told) <= 1 and decoding.chips <= SHARED:
        decoding = Pool(workers=decoding.workers, tp=decoding.chips)
    parts = _parts(told, decoding.chips, is_apart=decoding.dp > 1)
    prefilling = _workers(prefill, _count(row, "prefill_num_workers"), _count(row, "prefill_tp_size"))
    return Pool(workers=decoding.workers, tp=decoding.tp, dp=decoding.dp, ep=parts), prefilling


def _workers(gpus: int, workers: int, tp: int) -> Pool:
    workers = min(workers or 1, gpus)
    chips = gpus // workers
    tp = min(tp or chips, chips)
    return Pool(workers=workers, tp=tp, dp=max(1, chips // tp))


def _parts(told: int, chips: int, *, is_apart: bool) -> int:
    """Into how many parts experts go: as told, or each chip its own where attention is apart per chip."""
    parts = chips if is_apart and told <= 1 else max(1, told)
    return math.gcd(parts, chips)


def _released(row: Mapping[str, str]) -> date | None:
    """The day of the measurement, or else about that of the engine's version; None where neither says anything."""
    try:
        return date.fromisoformat(_told(row, "measured")[:10])
    except ValueError:
        engine, version = engine_of(_told(row, "backend")), _told(row, "backend_version")
        return next((day for name, start, day in _RELEASES if name == engine and version.startswith(start)), None)


def _told(row: Mapping[str, str], name: str) -> str:
    """What a column says; nothing where it says so in a word."""
    text = (row.get(name) or "").strip()
    return "" if text.lower() in _NOTHING else text


def _text(row: Mapping[str, str], name: str) -> str:
    text = _told(row, name)
    if not text:
        raise PlanError(f"{name} is missing.")
    return text


def _number(row: Mapping[str, str], name: str) -> float:
    text = _text(row, name)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise PlanError(f"{name} has to be a number above 0, not '{text}'.")
    return number


def _count(row: Mapping[str, str], name: str) -> int:
    """A whole number, 0 where nothing is told."""
    text = _told(row, name)
    try:
        number = float(text or 0)
    except ValueError:
        number = math.nan
    if number < 0 or not number.is_integer():
        raise PlanError(f"{name} has to be a whole number, not '{text}'.")
    return int(number)


class Point(NamedTuple):
    """A measurement: what was asked, and what it took in seconds (`ttft` is not a number where it is not known)."""

    deployment: Deployment
    load: Load
    model: str
    chip: str
    precision: str
    engine: str
    mode: str
    input: int
    """Nominal."""
    tpot: float
    ttft: float

    @property
    def group(self) -> str:
        """Points that are too alike to be told apart by a test: model, chip, precision and nominal input."""
        return f"{self.model}|{self.chip}|{self.precision}|{self.input}"

    @property
    def kind(self) -> tuple[str, ...]:
        """Points that were measured alike."""
        return (self.model, self.chip, self.engine, self.precision, self.mode)


def points_in(text: str) -> list[Point]:
    """The measurements of a file's text. Raises PlanError for a row that cannot be told."""
    return [_point(row) for row in csv.DictReader(io.StringIO(text))]


@cache
def points() -> tuple[Point, ...]:
    """Those that are shipped: InferenceX's, see `data/README.md`."""
    text = files("tokenway.planner").joinpath("data/inference_points.csv").read_text(encoding="utf-8")
    return tuple(points_in(text))


def _point(row: Mapping[str, str]) -> Point:
    deployment, load = asked(row)
    ttft = _told(row, "ttft_ms") or "nan"
    return Point(
        deployment=deployment,
        load=load,
        model=model_of(row["model_path"])[0],
        chip=system_of(row["system"])[0],
        precision=row["precision"],
        engine=deployment.engine,
        mode=_told(row, "mode") or "agg",
        input=round(_number(row, "isl")),
        tpot=_number(row, "tpot_ms") / 1e3,
        ttft=float(ttft) / 1e3,
    )
