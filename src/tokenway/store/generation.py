"""One exchange of the ledger in the fields of OpenRouter's `GET /generation`.

Money is in dollars and durations in milliseconds, as there. What is not known is None, and what no provider reported is
not invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tokenway.metering.ledger import Settlement
from tokenway.model.money import NANO_PER_USD
from tokenway.model.usage import BUCKETS, PIECES, Usage
from tokenway.store.calls import CLIENT_GONE
from tokenway.store.sums import PAYABLE

_NOT_TOLD: Final[Mapping[str, object]] = {
    "app_id": None,
    "data_region": "global",
    "external_user": None,
    "http_referer": None,
    "num_fetches": None,
    "num_input_audio_prompt": None,
    "num_media_prompt": None,
    "num_search_results": None,
    "origin": "",
    "preset_id": None,
    "user_agent": None,
    "web_search_engine": None,
    "workspace_id": None,
}
"""What OpenRouter's clients insist upon, and the ledger does not have."""


def generation(row: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer, of the exchange's row with its kind, and its entries."""
    answer = next((line for line in lines if line["settlement"] in PAYABLE), None)
    usage = None
    if answer is not None and answer["input_uncached"] is not None and not answer["absurd"]:
        usage = Usage(*(answer[name] for name in BUCKETS))
    costs = [line["cost"] for line in lines if line["cost"] is not None]
    ttft, duration = row["ttft"], row["duration"]
    charged = row["charged"] / NANO_PER_USD
    started = datetime.fromtimestamp(row["at"] - (duration or 0.0), UTC)
    prompt = usage.input_tokens if usage else None
    completion = usage.output_tokens if usage else None
    return {
        **_NOT_TOLD,
        "id": row["id"],
        "request_id": row["id"],
        "upstream_id": None,
        "session_id": row["run"],
        "api_type": row["operation"],
        "model": row["model"],
        "provider_name": row["endpoint"].partition("/")[0] or None,
        "endpoint": row["endpoint"] or None,
        "router": None,
        "streamed": bool(row["stream"]),
        "cancelled": row["settlement"] == Settlement.UPSTREAM_BILLED.value or row["status"] == CLIENT_GONE,
        "created_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "finish_reason": row["finish_reason"] or None,
        "native_finish_reason": row["finish_reason"] or None,
        "latency": _milliseconds(duration if ttft is None else ttft),
        "generation_time": _milliseconds(duration if ttft is None or duration is None else duration - ttft),
        "moderation_latency": None,
        "tokens_prompt": prompt,
        "tokens_completion": completion,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": completion,
        "native_tokens_reasoning": usage.reasoning if usage else None,
        "native_tokens_cached": usage.cache_read if usage else None,
        "native_tokens_completion_images": usage.image_out if usage else None,
        "num_media_completion": usage.images or None if usage else None,
        "pieces": {name: count for name in PIECES if (count := getattr(usage, name))} if usage else None,
        "usage": charged,
        "total_cost": charged,
        "upstream_inference_cost": sum(costs) / NANO_PER_USD if costs else None,
        "cache_discount": None,
        "is_byok": False,
        "status": row["status"],
        "error_type": row["error_type"] or None,
        "settlement": row["settlement"],
        "service_tier": answer["service"] or None if answer is not None else None,
        "output_tps": row["output_speed"],
        "provider_responses": [
            {
                "provider_name": line["endpoint"].partition("/")[0],
                "endpoint": line["endpoint"],
                "status": line["status"],
                "settlement": line["settlement"],
                "fault": line["fault"] or None,
            }
            for line in lines
            if line["settlement"] != Settlement.EXPIRED.value
        ],
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
