"""The manual of the API as one page without scripts, made of its own description: it needs no network."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import msgspec

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c22}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}summary{cursor:pointer;padding:.3rem 0}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f5f5f7;padding:.7rem;overflow:auto}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #eee;
vertical-align:top}.m{display:inline-block;width:4.5rem;font-weight:600}
@media(prefers-color-scheme:dark){body{background:#17171b;color:#e8e8ee}pre{background:#222}td,th{border-color:#333}}
"""


def page(schema: dict[str, Any]) -> str:
    """The page for an OpenAPI description."""
    info = schema["info"]
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            groups.setdefault(tag, []).append(_operation(method, path, operation))
    body = "".join(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(parts)}' for tag, parts in groups.items())
    index = " · ".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups)
    schemas = schema.get("components", {}).get("schemas", {})
    models = "".join(f'<h3 id="{escape(name)}">{escape(name)}</h3>{_code(model)}' for name, model in schemas.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{escape(info["title"])}</h1>'
        f'<p>{escape(info.get("description", ""))}</p><p>The same for programs: <a href="openapi.json">openapi.json</a>'
        f" (OpenAPI {escape(schema['openapi'])}).</p><p>{index}</p>{body}<h2>Shapes</h2>{models}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{'required' if each.get('required') else ''}</td><td>{escape(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", [])
    )
    answers = ", ".join(
        f"<code>{escape(status)}</code> {_shape(answer)}" for status, answer in operation["responses"].items()
    )
    body = operation.get("requestBody")
    return (
        f'<details><summary><span class="m">{escape(method.upper())}</span><code>/api{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary><p>{escape(operation.get('description', ''))}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + (f"<p>Body: {_shape(body)}</p>" if body else "")
        + f"<p>Answers: {answers}</p></details>"
    )


def _shape(holder: dict[str, Any]) -> str:
    for content in holder.get("content", {}).values():
        name = str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
        if name:
            return f'<a href="#{escape(name)}">{escape(name)}</a>'
    return escape(holder.get("description", ""))


def _code(value: Any) -> str:
    return f"<pre>{escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())}</pre>"
