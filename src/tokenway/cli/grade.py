"""`tokenway grade`: what formats of few bits cost in accuracy, and whether two endpoints serve the same model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from tokenway.cli.connection import Connection
from tokenway.cli.options import AsJson
from tokenway.cli.reporting import check_picture, planning, present, print_report

USUAL: Final = ("fp8", "mxfp8", "mxfp6", "int8", "nvfp4", "mxfp4", "int4-32", "int4-128", "int4-128-asym")
"""The formats that are measured when none is named."""
DIFFERENT: Final = 1
"""Exit status of a comparison that found a difference, so that a schedule can raise an alarm."""

Plot = Annotated[Path | None, Parameter(help="Draw a picture into this file: .png, .svg or .html.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Keys:
    """What the endpoints are called with, where it is not the gateway's key."""

    key_a: Annotated[str | None, Parameter(help="Key for A, where it is not the gateway's.")] = None
    key_b: Annotated[str | None, Parameter(help="Key for B, where it is not the gateway's.")] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Asking:
    """How much is asked, and from when on two endpoints are different."""

    prompts: Annotated[int | None, Parameter(help="Prompts of the sixty.", validator=Number(gte=1))] = None
    rounds: Annotated[int, Parameter(help="How often each is asked.", validator=Number(gte=1, lte=5))] = 2
    at_once: Annotated[int, Parameter(help="Requests at a time.", validator=Number(gte=1, lte=64))] = 4
    margin: Annotated[float, Parameter(help="Drift in nats up to which two are the same.", validator=Number(gt=0))] = (
        0.03
    )


def formats(*, as_json: AsJson = False) -> None:
    """List the formats of weights that can be graded, with their bits.

    For example:
      tokenway grade formats
    """
    with planning():
        from tokenway.planner.grade.reports import formats_report  # noqa: PLC0415 - the help needs no numpy

        print_report(formats_report(), as_json=as_json)


def weights(
    file: Annotated[Path | None, Parameter(help="GGUF or safetensors file [otherwise the embedded model's].")] = None,
    /,
    *,
    format: Annotated[  # noqa: A002 - what the option is called
        tuple[str, ...],
        Parameter(help="A format to measure; may be repeated [otherwise the usual ones].", show_default=False),
    ] = (),
    text: Annotated[Path | None, Parameter(help="Text for the perplexity [otherwise a shipped one].")] = None,
    tokens: Annotated[
        int | None, Parameter(help="Tokens of it, at most [otherwise all].", validator=Number(gte=64))
    ] = None,
    errors_only: Annotated[bool, Parameter(help="Leave perplexity out.", show_default=False)] = False,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Measure what formats of few bits cost a model: error of its weights, size, perplexity.

    Each format is emulated to the bit and applied to the model's matrices;
    embeddings, head and norms stay as they are. Perplexity is that of a real
    text in the model with these weights (GGUF files of the llama
    architecture). The embedded model takes a minute or two.

    For example:
      tokenway grade weights
      tokenway grade weights model.gguf --format nvfp4 --format mxfp4
      tokenway grade weights model.safetensors --plot formats.svg
    """
    check_picture(plot)
    with planning():
        from tokenway.cli import grading  # noqa: PLC0415 - the help needs no numpy
        from tokenway.planner.grade.blocks import scheme_of  # noqa: PLC0415 - the same

        schemes = list({scheme.name: scheme for scheme in map(scheme_of, format or USUAL)}.values())
        told = None if errors_only else grading.Told(text, tokens)
        graded = grading.grade_file(file or grading.embedded_model(), schemes, told)
        present(graded.report, as_json=as_json, plot=plot, draw=lambda: grading.draw(graded))


def compare(
    a: Annotated[str, Parameter(help="A model of the gateway, or MODEL@URL of any OpenAI-compatible endpoint.")],
    b: Annotated[str, Parameter(help="The one that should be the same.")],
    /,
    *,
    keys: Keys | None = None,
    asking: Asking | None = None,
    plot: Plot = None,
    as_json: AsJson = False,
    connection: Connection | None = None,
) -> int:
    """Compare two endpoints that offer the same model, to see whether one is in fewer bits, or another.

    Both are asked the same prompts at temperature 0, several times, so that
    what an endpoint differs from itself is known. Log-probabilities decide
    where both give them. Exit status 1 when they are different.

    For example:
      tokenway grade compare groq/llama-3.3-70b-versatile deepinfra/llama-3.3-70b
      tokenway grade compare llama-70b "llama-70b@https://example.org/v1" --key-b sk-1
    """
    check_picture(plot)
    with planning():
        from tokenway.cli import comparing  # noqa: PLC0415 - the help needs no numpy
        from tokenway.cli.asking import Pair  # noqa: PLC0415 - the same

        given = keys or Keys()
        sides = ((a, given.key_a), (b, given.key_b))
        pair = Pair(*(comparing.endpoint_of(name, key, connection) for name, key in sides))
        compared = comparing.run(pair, asking or Asking())
        present(compared.report, as_json=as_json, plot=plot, draw=compared.draw)
    return DIFFERENT if compared.is_different else 0
