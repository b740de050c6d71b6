"""The converters do what the golden files say; `python -m tests.golden.build` writes these anew, for a diff to read."""

from __future__ import annotations

import json

import pytest

from tests.golden import build
from tokenway.dialects.base import Format
from tokenway.model.catalog import Dialect
from tokenway.model.errors import ErrorType

PAIRS = [pytest.param(*pair, id=f"{pair[0].dialect}--{pair[1].dialect}") for pair in build.pairs(build.formats())]
needs_formats = pytest.mark.skipif(not PAIRS, reason="fewer than two dialects are converted")


def differences(made: dict[str, bytes], prefix: str) -> list[str]:
    """The files that are missing, stale, or hold something else."""
    there = {name for name in build.present() if name.startswith(prefix)}
    changed = [name for name in there & made.keys() if (build.ROOT / name).read_bytes() != made[name]]
    return sorted([*(there ^ made.keys()), *changed])


def test_the_answers_are_what_the_fake_provider_says() -> None:
    """Every reply is there in every dialect, whole and streamed, and nothing else."""
    assert differences(build.answer_files(), "cases/answers/") == []


def test_failures_are_told_as_written() -> None:
    """Each kind of failure in each dialect, as an answer and at the end of a stream."""
    assert differences(build.error_files(), "errors/") == []
    assert {problem.type for problem in build.PROBLEMS.values()} == set(ErrorType)


def test_rescued_streams_go_on_as_written() -> None:
    """In each caller's dialect: behind what had passed, behind what was translated, and behind a beginning alone."""
    assert differences(build.rescued_files(), "rescued/") == []


@pytest.mark.parametrize("dialect", Dialect)
def test_the_requests_cover_a_dialect(dialect: Dialect) -> None:
    """There are enough of them, each an object, and all dialects have the ones that everybody writes."""
    cases = build.request_cases(dialect)
    assert len(cases) >= 12
    assert {"minimal", "multi-turn-stream", "tools", "parallel-tool-results", "image-base64", "pdf", "json-schema"} <= {
        *cases
    }
    for case in cases:
        assert isinstance(json.loads((build.REQUESTS / dialect / f"{case}.json").read_bytes()), dict)


@needs_formats
@pytest.mark.parametrize(("caller", "upstream"), PAIRS)
def test_a_pair_converts_as_written(caller: Format, upstream: Format) -> None:
    """Requests, what is dropped of them, answers and streams of one caller's dialect through one upstream's."""
    prefix = f"{caller.dialect}--{upstream.dialect}/"
    assert differences(build.pair_files(caller, upstream), prefix) == []
