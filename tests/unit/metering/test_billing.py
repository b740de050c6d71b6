"""Providers' own files: known by their headers, read exactly, and clear about what they do not say."""

from __future__ import annotations

import pytest

from tokenway.metering.billing import ALL_MODELS, ExportFault, normal, read_export

OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,\
service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens
1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,proj_1,3.0,,key_1,gpt-4o-2024-08-06,False,\
default,7162,900,1280,5882
1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,proj_1,1.0,,key_2,gpt-4o-2024-08-06,False,\
default,10,2,0,10
1767312000,1767398400,2026-01-02T00:00:00+00:00,2026-01-03T00:00:00+00:00,,,,,,,,,,,
"""
OPENAI_COSTS = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id
1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,0.0145,usd,"gpt-4o-2024-08-06, input",p,o
1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,0.0090000000000,usd,"gpt-4o, output",p,o
1767312000,1767398400,2026-01-02T00:00:00+00:00,2026-01-03T00:00:00+00:00,,,,,
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
usage_output_tokens,web_search_count,inference_geo,speed
2026-01-01,claude-sonnet-4-5-20250929,a key,"Default, all",standard,≤ 200k,"46,981",15969,3,4,16932,2,global,
2026-01-01 13:00,claude-sonnet-4-5-20250929,a key,Default,standard,≤ 200k,19,1,0,0,8,0,global,
"""
ANTHROPIC_COSTS = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd
2026-01-01,Claude Sonnet 4.5,Default,k,standard,≤ 200k,input_no_cache,0.141
2026-01-01,Claude Sonnet 4.5,Default,k,standard,≤ 200k,output,0.254100001
"""


def test_openais_usage_is_read() -> None:
    """Cached tokens are part of the input there; days without use are days of the file."""
    found = read_export(OPENAI_USAGE)

    assert (found.shape, found.provider, found.days, found.notes) == ("openai usage", "openai", (20_454, 20_455), [])
    assert found.figures == {
        (20_454, "gpt-4o"): {"requests": 4, "input": 5_892, "cache_read": 1_280, "output": 902},
    }


def test_openais_costs_are_read() -> None:
    """Line items are of models; money is exact to the nano-dollar."""
    found = read_export(OPENAI_COSTS)

    assert found.figures == {(20_454, "gpt-4o"): {"cost": 23_500_000}}
    together = read_export(OPENAI_COSTS.replace('"gpt-4o-2024-08-06, input"', "").replace('"gpt-4o, output"', ""))
    assert together.figures == {(20_454, ALL_MODELS): {"cost": 23_500_000}}


def test_anthropics_usage_is_read() -> None:
    """Every kind of input stands by itself; hours are added up to their day."""
    found = read_export(ANTHROPIC_USAGE)

    assert (found.shape, found.provider) == ("anthropic usage", "anthropic")
    assert found.figures == {
        (20_454, "claude-sonnet-4-5"): {
            "input": 47_000,
            "cache_read": 4,
            "cache_write_5m": 15_970,
            "cache_write_1h": 3,
            "output": 16_940,
            "searches": 2,
        }
    }


def test_anthropics_costs_are_read() -> None:
    """Their models are written as people write them."""
    assert read_export(ANTHROPIC_COSTS).figures == {(20_454, "claude-sonnet-4-5"): {"cost": 395_100_001}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1: the header is of no export"),
        ("a,b\n1,2\n", "line 1: the header is of no export that is known (openai usage: end_time"),
        ("start_time,end_time,start_time_iso,end_time_iso\n1,2,3,4\n", "without columns of counts"),
        (OPENAI_USAGE.splitlines()[0] + "\n", "no row below the header"),
        (OPENAI_USAGE.replace("7162", "7161"), "line 2: input_uncached_tokens and input_cached_tokens do not add up"),
        (OPENAI_USAGE.replace("900", "nine"), "line 2: output_tokens is not a number: 'nine'"),
        (OPENAI_USAGE.replace(",10,2,0,10", ",10,2,0"), "line 3: it has not as many values as the header"),
        (OPENAI_COSTS.replace("usd", "eur"), "line 2: the amount is not in US dollars: 'eur'"),
        (ANTHROPIC_USAGE.replace("2026-01-01,", "yesterday,"), "line 2: no date: 'yesterday'"),
        (ANTHROPIC_USAGE.replace("16932", "NaN"), "line 2: usage_output_tokens is not a number"),
        (ANTHROPIC_COSTS + '2026-01-01,"x', "line 4: unexpected end of data"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, fault: str) -> None:
    """With its line."""
    with pytest.raises(ExportFault) as error:
        read_export(text)

    assert fault in str(error.value)


def test_what_is_not_understood_is_said() -> None:
    """New columns, and rows that are of no model, are left out and named."""
    lines = (
        ANTHROPIC_COSTS.replace("cost_usd", "cost_usd,tax").replace("141\n", "141,1\n").replace("0001\n", "0001,2\n")
    )
    found = read_export(lines + "2026-01-01,,Default,k,standard,,web_search,5,0\n")

    assert found.notes == [
        "columns that are not understood, and left out: tax",
        "line 4: it names no model, and is left out",
    ]
    assert sum(row["cost"] for row in found.figures.values()) == 395_100_001


def test_names_of_models_meet() -> None:
    """Whether written with a date, a version's point, or as people write them."""
    same = ("Claude Sonnet 4.5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929", "claude-sonnet-4.5")

    assert {normal(name) for name in same} == {"claude-sonnet-4-5"}
    assert normal("gpt-4o-2024-08-06") == "gpt-4o"
    assert normal("gpt-4o-mini") != normal("gpt-4o")
