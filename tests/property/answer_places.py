"""What of an answer another dialect has no place for: by hand, from the vendors' references, with the reason.

Each row names leaves of a dialect's answer (`tests.property.answer_types`), a path standing for all below it, and what
the page of that dialect in `docs/dialects` says of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from tests.property.answer_types import Leaf, leaves
from tokenway.model.catalog import Dialect

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
ALL: Final = frozenset(Dialect)
NO_RANGES: Final = frozenset({ANTHROPIC, BEDROCK})
"""Their citations belong to a block of text, not to a stretch of it; and they have no log probabilities."""


@dataclass(frozen=True)
class Row:
    """Leaves that are not told to callers of the dialects `to`; `said` stands on the page of the answer's dialect."""

    said: str
    paths: str
    to: frozenset[Dialect] = ALL

    def holds(self, path: str) -> bool:
        """Whether a leaf is one of these."""
        return any(path == each or path.startswith((f"{each}.", f"{each}[", f"{each}:")) for each in self.paths.split())


_CONTENT: Final = "output.message.content[]"
_TEXT: Final = "output[]:message.content[]:output_text"
_PART: Final = "candidates[].content.parts[]"
_GROUNDING: Final = "candidates[].groundingMetadata"
_CHUNK: Final = f"{_GROUNDING}.groundingChunks[]"


def _below(prefix: str, names: str) -> str:
    return " ".join(f"{prefix}{name}" for name in names.split())


