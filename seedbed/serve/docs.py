"""The docs page, from the OpenAPI schema. FastAPI's own pages load scripts from the net, which may not be there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def page(schema: dict[str, Any]) -> str:
    """One page that loads nothing else.

    Args:
        schema: what `FastAPI.openapi()` gives.
    """
    from jinja2 import Environment

    parts = schema.get("components", {}).get("schemas", {})
    calls = [{"method": method.upper(), "path": path, "summary": call.get("summary", ""),
              "takes": _fields(_body(call.get("requestBody", {})), parts),
              "gives": _fields(_body(call.get("responses", {}).get("200", {})), parts),
              "example": json.dumps(_example(_body(call.get("requestBody", {})), parts))}
             for path, methods in schema["paths"].items() for method, call in methods.items()]
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        (Path(__file__).parent / "docs.html").read_text(encoding="utf-8"))
    return template.render(info=schema["info"], calls=calls)


def _body(holder: dict[str, Any]) -> dict[str, Any]:
    return dict(holder.get("content", {}).get("application/json", {}).get("schema", {}))


def _example(schema: dict[str, Any], parts: dict[str, Any]) -> Any:
    examples = _resolved(schema, parts).get("examples") or [None]
    return examples[0]


def _resolved(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return dict(parts[name]) if name else schema


def _fields(schema: dict[str, Any], parts: dict[str, Any], prefix: str = "") -> list[dict[str, str]]:
    """(name, type, description) of each field, those of objects inside below their own."""
    found = []
    for name, field in _resolved(schema, parts).get("properties", {}).items():
        inner = field.get("items", field)
        found.append({"name": prefix + name, "type": _type(field), "about": field.get("description", "")})
        if "$ref" in inner:
            found += _fields(inner, parts, f"{prefix}{name}{'[]' if 'items' in field else ''}.")
    return found


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "items" in field:
        return f"list of {_type(field['items'])}"
    return str(field.get("type", "object"))
