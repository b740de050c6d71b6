"""Grades against the engine that runs the embedded model: its tokens, its scores, and a switch of its weights.

The switch is real: the gateway serves the model a second time from the same file, and a third time from one whose
matrices are in MXFP4, and `tokenway grade compare` is asked about them over HTTP.
"""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.gateway import KEY, Gateway
from tests.unit.planner.grade.gguf_maker import HEADS, TEXT, VOCABULARY, WIDTH, as_mxfp4, repacked, rewrite, tiny_model
from tokenway.local.gguf import U32
from tokenway.local.models import CHAT_WEIGHTS, locate, missing
from tokenway.local.probe import Machine, probe
from tokenway.planner.grade.blocks import SCHEMES
from tokenway.planner.grade.casts import Floats
from tokenway.planner.grade.damage import total
from tokenway.planner.grade.forward import Llama
from tokenway.planner.grade.perplexity import AS_STORED, measure
from tokenway.planner.grade.prompts import shipped_text
from tokenway.planner.grade.tensors import Weights
from tokenway.planner.grade.tokens import Tokenizer
from tokenway.planner.grade.weights import read_weights

LACKS = [*probe(Machine.this()), *missing()]
pytestmark = [pytest.mark.local, pytest.mark.skipif(bool(LACKS), reason=" ".join(LACKS) or "complete")]

ENGINE = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames, params.port = ["127.0.0.1"], 0
params.verbosity, params.ui, params.n_ctx, params.n_parallel = 0, False, 512, 1
server = xllamacpp.Server(params)  # kept: without a name it would be gone again
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""
LOAD_SECONDS = 60.0
HARD = "In 1995  the town\n\n had 2,150 — naïve “quotes” I'll don't: ½ x² été 東京 tabs\tend  \n ok's 100% 😀"
Ask = Callable[[str, dict[str, Any]], Any]


