"""What a caller is told of what an upstream's dialect cannot say: names that stand in its own request."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.golden.build import REQUESTS, ROOT
from tokenway.dialects.registry import FORMATS
from tokenway.edge.crossing import TOLD, spelled
from tokenway.model.catalog import Dialect
from tokenway.model.request import Tool

OTHER_WORDS: Final = {
    "reasoning_effort": "reasoning",
    "safety_identifier": "user",
    "includeThoughts": "thinkingConfig",
} | {"stopSequences": "stop_sequences"}
"""Names that a dialect has two of: the caller may have written the other one, or the object around it."""

A, B, G, C, R = Dialect.ANTHROPIC, Dialect.BEDROCK, Dialect.GEMINI, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES

EXPECTED: Final[dict[str, dict[Dialect, str]]] = {
    "stop": {A: "stop_sequences", B: "inferenceConfig.stopSequences", G: "stopSequences", C: "stop"},
    "top_k": {A: "top_k", B: "additionalModelRequestFields.top_k", G: "topK", C: "top_k"},
    "thinking": {A: "thinking", G: "thinkingConfig", C: "reasoning_effort", R: "reasoning"},
    "reasoning": {
        A: "messages.thinking",
        B: "reasoningContent",
        G: "thoughtSignature",
        C: "reasoning_details",
        R: "input.reasoning",
    },
    "shown": {A: "thinking.display", G: "includeThoughts", C: "reasoning.exclude", R: "reasoning.summary"},
    "summary": {C: "reasoning.summary", R: "reasoning.summary"},
    "title": {A: "title", B: "document.name", G: "displayName", C: "filename", R: "filename"},
    "user": {A: "metadata.user_id", C: "user", R: "safety_identifier"},
    "cache_control": {A: "cache_control", B: "cachePoint", C: "cache_control", R: "prompt_cache_breakpoint"},
    "response_format": {
        A: "output_config.format",
        B: "outputConfig.textFormat",
        G: "responseMimeType",
        C: "response_format",
        R: "text.format",
    },
    "tool_choice": {A: "tool_choice", B: "toolConfig.toolChoice", G: "toolConfig", C: "tool_choice", R: "tool_choice"},
    "parallel_tool_calls": {A: "tool_choice.disable_parallel_tool_use", C: "parallel_tool_calls"},
    "service_tier": {A: "service_tier", B: "serviceTier", G: "serviceTier", C: "service_tier", R: "service_tier"},
    "strict": {A: "strict", B: "toolSpec.strict", C: "strict", R: "strict"},
}
"""Neutral names as a caller of a dialect knows them, by hand from the vendors' references."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_neutral_name_is_told_in_the_callers_words(name: str) -> None:
    """Each dialect that can say it has its own."""
    assert {caller: spelled((name,), FORMATS[caller]) for caller in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("caller", Dialect)
def test_what_is_told_stands_in_the_callers_request(caller: Dialect) -> None:
    """Every name in every golden file is one that its caller wrote."""
    unknown = []
    for path in ROOT.glob(f"{caller}--*/*/dropped.txt"):
        request = (REQUESTS / caller / f"{path.parent.name}.json").read_text()
        for name in path.read_text().split():
            word = name.rpartition(".")[2]
            if f'"{word}"' not in request and f'"{OTHER_WORDS.get(word)}"' not in request:
                unknown.append(f"{path.parent.name}: {name}")
    assert unknown == []


@pytest.mark.parametrize(
    ("tool", "caller", "expected"),
    [
        (Tool("c", hosted="file_search"), C, "tools.file_search"),
        (Tool("s", hosted="web_search_20250305"), A, "tools.web_search_20250305"),
        (Tool("s", hosted="googleSearch"), G, "tools.googleSearch"),
        (Tool("s", hosted="systemTool"), B, "toolConfig.tools.systemTool"),
    ],
)
def test_a_kind_of_tools_stands_among_the_callers_tools(tool: Tool, caller: Dialect, expected: Any) -> None:
    """The other tools were said."""
    assert spelled((tool.declared,), FORMATS[caller]) == expected


def test_a_header_holds_only_so_many_names() -> None:
    """A body may have any number of members that nobody knows."""
    names = tuple(f"field_{number:06}" for number in range(1000))
    told = spelled(names, FORMATS[C]).split(",")
    assert told[:-1] == list(names[: TOLD // len("field_000000,")])
    assert told[-1] == f"{1000 - len(told) + 1}-more"
    assert spelled(("x" * 5000, "seed"), FORMATS[C]) == "2-more"
