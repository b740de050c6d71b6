"""`python -m benchmarks.planner.aside`: our predictions and aiconfigurator's, of the same measured points.

It is installed into an environment of its own, about 0.9 GB, and knows kernels that were measured one by one. Ours are
of constants that were found without the point's group (model, chip, precision, input). Where one of the two has no
answer the point counts for neither; how often that was is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.machine import CACHE, Unavailable
from tokenway.planner.serving.points import Point, points
from tokenway.planner.serving.validation import errors, left_out, parts, sample_of

REQUIREMENT: Final = "aiconfigurator==0.12.0"
POINTS: Final = 160
SEED: Final = 7
_MODELS: Final = {
    "llama-3-70b": "meta-llama/Meta-Llama-3.1-70B",
    "llama-3-8b": "meta-llama/Meta-Llama-3.1-8B",
    "deepseek-v3": "deepseek-ai/DeepSeek-V3",
    "qwen3-32b": "Qwen/Qwen3-32B",
    "qwen3-235b": "Qwen/Qwen3-235B-A22B",
    "gpt-oss-120b": "openai/gpt-oss-120b",
}
"""What it calls the models."""
_MODES: Final = {
    "fp8": {"gemm_quant_mode": "fp8", "kvcache_quant_mode": "fp8"},
    "fp4": {"gemm_quant_mode": "nvfp4", "kvcache_quant_mode": "fp8"},
}
_EXPERTS: Final = {"fp8": "fp8", "fp4": "nvfp4"}
_BLOCKS: Final = {"deepseek-v3": "fp8_block", "qwen3-235b": "fp8_block"}
_MXFP4: Final = {"moe_quant_mode": "w4a16_mxfp4"}


def installed() -> str:
    """The Python of its environment, which is made on first use. Raises Unavailable."""
    home = CACHE / "aiconfigurator"
    python = str(home / "bin" / "python")
    if not (home / "bin" / "aiconfigurator").exists():
        print(f"installing {REQUIREMENT} into {home}", flush=True)
        for step in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [python, "-m", "pip", "install", REQUIREMENT],
        ):
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"does not install: {done.stderr.strip()[-200:]}")
    return python


def ask(python: str, asked: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Its answers, in order."""
    lines = "\n".join(json.dumps(each) for each in asked) + "\n"
    script = str(Path(__file__).with_name("peer.py"))
    done = subprocess.run(
        [python, script], input=lines, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    """Prints the table."""
    try:
        python = installed()
    except Unavailable as error:
        print(f"aiconfigurator {error}", file=sys.stderr)
        return 1
    every = sample_of(points())
    ours = left_out(every, [int(part) for part in parts(every.points)])[0] * 1e3
    measured = every.tpot * 1e3
    chosen = _chosen(every.points)
    answers = ask(python, [_asked(every.points[number]) for number in chosen])
    kept = [n for n, answer in enumerate(answers) if "tpot" in answer]
    theirs = np.array([float(str(answers[n]["tpot"])) for n in kept])
    rows = np.array([chosen[n] for n in kept])
    print(f"{REQUIREMENT}: {len(kept)} of {len(chosen)} points answered")
    for reason, count in Counter(str(answer["reason"]) for answer in answers if "reason" in answer).most_common(5):
        print(f"  {count} not: {reason}")
    labels = [every.points[row].model for row in rows]
    print(f"\n{'TPOT error':24} {'points':>7} {'ours: median':>13} {'P90':>7} {'theirs: median':>15} {'P90':>7}")
    for label in ("all", *sorted(set(labels))):
        mine = np.array([label in {"all", each} for each in labels])
        own = errors(measured[rows][mine], ours[rows][mine])
        other = errors(measured[rows][mine], theirs[mine])
        print(
            f"{label:24} {own.points:7} {100 * own.median:12.1f}% {100 * own.ninth:6.1f}% "
            f"{100 * other.median:14.1f}% {100 * other.ninth:6.1f}%"
        )
    return 0


def _chosen(rows: Sequence[Point]) -> list[int]:
    """Points of one pool, evenly over models, chips, precisions and engines."""
    generator = np.random.default_rng(SEED)
    kinds: dict[tuple[str, ...], list[int]] = {}
    for number, point in enumerate(rows):
        if point.mode == "agg" and point.model in _MODELS and point.precision in _MODES:
            kinds.setdefault((point.model, point.chip, point.precision, point.engine), []).append(number)
    each = max(1, POINTS // len(kinds))
    return [int(n) for found in kinds.values() for n in generator.choice(found, min(each, len(found)), replace=False)]


def _asked(point: Point) -> dict[str, object]:
    pool, load = point.deployment.pool, point.load
    asked: dict[str, object] = {
        "model_path": _MODELS[point.model],
        "system_name": point.chip if point.chip.startswith("gb") else f"{point.chip}_sxm",
        "backend_name": point.engine,
        "isl": round(load.input),
        "osl": round(load.output),
        "batch_size": max(1, round(load.concurrency / pool.dp)),
        "tp_size": pool.tp,
        "attention_dp_size": pool.dp,
        **_MODES[point.precision],
    }
    if point.deployment.shape.experts:
        asked |= {"moe_ep_size": pool.ep, "moe_tp_size": pool.chips // pool.ep}
        if point.deployment.shape.native == "mxfp4":
            asked |= {**_MXFP4, "gemm_quant_mode": "bfloat16"}
        else:
            asked["moe_quant_mode"] = _EXPERTS[point.precision]
        if point.precision == "fp8" and point.model in _BLOCKS:
            asked |= {"gemm_quant_mode": _BLOCKS[point.model], "moe_quant_mode": _BLOCKS[point.model]}
    return asked


if __name__ == "__main__":
    sys.exit(main())
