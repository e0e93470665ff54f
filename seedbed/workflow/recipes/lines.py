"""The names and values of a YAML file, each with its line."""

from __future__ import annotations

from pathlib import Path

import yaml

from ...errors import DataError, NotFound
from .draft import Entry


def entries(path: Path) -> dict[str, Entry]:
    """What stands at the top of a YAML file, by name.

    Raises:
        NotFound, DataError: it is not there, not YAML, no list of names with values, or says something twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", "Name a YAML file: --config FILE") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DataError(f"{path}{where} is not YAML: {getattr(problem, 'problem', problem)}.", "Mend the line."
                        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read: {problem}.", "Name a YAML file in UTF-8: --config FILE") from None
    if not isinstance(node, yaml.MappingNode):
        raise DataError(f"{path} holds no names with values.", "Write one `name: value` a line.")
    return _entries(path, loader, node)


def _entries(path: Path, loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Entry]:
    found = dict[str, Entry]()
    try:
        loader.flatten_mapping(node)
        for name, value in node.value:
            key, line = str(loader.construct_object(name, deep=True)), name.start_mark.line + 1
            if key in found:
                raise DataError(f"{path}, line {line}: {key!r} was said in line {found[key].line} already.",
                                "Keep one of the two.")
            inner = _entries(path, loader, value) if isinstance(value, yaml.MappingNode) else {}
            found[key] = Entry(key, loader.construct_object(value, deep=True), line, inner)
    except yaml.constructor.ConstructorError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise DataError(f"{path}, line {line}: {problem.problem}.", "Write plain values.") from None
    return found
