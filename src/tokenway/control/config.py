"""Finding, reading and checking the configuration: flag over environment over file over default.

`load` never raises for what a person wrote: everything that is wrong comes back as findings, all at once.
"""

from __future__ import annotations

from collections.abc import Mapping as Environment
from pathlib import Path
from typing import Final

import msgspec

from tokenway.control.decode import MISSING, Decoder
from tokenway.control.document import (
    TEXT_MAX,
    UNREADABLE,
    Document,
    Mapping,
    Node,
    Scalar,
    Sequence,
    is_text,
    read_document,
)
from tokenway.control.findings import Finding, Severity, has_errors, nearest
from tokenway.control.published import Json, Published, lay_over, plain
from tokenway.control.rules import examine, in_force
from tokenway.model.errors import ConfigError
from tokenway.model.settings import CONFIG_VARIABLE, DATA_VARIABLE, FLAG_VARIABLES, Settings, variables
from tokenway.model.shape import shape_of

FILE_NAME: Final = "tokenway.yaml"

FLAGS: Final = {path: "--" + path.rpartition(".")[2].replace("_", "-") for path in FLAG_VARIABLES.values()}
"""Setting to the flag of `serve` that gives it: `server.control_port` to `--control-port`."""


class Loaded(msgspec.Struct, frozen=True):
    """What came of loading. `settings` is None when a finding is an error; `path` None without a file.

    `version` is that of the published configuration which lies over the file, 0 where none does.
    """

    settings: Settings | None
    findings: tuple[Finding, ...]
    path: Path | None
    version: int = 0

    def demand(self) -> Settings:
        """The settings; raises ConfigError with every error, a line each, when they cannot be used."""
        if self.settings is None:
            errors = [str(finding) for finding in self.findings if finding.severity is Severity.ERROR]
            raise ConfigError("\n".join(errors))
        return self.settings


def find_config(flag: Path | None, environment: Environment[str, str], directory: Path | None = None) -> Path | None:
    """The configuration file: `flag`, `$TOKENWAY_CONFIG`, `tokenway.yaml` in `directory`, or the user's own.

    `directory` is the working directory when left out. A file that was named is returned whether it exists
    or not; None when none was named and none is there.
    """
    named = flag or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is not None:
        return named
    candidates = [
        (directory or Path()) / FILE_NAME,
        _user_directory(environment, "XDG_CONFIG_HOME", ".config") / FILE_NAME,
    ]
    return next((path for path in candidates if path.is_file()), None)


def find_data(flag: Path | None, environment: Environment[str, str]) -> Path:
    """The data directory: `flag`, `$TOKENWAY_DATA_DIR`, or `tokenway` under the user's data directory."""
    if flag is not None:
        return flag
    named = environment.get(DATA_VARIABLE)
    return Path(named) if named else _user_directory(environment, "XDG_DATA_HOME", ".local/share")


def store_url(settings: Settings, data: Path) -> str:
    """The database's URL, its password included: the setting, else a file in the data directory."""
    return settings.store.reveal() if settings.store is not None else f"sqlite:///{(data / 'tokenway.db').absolute()}"


def load(
    path: Path | None,
    environment: Environment[str, str],
    overrides: Environment[str, str] | None = None,
    published: Published | None = None,
) -> Loaded:
    """Reads the file at `path` (None: defaults), the variables of `environment` and `overrides` by setting.

    `overrides` are flags: `{"server.port": "8090"}`. `published` lies over the file and under the variables.
    """
    version = 0 if published is None else published.version
    document = _document(path, environment)
    findings = list(document.findings)
    if document.root is None:
        return Loaded(None, tuple(findings), path, version)
    root = document.root
    if published is not None:
        findings += lay_over(root, published)
    findings += _overlay(root, environment, overrides or {})
    decoder = Decoder(path.absolute().parent if path is not None else Path.cwd())
    settings = decoder.read(root, shape_of(Settings), "")
    findings += decoder.findings
    if settings is not MISSING:
        findings += examine(settings, root, environment)
        settings = in_force(settings, root, environment)
    findings.sort(key=lambda finding: (finding.line == 0, finding.file, finding.line))
    usable = settings is not MISSING and not has_errors(findings)
    return Loaded(settings if usable else None, tuple(findings), path, version)


