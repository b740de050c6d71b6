"""A request of the Responses API is read and written for an upstream, or refused; nothing else happens.

What was written is a request of the API again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

from tokenway.dialects.base import Upstream
from tokenway.dialects.openai_responses.request import parse
from tokenway.dialects.openai_responses.state import expand, record
from tokenway.dialects.openai_responses.write import write
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal, WireError

RESPONSE = (
    b'{"id":"resp_1","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","content":[]}]}'
)

PLAIN = b'{"model":"m","input":"hi","instructions":"be kind","stream":true,"max_output_tokens":5,"temperature":0.5}'
ITEMS = (
    b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_imag'
    b'e","image_url":"data:image/png;base64,aGk=","detail":"low"},{"type":"input_file","file_id":"f"}]},{"'
    b'type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"tw1.google-ge'
    b'mini-v1@c.x"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_c'
    b'all_output","call_id":"c","output":[{"type":"input_text","text":"x"}]},{"type":"local_shell_call","c'
    b'all_id":"s"},{"type":"item_reference","id":"msg_1"}]}'
)
SETTINGS = (
    b'{"model":"m","input":[],"tools":[{"type":"function","name":"f","parameters":{},"strict":true},{"type'
    b'":"custom","name":"p","format":{"type":"grammar","syntax":"lark","definition":"x"}},{"type":"web_sea'
    b'rch"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}'
    b',"text":{"format":{"type":"json_schema","name":"n","schema":{}},"verbosity":"low"},"reasoning":{"eff'
    b'ort":"low","summary":"auto"},"include":["message.output_text.logprobs","x"],"top_logprobs":2,"metada'
    b'ta":{"a":"b"},"user":"u"}'
)
SEEDS = (PLAIN, ITEMS, SETTINGS)


def harness(data: bytes, chance: Random) -> None:  # noqa: ARG001
    """Reads one body, writes it, and keeps it."""
    try:
        request = parse(Operation.CHAT, data, "", False)
    except Refusal:
        return
    with suppress(Refusal):
        json.loads(request.upstream_body("other"))
        written = write(request.neutral(), Upstream("up"))
        parse(Operation.CHAT, written.body, "", False).neutral()
    with suppress(Refusal, WireError):
        kept = record(data, RESPONSE)
        assert json.loads(expand(data, [kept]))["model"] == request.fields.model