@contextmanager
def engine(path: Path) -> Iterator[Ask]:
    """The engine's native server with a file, in a process of its own."""
    words = [sys.executable, "-c", ENGINE, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], LOAD_SECONDS)
        if not readable:
            process.kill()
        address = process.stdout.readline().decode().strip()
        assert address, f"the engine does not load {path}"

        def ask(where: str, body: dict[str, Any]) -> Any:
            request = urllib.request.Request(
                f"{address}{where}", json.dumps(body).encode(), {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=100) as answer:
                return json.load(answer)

        try:
            yield ask
        finally:
            process.kill()


def embedded() -> Path:
    """The embedded model's file."""
    path = locate(CHAT_WEIGHTS)
    assert path is not None
    return path


def said(weights: Weights, ids: list[int]) -> Floats:
    """Logarithms of the shares of all tokens after these, by the forward pass here."""
    model = Llama(weights)
    hidden = model.start(np.array(ids))
    for layer in range(model.sizes.layers):
        hidden = model.through(model.layer(layer), hidden)
    scores = model.finish(hidden[-1:])[0] @ model.head().T
    found: Floats = scores - scores.max() - np.log(np.exp(scores - scores.max()).sum())
    return found


def likeliest(ask: Ask, ids: list[int], count: int) -> dict[int, float]:
    """The engine's most likely tokens after these, with the logarithms of their shares."""
    body = {"prompt": ids, "n_predict": 1, "n_probs": count, "temperature": 0.0, "cache_prompt": False}
    (found,) = ask("/completion", body)["completion_probabilities"]
    return {each["id"]: each["logprob"] for each in found["top_logprobs"]}


def test_tokens_are_the_engine_s() -> None:
    """Of the shipped text, and of one with digits, spaces, several scripts and signs."""
    weights = read_weights(np.memmap(embedded(), np.uint8, "r").data)
    tokenizer = Tokenizer(weights.about)
    with engine(embedded()) as ask:
        for text in (shipped_text().text, HARD):
            assert tokenizer.encode(text) == ask("/tokenize", {"content": text})["tokens"]


def test_scores_are_the_engine_s(tmp_path: Path) -> None:
    """Within 0.01 nats for a small model in float32, whose cache the engine keeps in float16."""
    path = tmp_path / "tiny.gguf"
    needed: dict[str, Any] = {  # by the engine
        "llama.vocab_size": U32(len(VOCABULARY)),
        "llama.rope.dimension_count": U32(WIDTH // HEADS),
        "tokenizer.ggml.token_type": [1] * len(VOCABULARY),
        "tokenizer.ggml.bos_token_id": U32(0),
        "tokenizer.ggml.eos_token_id": U32(0),
        "tokenizer.ggml.add_bos_token": False,
    }
    path.write_bytes(tiny_model(**needed))
    weights = read_weights(memoryview(path.read_bytes()))
    ids = Tokenizer(weights.about).encode(TEXT)[:100]
    with engine(path) as ask:
        expected = likeliest(ask, ids, 20)
    found = said(weights, ids)
    assert len(expected) == 20
    assert max(abs(found[number] - share) for number, share in expected.items()) < 0.01


def test_the_embedded_model_says_what_it_says_in_the_engine() -> None:
    """Within 0.15 nats, because the engine also rounds activations to eight bits; the first token is the same."""
    weights = read_weights(np.memmap(embedded(), np.uint8, "r").data)
    ids = Tokenizer(weights.about).encode(shipped_text().text)[:96]
    with engine(embedded()) as ask:
        expected = likeliest(ask, ids, 5)
    found = said(weights, ids)
    assert int(found.argmax()) == next(iter(expected))
    assert max(abs(found[number] - share) for number, share in expected.items()) < 0.15


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nvfp4_beats_mxfp4_on_the_embedded_model() -> None:
    """In the error of its weights and in perplexity; integers with a float16 scale for 32 lie in between."""
    weights = read_weights(np.memmap(embedded(), np.uint8, "r").data)
    ids = np.array(Tokenizer(weights.about).encode(shipped_text().text)[:256])
    names = ("nvfp4", "int4-32", "mxfp4")
    found = measure(Llama(weights), ids, [SCHEMES[name] for name in names], lambda _: None)
    errors = [total(each for each in found.damages if each.scheme == name).relative for name in names]
    apart = [float(found.readings[name].divergence.mean()) for name in names]
    assert errors == sorted(errors)
    assert apart == sorted(apart)
    assert (
        found.readings[AS_STORED].perplexity < found.readings["nvfp4"].perplexity < found.readings["mxfp4"].perplexity
    )


async def compared(gateway: Gateway, a: str, b: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of `tokenway grade compare`."""
    words = ("grade", "compare", a, b, "--prompts", "14", "--base-url", gateway.base_url, "--key", KEY, "--json")
    process = await asyncio.create_subprocess_exec(
        *Gateway.command(*words), stdout=subprocess.PIPE, env=gateway.environment, cwd=gateway.home
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_quiet_switch_to_four_bits_is_seen(
    launch: Callable[..., Awaitable[Gateway]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And the same file under another name raises no alarm, through a real gateway with a real engine."""
    switched = tmp_path_factory.mktemp("weights") / "switched.gguf"
    data = np.memmap(embedded(), np.uint8, "r").data
    rewrite(switched, data, repacked(read_weights(data), as_mxfp4))
    models = {"twin": str(embedded()), "switched": str(switched)}
    config = {
        "auth": {"keys": [{"name": "ci", "key": KEY}]},
        "providers": {"local": {"enabled": True, "models": models}},
    }
    gateway = await launch(config, TOKENWAY_LOCAL="on")
    status, found = await compared(gateway, "local", "twin")
    assert (status, found["verdict"]) != (1, "different"), found
    assert found["drift"]["prompts"] >= 10, "log-probabilities come through the gateway"
    status, found = await compared(gateway, "local", "switched")
    assert (status, found["verdict"]) == (1, "different"), found
    assert found["drift"]["more"]["value"] > 0.1