def written(path: Path | None, environment: Environment[str, str], published: Published | None = None) -> Json:
    """What the file and the published configuration say together, as JSON; `{}` where the file cannot be read."""
    root = _document(path, environment).root or Mapping({}, {}, "", 0)
    if published is not None:
        lay_over(root, published)
    said: Json = plain(root)
    return said


class Source:
    """What the configuration is read from: the file, the environment, flags, and what was published over them."""

    def __init__(self, environment: Environment[str, str], overrides: Environment[str, str]) -> None:
        self._environment = environment
        self._overrides = overrides
        self.published: Published | None = None
        """The newest that was published."""

    def read(self, path: Path | None) -> Loaded:
        """Everything that is in force, or would be."""
        return self.read_with(path, self.published)

    def read_with(self, path: Path | None, published: Published | None) -> Loaded:
        """The same with another published configuration."""
        return load(path, self._environment, self._overrides, published)

    def written(self, path: Path | None, published: Published | None) -> Json:
        """What the file and a published configuration say."""
        return written(path, self._environment, published)


def _document(path: Path | None, environment: Environment[str, str]) -> Document:
    """The file's tree; an empty one without a file."""
    document = Document(Mapping({}, {}, "", 0), [])
    text = None if path is None else _read(path, document.findings)
    return document if text is None else read_document(text, str(path), environment)


def _read(path: Path, findings: list[Finding]) -> str | None:
    """The file's text, or None with the finding made; no more is read than may be used."""
    try:
        with path.open("rb") as file:
            # One character is four bytes at most; the reader of the text says that it is too long.
            return file.read(4 * TEXT_MAX + 4).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        findings.append(Finding(str(path), line, "", "is not UTF-8 text"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        findings.append(Finding(str(path), 0, "", f"cannot be read: {reason}"))
    return None


def _overlay(root: Mapping, environment: Environment[str, str], overrides: Environment[str, str]) -> list[Finding]:
    """Puts variables, then flags, into the tree; each keeps the name of where it came from."""
    findings: list[Finding] = []
    known = variables()
    for name, path in known.items():
        # An empty variable is how a shell or a compose file says "not set".
        if environment.get(name):
            findings += _put(root, path, environment[name], f"${name}")
    for path, text in overrides.items():
        findings += _put(root, path, text, FLAGS.get(path, path))
    sections = tuple({"_".join(name.split("_")[:2]) + "_" for name in known.keys() - FLAG_VARIABLES.keys()})
    for name in environment:
        if name.startswith(sections) and name not in {*known, CONFIG_VARIABLE, DATA_VARIABLE}:
            hint = nearest(name, known)
            if hint:
                reason = "this variable gives no setting"
                findings.append(Finding(f"${name}", 0, "", reason, hint, Severity.WARNING))
    return findings


def _put(root: Mapping, path: str, text: str, source: str) -> list[Finding]:
    if not is_text(text):
        return [Finding(source, 0, path, UNREADABLE)]
    parent = root
    *sections, name = path.split(".")
    for section in sections:
        child: Node | None = parent.entries.get(section)
        if isinstance(child, Sequence) or (isinstance(child, Scalar) and not child.is_null):
            return []  # the file has something else in the section's place, and that is a finding of its own
        # A copy, because an alias may have put the same node somewhere else too.
        child = msgspec.structs.replace(child) if isinstance(child, Mapping) else Mapping({}, {}, source, 0)
        child.entries, child.key_lines = dict(child.entries), dict(child.key_lines)
        parent.entries[section] = child
        parent.key_lines.setdefault(section, 0)
        parent = child
    parent.entries[name] = Scalar(text, source, 0)
    parent.key_lines[name] = 0
    return []


def _user_directory(environment: Environment[str, str], variable: str, fallback: str) -> Path:
    """`$VARIABLE/tokenway`; a relative value is ignored, as the XDG specification asks."""
    named = environment.get(variable, "")
    if named and Path(named).is_absolute():
        return Path(named) / "tokenway"
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / fallback / "tokenway"
