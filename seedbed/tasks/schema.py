"""JSON schemas of answers: derived from them, told to a model in few words, checked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import NotFound, UserError

Schema = dict[str, Any]
NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
MOST_CHOICES, USES_OF_CHOICE = 12, 5
"""Texts are choices when there are at most so many of them, each used so often on average."""


def derive(values: Sequence[Any]) -> Schema:
    """The schema that all these values keep to.

    Keys that every object has are required, others are not, and further ones are refused. Whole numbers among
    fractions are numbers. Texts that are few and often used become an `enum`.
    """
    kinds = {NAMES.get(type(one), "null") for one in values}
    if "number" in kinds:
        kinds.discard("integer")
    made: Schema = {"type": sorted(kinds)[0] if len(kinds) == 1 else sorted(kinds)} if kinds else {}
    objects, lists = ([one for one in values if isinstance(one, kind)] for kind in (dict, list))
    if objects:
        names = dict.fromkeys(name for one in objects for name in one)
        made["properties"] = {name: derive([one[name] for one in objects if name in one]) for name in names}
        made["required"] = [name for name in names if all(name in one for one in objects)]
        made["additionalProperties"] = False
    if lists:
        made["items"] = derive([item for one in lists for item in one])
    counts = Counter(one for one in values if isinstance(one, str))
    if counts and kinds <= {"string", "null"} and len(counts) <= MOST_CHOICES and \
            counts.total() >= USES_OF_CHOICE * len(counts):
        made["enum"] = [*sorted(counts), *([None] if "null" in kinds else [])]
    return made


def arranged(schema: str, values: Sequence[Any]) -> str:
    """The same schema with its keys in the order in which these values have them: an answer is asked for, and held to
    while it is written, in the order of the schema.

    Args:
        schema: as text.
    """
    made = json.loads(schema)
    _arrange(made, values)
    return json.dumps(made, ensure_ascii=False)


def _arrange(schema: Any, values: Sequence[Any]) -> None:
    if not isinstance(schema, dict):
        return
    objects = [one for one in values if isinstance(one, dict)]
    if isinstance(parts := schema.get("properties"), dict):
        first = dict.fromkeys(name for one in objects for name in one if name in parts)
        schema["properties"] = {name: parts[name] for name in (*first, *(one for one in parts if one not in first))}
        for name, part in parts.items():
            _arrange(part, [one[name] for one in objects if name in one])
    _arrange(schema.get("items"), [item for one in values if isinstance(one, list) for item in one])


def brief(schema: Any) -> str:
    """The schema in few tokens: `{"name": string, "kind": "a"|"b", "price"?: number|null, "tags": [string]}`.

    What has no such form (`$ref`, `allOf` ...) is given as JSON.
    """
    if not isinstance(schema, dict) or not schema:
        return "any"
    if "enum" in schema:
        return "|".join(json.dumps(one, ensure_ascii=False) for one in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    for either in ("anyOf", "oneOf"):
        if either in schema:
            return "|".join(map(brief, schema[either]))
    kinds = schema.get("type", "object" if "properties" in schema else None)
    if kinds is None or "$ref" in schema or "allOf" in schema:
        return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return "|".join(_kind(schema, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _kind(schema: Schema, kind: str) -> str:
    if kind == "array":
        return f"[{brief(schema.get('items'))}]"
    if kind != "object" or not schema.get("properties"):
        return kind
    needed = schema.get("required", ())
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}{'' if name in needed else '?'}: {brief(part)}"
                           for name, part in schema["properties"].items()) + "}"


def of_file(file: Path) -> str:
    """The JSON schema in a file, as text.

    Raises:
        NotFound: there is no such file. UserError: as `checked`.
    """
    if not file.is_file():
        raise NotFound(f"There is no schema {file}.", "Name a file with a JSON schema.")
    try:
        return checked(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"The schema {file} is no UTF-8 text.", "Name a file with a JSON schema.") from None


def checked(text: str) -> str:
    """A JSON schema given as text.

    Raises:
        UserError: it is no JSON, no schema, or refers to another file or address.
    """
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = json.loads(text)
        if not isinstance(schema, dict):
            raise ValueError("it is no object")
        validator_for(schema).check_schema(schema)
    except (ValueError, RecursionError, SchemaError) as problem:
        told = str(getattr(problem, "message", problem)).splitlines()[0].rstrip(".")
        raise UserError(f"The schema is no JSON schema: {told}.", "Give a JSON schema, such as "
                        '{"type": "object", "properties": {"name": {"type": "string"}}}.') from None
    if other := next((ref for ref in _references(schema) if not ref.startswith("#")), None):
        raise UserError(f"The schema refers to {other!r}, which is outside of it.",
                        "Put what it refers to under $defs in the schema.")
    return text


def _references(schema: Any) -> list[str]:
    parts = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    mine = [schema["$ref"]] if isinstance(schema, dict) and isinstance(schema.get("$ref"), str) else []
    return mine + [ref for part in parts for ref in _references(part)]


@cache
def _validator(schema: str) -> Any:
    from jsonschema.validators import validator_for
    from referencing import Registry

    made = json.loads(schema)
    return validator_for(made)(made, registry=Registry())  # an empty one: nothing is fetched


def broken(schema: str, value: Any) -> str:
    """The first thing in a value that breaks the schema, with its path; empty where nothing does."""
    problem = next(iter(_validator(schema).iter_errors(value)), None)
    return "" if problem is None else f"{problem.json_path}: {problem.message}"
