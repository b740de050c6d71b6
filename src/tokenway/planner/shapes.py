"""Shapes of models: how many parameters they have, how many of them a token uses, and what it leaves in the cache.

Counts follow from the sizes in `config.json`. Small vectors (norms, biases) are left out: they are below a thousandth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from tokenway.planner.errors import unknown


class Latent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Latent attention (arXiv 2405.04434 §2.1): one vector of `kv_rank` and `rope` numbers is cached for all heads.

    A `query_rank` of 0 is of queries that are made in one step, without a latent vector of their own.
    """

    kv_rank: int
    rope: int
    query_rank: int
    nope: int
    value: int


class Recurrent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Layers that keep a state of fixed size in place of a cache (gated delta rule, arXiv 2412.06464)."""

    layers: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model; `data/models.toml` says what the fields mean. Sizes are in numbers, not bytes."""

    title: str
    aliases: tuple[str, ...] = ()
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    dense_ff: int = 0
    dense_layers: int = 0
    experts: int = 0
    experts_per_token: int = 0
    shared_experts: int = 0
    expert_ff: int = 0
    vocabulary: int
    tied: bool = False
    mla: Latent | None = None
    window: int = 0
    windowed_layers: int = 0
    linear: Recurrent | None = None
    attended: int = 0
    """How many cached tokens a sparse attention reads at most (0: all)."""
    native: str = "bf16"

    # -- parameters --------------------------------------------------------------------------------------

    @property
    def attention(self) -> int:
        """Parameters of attention, of all layers."""
        layers = self.layers
        total = 0
        if self.linear is not None:
            line = self.linear
            keys, values = line.key_heads * line.key_dim, line.value_heads * line.value_dim
            total += line.layers * self.hidden * (2 * keys + 3 * values)
            layers -= line.layers
        if self.mla is not None:
            low, heads = self.mla, self.heads
            queries = heads * (low.nope + low.rope)
            query = low.query_rank * (self.hidden + queries) if low.query_rank else self.hidden * queries
            cached = self.hidden * (low.kv_rank + low.rope) + low.kv_rank * heads * (low.nope + low.value)
            return total + layers * (query + cached + heads * low.value * self.hidden)
        gate = 1 if self.linear is not None else 0  # an output gate as wide as the query
        return total + layers * self.hidden * self.head_dim * ((2 + gate) * self.heads + 2 * self.kv_heads)

    @property
    def expert_layers(self) -> int:
        """How many layers have experts."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def always(self) -> int:
        """Parameters of the feed-forward parts that every token uses: dense layers, shared experts and routers."""
        shared = self.expert_layers * (3 * self.shared_experts * self.expert_ff + self.experts)
        return self.hidden * (3 * self.dense_ff * self.dense_layers + shared)

    @property
    def routed(self) -> int:
        """Parameters of all experts among which tokens are shared out."""
        return self.expert_layers * self.experts * 3 * self.hidden * self.expert_ff

    @property
    def head(self) -> int:
        """Parameters of the last layer, which is as large as the table of embeddings."""
        return self.hidden * self.vocabulary

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.attention + self.always + self.routed + self.head * (1 if self.tied else 2)

    @property
    def active(self) -> float:
        """Parameters that one token is multiplied with: not those of other experts, nor the embeddings."""
        return self.attention + self.always + self.routed * self.expert_share + self.head

    @property
    def expert_share(self) -> float:
        """The share of the experts that one token uses."""
        return self.experts_per_token / self.experts if self.experts else 0.0

    def touched(self, batch: float) -> float:
        """The share of the experts that `batch` tokens use between them: 1 - (1 - k/E)^B."""
        return 1.0 - math.pow(1.0 - self.expert_share, batch)

    # -- the cache ---------------------------------------------------------------------------------------

    @property
    def cached_layers(self) -> int:
        """Layers whose keys and values are cached."""
        return self.layers - (self.linear.layers if self.linear is not None else 0)

    @property
    def cache_per_layer(self) -> int:
        """Numbers that one token leaves in the cache of a layer: 2·H_kv·d_h, or the latent vector."""
        if self.mla is not None:
            return self.mla.kv_rank + self.mla.rope
        return 2 * self.kv_heads * self.head_dim

    @property
    def cache_splits(self) -> int:
        """Into how many parts tensor parallelism can split the cache: by heads; a latent vector not at all."""
        return 1 if self.mla is not None else self.kv_heads

    @property
    def state(self) -> int:
        """Numbers of the fixed state of a sequence."""
        line = self.linear
        return 0 if line is None else line.layers * line.value_heads * line.key_dim * line.value_dim

    def kept(self, context: float) -> float:
        """Layers times tokens that are in the cache of a sequence of `context` tokens."""
        full = self.cached_layers - self.windowed_layers
        return full * context + self.windowed_layers * min(context, self.window)

    def read(self, context: float) -> float:
        """Layers times tokens whose keys and values a new token looks at."""
        if self.attended:
            context = min(context, self.attended)
        return self.kept(context)


@cache
def shapes() -> Mapping[str, Shape]:
    """All that are known, by name."""
    data = msgspec.toml.decode(files("tokenway.planner").joinpath("data/models.toml").read_bytes())
    del data["as_of"]
    return msgspec.convert(data, dict[str, Shape])


@cache
def _by_name() -> Mapping[str, str]:
    return {_plain(alias): name for name, shape in shapes().items() for alias in (name, shape.title, *shape.aliases)}


def known_as(name: str) -> str | None:
    """The name that a model has here; None for one that is not known."""
    return _by_name().get(_plain(name))


def shape_of(name: str) -> tuple[str, Shape]:
    """A model's shape and the name that it has here; the owner before a slash makes no difference.

    Raises PlanError for an unknown one, with those that come nearest.
    """
    found = known_as(name)
    if found is None:
        raise unknown("model", name, shapes())
    return found, shapes()[found]


def _plain(name: str) -> str:
    return name.strip().lower().rpartition("/")[2].replace(" ", "-").replace("_", "-")
