"""The native runtime: in a process of its own, because it would take this one down on an old processor."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tokenway.local.embed import ensure_gguf
from tokenway.local.models import CHAT_WEIGHTS, EMBED_WEIGHTS, locate, missing
from tokenway.local.probe import Machine, probe
from tokenway.local.runtime import thread_counts

LACKS = [*probe(Machine.this()), *missing()]
pytestmark = [pytest.mark.local, pytest.mark.skipif(bool(LACKS), reason=" ".join(LACKS) or "complete")]


def run(script: str, *arguments: str) -> dict[str, object]:
    """Runs a script that prints one JSON object as its last line."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def test_threads_are_at_least_one_and_no_more_than_processors() -> None:
    """Single tokens never get more threads than prompts do."""
    single, batch = thread_counts()
    assert 1 <= single <= batch


def test_a_prompt_reports_progress_and_stops_when_told(tmp_path: Path) -> None:
    """The callback runs before the prompt is read, and its true ends the call; bad tasks raise."""
    answer = run(
        """
        import json, sys
        from pathlib import Path
        from tokenway.local.runtime import NativeServer
        server = NativeServer(Path(sys.argv[1]), "m", Path(sys.argv[2]), embedding=False)
        seen = []
        def stop_at_once(chunk):
            seen.append("prompt_progress" in chunk)
            return True
        messages = [{"role": "user", "content": "word " * 200}]
        server.chat({"messages": messages, "stream": True, "return_progress": True, "max_tokens": 200}, stop_at_once)
        try:
            server.chat({"stream": True}, print)
            error = ""
        except ValueError as raised:
            error = str(raised)
        print()
        print(json.dumps({"seen": seen, "error": error}))
        """,
        str(locate(CHAT_WEIGHTS)),
        str(tmp_path),
    )
    assert answer["seen"] == [True]
    assert "messages" in str(answer["error"])


def test_embeddings_tell_related_texts_from_others(tmp_path: Path) -> None:
    """The converted model is the real one: unit vectors, closer for a paraphrase, and a full text fits."""
    source = locate(EMBED_WEIGHTS)
    assert source is not None
    answer = run(
        """
        import json, sys
        from pathlib import Path
        from tokenway.local.runtime import NativeServer
        from tokenway.local.wordpiece import count_pieces, truncate
        server = NativeServer(Path(sys.argv[1]), "m", Path(sys.argv[2]), embedding=True)
        texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell today."]
        (cat, kitten, stocks), tokens = server.embed(texts)
        dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))
        long = truncate("hello w\\u00f6rld \\u6771\\u4eac " * 400)
        print()
        print(json.dumps({
            "size": len(cat), "norm": dot(cat, cat), "near": dot(cat, kitten), "far": dot(cat, stocks),
            "tokens": tokens, "counted": sum(count_pieces(text) + 2 for text in texts),
            "full": server.embed([long])[1],
        }))
        """,
        str(ensure_gguf(source, tmp_path)),
        str(tmp_path),
    )
    assert answer["size"] == 384
    assert answer["norm"] == pytest.approx(1, abs=1e-3)
    assert float(str(answer["near"])) > 0.5
    assert float(str(answer["far"])) < 0.3
    assert answer["tokens"] == answer["counted"]
    assert 500 <= int(str(answer["full"])) <= 512


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    """Loading fails with this package's own error, not with the end of the process."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    answer = run(
        """
        import json, sys
        from pathlib import Path
        from tokenway.local.runtime import NativeServer, RuntimeUnavailable
        try:
            NativeServer(Path(sys.argv[1]), "m", Path(sys.argv[2]), embedding=False)
        except RuntimeUnavailable as error:
            print()
            print(json.dumps({"error": str(error)}))
        """,
        str(broken),
        str(tmp_path),
    )
    assert "broken.gguf cannot be loaded" in str(answer["error"])
