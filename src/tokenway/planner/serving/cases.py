"""Cases as columns: the sizes of models, chips and loads as numbers, or as arrays of them for many cases at once.

All arithmetic of the model of serving is on these, so that one case, rows of a file and a sweep of thousands of layouts
go through the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from tokenway.planner.formats import FORMATS, Format, Numbers
from tokenway.planner.hardware import Chip
from tokenway.planner.serving.constants import calibration, quarters_of
from tokenway.planner.serving.deployment import SHARED, Deployment, Load, Pool
from tokenway.planner.shapes import Shape

Column = npt.NDArray[np.float64]
"""A number for each case; for one case an array of no dimensions."""

C = TypeVar("C")

FOUR: Final = 4
INDEX_NUMBERS: Final = 128
"""Numbers of a key by which DeepSeek's sparse attention chooses (`index_head_dim`)."""


class Facts(NamedTuple, Generic[C]):
    """A model in its formats on a chip: bytes, numbers per token and rates."""

    layers: C
    expert_layers: C
    hidden: C
    attention: C
    """Parameters of attention; `always`, `routed` and `head` as in the shape."""
    always: C
    routed: C
    head: C
    experts: C
    expert_ff: C
    """Width of an expert."""
    share: C
    """The share of the experts that a token uses."""
    attention_size: C
    """Bytes per parameter of attention; likewise of the always used, the routed, the head."""
    always_size: C
    routed_size: C
    head_size: C
    cache_size: C
    """Bytes that a token leaves in the cache of a layer."""
    splits: C
    full_layers: C
    windowed_layers: C
    window: C
    attended: C
    linear_layers: C
    state_size: C
    """Bytes of a sequence's state of fixed size."""
    index_size: C
    """Bytes of the keys by which a sparse attention chooses, of a token in a layer."""
    decode_score: C
    """Operations per layer and token looked at, of a new token; in prefill `prefill_score`."""
    prefill_score: C
    attention_rate: C
    """Operations/s of a chip on these; dense on attention, experts on the routed."""
    expert_rate: C
    score_rate: C
    bandwidth: C
    memory: C
    scale_up: C
    scale_out: C
    domain: C
    latent: C
    """1 where attention is latent; so the flags below."""
    packed: C
    """Four-bit weights that the chip has to unpack before it can multiply them."""
    older: C
    """A chip without four-bit units."""
    new_model: C
    """Not in the calibration; likewise the chip."""
    new_chip: C


class Cases(NamedTuple):
    """Cases as columns; `prefill_gpus` is 0 where the pool that decodes prefills as well."""

    facts: Facts[Column]
    workers: Column
    tp: Column
    dp: Column
    ep: Column
    prefill_workers: Column
    prefill_tp: Column
    """Chips that share a request's attention there: of each worker so many, or all it has."""
    prefill_gpus: Column
    vllm: Column
    sglang: Column
    input: Column
    output: Column
    concurrency: Column
    cached: Column
    quarters: Column
    """How new the engine is, in quarters of a year."""
    guesses: Column
    """Tokens that a draft guesses per step, the share that is right, and what a guess costs of a step."""
    accepted: Column
    guess_cost: Column


def attention_format(shape: Shape, weights: Format) -> Format:
    """The format of attention's weights where the model's are in `weights`.

    Four bits are for the experts of models that have them; what is published in that way (gpt-oss, Kimi K2 Thinking)
    keeps attention in BF16, and the NVFP4 editions of models with latent attention keep it in eight bits.
    """
    if weights.element_bits > FORMATS["mxfp6"].element_bits or not shape.experts:
        return weights
    if shape.native == "mxfp4" or weights.name == "int4":
        return FORMATS["bf16"]
    return FORMATS["fp8"] if shape.mla is not None else weights


@lru_cache(maxsize=4096)
def facts_of(shape: Shape, chip: Chip, numbers: Numbers) -> Facts[float]:
    """The figures of a model in its formats on a chip."""
    weights, activations, kept = numbers
    of_attention = attention_format(shape, weights)
    acts = activations if of_attention == weights else of_attention
    bf16 = FORMATS["bf16"]
    latent, line = shape.mla, shape.linear
    if latent is not None:
        decode_score = 2.0 * shape.heads * (2 * latent.kv_rank + latent.rope)
        prefill_score = 2.0 * shape.heads * (latent.nope + latent.rope + latent.value)
    else:
        decode_score = prefill_score = 4.0 * shape.heads * shape.head_dim
    return Facts(
        layers=float(shape.layers),
        expert_layers=float(shape.expert_layers),
        hidden=float(shape.hidden),
        attention=float(shape.attention),
        always=float(shape.always),
        routed=float(shape.routed),
        head=float(shape.head),
        experts=float(shape.experts),
        expert_ff=float(max(shape.expert_ff, 1)),
        share=shape.expert_share,
        attention_size=of_attention.size,
        always_size=of_attention.size,
        routed_size=weights.size,
        head_size=bf16.size,
        cache_size=shape.cache_per_layer * kept.size,
        splits=float(shape.cache_splits),
        full_layers=float(shape.cached_layers - shape.windowed_layers),
        windowed_layers=float(shape.windowed_layers),
        window=float(shape.window),
        attended=float(shape.attended or np.inf),
        linear_layers=float(line.layers if line is not None else 0),
        state_size=shape.state * bf16.size,
        index_size=INDEX_NUMBERS * FORMATS["fp8"].size if shape.attended else 0.0,
        decode_score=decode_score,
        prefill_score=prefill_score,
        attention_rate=chip.rate(acts),
        expert_rate=chip.rate(activations),
        score_rate=chip.rate(bf16),
        bandwidth=chip.bandwidth,
        memory=chip.memory,
        scale_up=chip.scale_up,
        scale_out=chip.scale_out,
        domain=float(chip.domain),
        latent=float(latent is not None),
        packed=float(weights.element_bits == FOUR and not (chip.fp4_tflops and activations.computes_as == "fp4")),
        older=float(not chip.fp4_tflops),
        new_model=float(shape.title not in calibration().models),
        new_chip=float(chip.title not in calibration().chips),
    )


def _row(deployment: Deployment, load: Load) -> tuple[float, ...]:
    pool, prefill, draft = deployment.pool, deployment.prefill or Pool(tp=SHARED), deployment.draft
    return (
        *(pool.workers, pool.tp, pool.dp, pool.ep, prefill.workers, prefill.tp),
        prefill.gpus if deployment.prefill is not None else 0,
        *(deployment.engine == "vllm", deployment.engine == "sglang"),
        *(load.input, load.output, load.concurrency, load.cached, quarters_of(deployment.released)),
        *((0.0, 0.0, 0.0) if draft is None else (draft.tokens, draft.accepted, draft.cost)),
    )


def cases_of(asked: Sequence[tuple[Deployment, Load]]) -> Cases:
    """Cases one below the other."""
    facts = np.array([facts_of(each.shape, each.chip, each.numbers) for each, _ in asked], float)
    rows = np.array([_row(*each) for each in asked], float)
    return Cases(Facts(*facts.T), *rows.T)


def spread(deployment: Deployment, load: Load, **columns: npt.ArrayLike) -> Cases:
    """Many cases that differ from one in the columns named (`tp`, `dp`, `concurrency`, ...), all of one length."""
    facts = Facts(
        *(np.asarray(each, float) for each in facts_of(deployment.shape, deployment.chip, deployment.numbers))
    )
    base = Cases(facts, *(np.asarray(each, float) for each in _row(deployment, load)))
    return Cases(**{**base._asdict(), **{name: np.asarray(values, float) for name, values in columns.items()}})