UNTOLD: Final[dict[Dialect, tuple[Row, ...]]] = {
    CHAT: (
        Row("the gateway's own: id, time and model", "id created model object choices[].index"),
        Row("`role` and `type`, which say what the place says", "choices[].message.role"),
        Row(
            "`role` and `type`, which say what the place says",
            _below("choices[].message.", "annotations[].type tool_calls[]:function.type tool_calls[]:custom.type"),
        ),
        Row("log probabilities", "choices[].logprobs.content", NO_RANGES),
        Row(
            "`bytes` of tokens",
            _below(
                "choices[].logprobs.",
                "content[].bytes content[].top_logprobs[].bytes refusal[].bytes refusal[].top_logprobs[].bytes",
            ),
            frozenset({GEMINI}),
        ),
        Row("log probabilities of a refusal", "choices[].logprobs.refusal", NO_RANGES | {RESPONSES}),
        Row("where a source stands in the text", "choices[].message.annotations[].url_citation.end_index", NO_RANGES),
        Row("where a source stands in the text", "choices[].message.annotations[].url_citation.start_index", NO_RANGES),
        Row("sound, which only a caller of chat can ask for", "choices[].message.audio"),
        Row("`metadata`, `moderation`, `system_fingerprint`", "metadata moderation system_fingerprint"),
        Row("`service_tier`", "service_tier"),
    ),
    RESPONSES: (
        Row("the gateway's own: ids, times and model", "id created_at completed_at model object"),
        Row(
            "the gateway's own: ids, times and model",
            _below("output[]:", "message.id function_call.id custom_tool_call.id image_generation_call.id"),
        ),
        Row("the gateway's own: ids, times and model", "output[]:reasoning.id", ALL - {CHAT}),
        Row("settings of the request, told back", "metadata parallel_tool_calls temperature top_p background"),
        Row("settings of the request, told back", "max_output_tokens max_tool_calls previous_response_id"),
        Row("settings of the request, told back", "prompt_cache_key prompt_cache_retention safety_identifier"),
        Row("settings of the request, told back", "top_logprobs truncation user"),
        Row("`service_tier`", "service_tier"),
        Row("`access_programs`, `image`, `input_transformations`", "access_programs image input_transformations"),
        Row("`moderation`, `prompt_cache_diagnostics`", "moderation prompt_cache_diagnostics"),
        Row("no answer", "error"),
        Row("what tools used beside the model", "tool_usage.image_gen"),
        Row("what tools used beside the model", "tool_usage.web_search", frozenset({GEMINI, BEDROCK})),
        Row("sources without an address", _below(f"{_TEXT}.annotations[]:", "file_citation file_path")),
        Row("sources without an address", f"{_TEXT}.annotations[]:container_file_citation"),
        Row("`role`, `status`, `phase`", _below("output[]:", "message.role message.status message.phase")),
        Row("`role`, `status`, `phase`", _below("output[]:", "function_call.status reasoning.status")),
        Row("types, which say what the place says", f"{_TEXT}.annotations[]:url_citation.type"),
        Row("types, which say what the place says", _below("output[]:reasoning.", "summary[].type content[].type")),
        Row("where a source stands in the text", f"{_TEXT}.annotations[]:url_citation.end_index", NO_RANGES),
        Row("where a source stands in the text", f"{_TEXT}.annotations[]:url_citation.start_index", NO_RANGES),
        Row("log probabilities", f"{_TEXT}.logprobs", NO_RANGES),
        Row("`bytes` of tokens", f"{_TEXT}.logprobs[].bytes", frozenset({GEMINI})),
        Row("`bytes` of tokens", f"{_TEXT}.logprobs[].top_logprobs[].bytes", frozenset({GEMINI})),
        Row("`async`, `caller`, `namespace`", _below("output[]:function_call.", "async caller namespace")),
        Row("`async`, `caller`, `namespace`", _below("output[]:custom_tool_call.", "async caller namespace")),
        Row(
            "how a picture was made",
            _below("output[]:image_generation_call.", "status action background error quality revised_prompt size"),
        ),
        Row("how a picture was made", "output[]:image_generation_call.svg_usage"),
        Row(
            "items of hosted tools",
            _below(
                "output[]:",
                "file_search_call function_call_output web_search_call computer_call computer_call_output program "
                "program_output tool_search_call tool_search_output additional_tools compaction code_interpreter_call "
                "local_shell_call local_shell_call_output shell_call shell_call_output apply_patch_call "
                "apply_patch_call_output mcp_call mcp_list_tools mcp_approval_request mcp_approval_response "
                "custom_tool_call_output",
            ),
        ),
    ),
    ANTHROPIC: (
        Row("the gateway's own: id and model", "id model"),
        Row("`role` and `type`, which say what the place says", "role type stop_details.type"),
        Row("`container`, `context_management`, `diagnostics`, `input_transformations`", "container diagnostics"),
        Row(
            "`container`, `context_management`, `diagnostics`, `input_transformations`",
            "context_management input_transformations",
        ),
        Row("places in documents", _below("content[]:text.citations[]:", "char_location page_location")),
        Row("places in documents", "content[]:text.citations[]:content_block_location"),
        Row(
            "the words of a source",
            "content[]:text.citations[]:web_search_result_location.cited_text",
            frozenset({RESPONSES}),
        ),
        Row(
            "the words of a source",
            "content[]:text.citations[]:search_result_location.cited_text",
            frozenset({RESPONSES}),
        ),
        Row(
            "where among the results it was found",
            _below("content[]:text.citations[]:web_search_result_location.", "encrypted_index type"),
        ),
        Row(
            "where among the results it was found",
            _below(
                "content[]:text.citations[]:search_result_location.",
                "end_block_index search_result_index start_block_index type",
            ),
        ),
        Row("`caller`, `toolset_name`", _below("content[]:tool_use.", "caller toolset_name")),
        Row(
            "Blocks that only Anthropic has",
            " ".join(
                _below(f"content[]:{kind}.", names)
                for kind, names in {
                    "server_tool_use": "id input name caller",
                    "web_search_tool_result": "content tool_use_id caller",
                    "web_fetch_tool_result": "content tool_use_id caller",
                    "advisor_tool_result": "content tool_use_id",
                    "code_execution_tool_result": "content tool_use_id",
                    "bash_code_execution_tool_result": "content tool_use_id",
                    "text_editor_code_execution_tool_result": "content tool_use_id",
                    "tool_search_tool_result": "content tool_use_id",
                    "mcp_tool_use": "id input name server_name",
                    "mcp_tool_result": "content is_error tool_use_id",
                    "mcp_tool_listing": "mcp_server_name tools",
                    "container_upload": "file_id",
                    "compaction": "content encrypted_content signature tool_changes",
                    "fallback": "from to trigger",
                }.items()
            ),
        ),
        Row("a refusal's category and what to try instead", _below("stop_details.", "category recommended_model")),
        Row(
            "a refusal's category and what to try instead",
            _below("stop_details.", "fallback_credit_token fallback_has_prefill_claim"),
        ),
        Row("why it was refused, for a caller of Bedrock", "stop_details.explanation", frozenset({BEDROCK})),
        Row("which stop sequence was met", "stop_sequence", frozenset({CHAT, RESPONSES, GEMINI})),
    ),
    GEMINI: (
        Row("the gateway's own: id, time and model", "responseId createTime modelVersion candidates[].index"),
        Row("`role`", "candidates[].content.role"),
        Row(
            "`avgLogprobs`, `tokenCount`, `safetyRatings`",
            _below("candidates[].", "avgLogprobs tokenCount safetyRatings"),
        ),
        Row("`avgLogprobs`, `tokenCount`, `safetyRatings`", "promptFeedback.safetyRatings"),
        Row("`urlContextMetadata`, `continuationToken`, `modelStatus`", "candidates[].urlContextMetadata modelStatus"),
        Row("`urlContextMetadata`, `continuationToken`, `modelStatus`", "candidates[].continuationToken"),
        Row("Google's word for why the prompt was blocked", "promptFeedback.blockReason", ALL - {CHAT}),
        Row("its message, for a caller of Bedrock", "promptFeedback.blockReasonMessage", frozenset({BEDROCK})),
        Row("its message, for a caller of Bedrock", "candidates[].finishMessage", frozenset({BEDROCK})),
        Row("parts of Gemini's own", _below(f"{_PART}.", "codeExecutionResult executableCode functionResponse")),
        Row("parts of Gemini's own", _below(f"{_PART}.", "toolCall toolResponse audioTranscription")),
        Row(
            "what is said of a part beside its content",
            _below(
                f"{_PART}.",
                "mediaResolution videoMetadata partMetadata mediaProcessing speechMetadata documentMetadata "
                "spreadsheetMetadata audioMetadata fileData.displayName inlineData.displayName fileData.mimeType",
            ),
        ),
        Row("a call in pieces is refused", _below(f"{_PART}.functionCall.", "partialArgs")),
        Row(
            "`license`, `publicationDate`",
            _below("candidates[].citationMetadata.citations[].", "license publicationDate"),
        ),
        Row(
            "where a source stands in the text",
            _below("candidates[].citationMetadata.citations[].", "startIndex endIndex"),
            NO_RANGES,
        ),
        Row(
            "where a source stands in the text",
            _below(f"{_GROUNDING}.groundingSupports[].segment.", "startIndex endIndex text"),
            NO_RANGES,
        ),
        Row(
            "more about a grounding than its sources",
            _below(
                f"{_GROUNDING}.",
                "imageSearchQueries groundingSupports[].confidenceScores groundingSupports[].segment.partIndex "
                "groundingSupports[].renderedParts retrievalMetadata searchEntryPoint webSearchQueries "
                "googleMapsWidgetContextToken retrievalQueries sourceFlaggingUris",
            ),
        ),
        Row(
            "more about a source than its address, title and text",
            _below(
                f"{_CHUNK}.",
                "image.imageUri image.domain maps.placeAnswerSources maps.placeId maps.route web.domain "
                "retrievedContext.documentName retrievedContext.ragChunk retrievedContext.customMetadata "
                "retrievedContext.fileSearchStore retrievedContext.pageNumber retrievedContext.mediaId",
            ),
        ),
        Row("a source's text, for a caller of Responses", f"{_CHUNK}.maps.text", frozenset({RESPONSES})),
        Row("a source's text, for a caller of Responses", f"{_CHUNK}.retrievedContext.text", frozenset({RESPONSES})),
        Row("log probabilities", "candidates[].logprobsResult.chosenCandidates", NO_RANGES),
        Row("log probabilities", "candidates[].logprobsResult.topCandidates", NO_RANGES),
        Row("`tokenId`, `logProbabilitySum`", "candidates[].logprobsResult.logProbabilitySum"),
        Row(
            "`tokenId`, `logProbabilitySum`", "candidates[].logprobsResult.chosenCandidates[].tokenId", ALL - NO_RANGES
        ),
        Row(
            "`tokenId`, `logProbabilitySum`",
            "candidates[].logprobsResult.topCandidates[].candidates[].tokenId",
            ALL - NO_RANGES,
        ),
    ),
    BEDROCK: (
        Row("`role`", "output.message.role"),
        Row("`metrics`, `trace`, `performanceConfig`, `serviceTier`", "metrics trace performanceConfig serviceTier"),
        Row(
            "`bucketOwner`, `context`, `citations`",
            _below(f"{_CONTENT}.", "image.source.s3Location.bucketOwner document.source.s3Location.bucketOwner"),
        ),
        Row(
            "`bucketOwner`, `context`, `citations`",
            _below(f"{_CONTENT}.", "video.source.s3Location.bucketOwner audio.source.s3Location.bucketOwner"),
        ),
        Row("`bucketOwner`, `context`, `citations`", _below(f"{_CONTENT}.document.", "context citations")),
        Row(
            "documents and films",
            _below(f"{_CONTENT}.", "document.format document.source.bytes video.format video.source.bytes"),
            frozenset({CHAT, RESPONSES}),
        ),
        Row("documents and films", f"{_CONTENT}.document.source.content", frozenset({CHAT})),
        Row(
            "documents and films",
            _below(f"{_CONTENT}.", "document.source.text document.source.s3Location.uri video.source.s3Location.uri"),
            frozenset({CHAT}),
        ),
        Row("the name of a document", f"{_CONTENT}.document.name", frozenset({CHAT, RESPONSES, GEMINI})),
        Row("sound", f"{_CONTENT}.audio.source.s3Location.uri", frozenset({CHAT})),
        Row("sound", f"{_CONTENT}.audio.source.bytes", frozenset({RESPONSES})),
        Row("sound", f"{_CONTENT}.audio.format", frozenset({CHAT, RESPONSES})),
        Row(
            "server tools, blocks that are not known",
            _below(f"{_CONTENT}.", "toolResult guardContent cachePoint searchResult toolAddition toolRemoval"),
        ),
        Row(
            "the words of a source, for a caller of Responses",
            f"{_CONTENT}.citationsContent.citations[].sourceContent",
            frozenset({RESPONSES}),
        ),
        Row(
            "places in documents",
            _below(
                f"{_CONTENT}.citationsContent.citations[].location.",
                "web.domain documentChar documentPage documentChunk searchResultLocation",
            ),
        ),
        Row("which stop sequence was met", "additionalModelResponseFields", frozenset({CHAT, RESPONSES, GEMINI})),
    ),
}
"""By the answer's dialect."""


@cache
def sample(dialect: Dialect) -> tuple[Leaf, ...]:
    """Every field that is told to anyone, and one of each kind that is told to nobody."""
    found, seen = [], set()
    for leaf in leaves(dialect):
        row = next((row for row in UNTOLD[dialect] if row.to == ALL and row.holds(leaf.path)), None)
        place = next((each for each in row.paths.split() if leaf.path.startswith(each)), "") if row else leaf.path
        if place not in seen:
            seen.add(place)
            found.append(leaf)
    return tuple(found)
