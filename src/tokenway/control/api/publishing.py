"""Publishing a configuration: checked, compared with what is in force, and put in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from pydantic import Field, field_validator
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Caller
from tokenway.control.api.problems import FieldError, Problem
from tokenway.control.api.services import Services
from tokenway.control.api.types import Json, Note, Shown, Version, Versioned
from tokenway.control.configuration import Draft
from tokenway.control.findings import Finding, Severity
from tokenway.control.published import Change, Published

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match", pattern=r'^"?[0-9]{1,9}"?$', description="The version that the change is made of, in quotes."
    ),
]


class Publishing(Versioned):
    """What every change of the configuration says beside what it changes."""

    version: Version = Field(
        description="The published configuration that this takes the place of; 0 when there is none."
    )
    note: Note = Field(default="", description="Why, for those who look at it later.")
    dry_run: bool = Field(default=False, description="Whether it is only checked and compared, and nothing is changed.")


class Remark(Shown):
    """Something that was noticed about a configuration and does not keep it from being used."""

    path: str
    reason: str
    severity: str
    nearest: list[str] = Field(description="Valid names like the one that is wrong.")
    place: str = Field(description="The file, variable or published configuration that it is about.")


class Difference(Shown):
    """One setting that differs. Secrets are masked."""

    path: str
    change: str = Field(description="`added`, `removed` or `changed`.")
    old: str | None
    new: str | None


class Outcome(Shown):
    """What a change of the configuration has done, or would do."""

    version: int = Field(description="The configuration in force after it.")
    dry_run: bool
    findings: list[Remark]
    changes: list[Difference]


async def current(services: Services) -> Published | None:
    """The published configuration in force, secrets open."""
    row = await services.run(services.store.documents.latest)
    return None if row is None else services.configuration.open(row)


async def publish(
    services: Services,
    request: Request,
    who: Caller,
    *,
    make: Callable[[Json], Json],
    said: Publishing,
    key: str | None = None,
    field: str = "document",
    status: int = 200,
    refusal: int = 422,
) -> Response:
    """Publishes what `make` makes of the document in force. Raises Problem: `refusal` with every finding, or 409."""
    now = await current(services)
    document = make({} if now is None else now.document)
    draft = await services.configuration.draft(document, now)
    if not draft.is_good:
        raise _refused(draft, field, refusal)
    in_force = 0 if now is None else now.version
    if said.dry_run:
        if said.version != in_force:
            raise _stale(in_force)
        return _answer(_outcome(draft, in_force, dry_run=True), 200)

    def work() -> Outcome:
        with services.accounts.changes.begin(who.actor) as change:
            row = services.store.documents.publish(draft.body, base=said.version, author=who.user.id, note=said.note)
            detail = {"note": said.note, "paths": [each.path for each in draft.changes[:100]]}
            change.record("publish", "configuration", str(row.version), detail=detail)
        return _outcome(draft, row.version, dry_run=False)

    if key is not None:
        response = await once.create(services, request, who.user.id, key, work)
    else:
        response = _answer(await services.run(work), status)
    await services.configuration.step()
    return response


def removal(name: str, in_force: int, if_match: str | None) -> Publishing:
    """What is said of taking an entry away; of the configuration in force, unless a header names another one."""
    return Publishing(version=in_force if if_match is None else version_in(if_match) or 0, note=f"without {name}")


def version_in(if_match: str | None) -> int | None:
    """The version that a header names; None when it says nothing."""
    return None if if_match is None else int(if_match.strip('"'))


def differences(changes: list[Change] | tuple[Change, ...]) -> list[Difference]:
    """Changes as they are shown."""
    return [Difference(path=each.path, change=_kind(each), old=each.old, new=each.new) for each in changes]


def _kind(change: Change) -> str:
    return "added" if change.old is None else "removed" if change.new is None else "changed"


def _outcome(draft: Draft, version: int, *, dry_run: bool) -> Outcome:
    return Outcome(
        version=version,
        dry_run=dry_run,
        findings=[_remark(each) for each in draft.findings],
        changes=differences(draft.changes),
    )


def _answer(outcome: Outcome, status: int) -> Response:
    return JSONResponse(outcome.model_dump(), status, {"etag": f'"{outcome.version}"'})


def _remark(finding: Finding) -> Remark:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return Remark(
        path=finding.path,
        reason=finding.reason,
        severity=finding.severity,
        nearest=list(finding.nearest),
        place=place,
    )


def _refused(draft: Draft, field: str, status: int) -> Problem:
    wrong = [each for each in draft.findings if each.severity is Severity.ERROR]
    errors = [FieldError(field=f"{field}.{each.path}" if each.path else field, reason=_reason(each)) for each in wrong]
    return Problem(status, f"{wrong[0].path or field}: {_reason(wrong[0])}", field=errors[0].field, errors=errors)


def _reason(finding: Finding) -> str:
    hint = f" (did you mean {' or '.join(repr(name) for name in finding.nearest)}?)" if finding.nearest else ""
    return finding.reason + hint


def _stale(version: int) -> Problem:
    return Problem(
        409, f"version {version} of the configuration is in force by now; look at it and try again", field="version"
    )


def is_plain(document: Json) -> bool:
    """Whether every text of a document can be encoded: JSON can hold halves of characters."""

    def walk(value: Any) -> bool:
        if isinstance(value, dict):
            return all(_encodes(name) and walk(each) for name, each in value.items())
        if isinstance(value, list):
            return all(walk(each) for each in value)
        return not isinstance(value, str) or _encodes(value)

    return walk(document)


def _encodes(text: str) -> bool:
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)


class WithSettings(Publishing):
    """A change of one entry of the configuration."""

    settings: Json = Field(description="As in the configuration file; a mask stands for the secret it was shown for.")

    @field_validator("settings")
    @classmethod
    def _settings(cls, settings: Json) -> Json:
        if not is_plain(settings):
            raise ValueError("holds half of a character")
        return settings
