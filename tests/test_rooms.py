"""A room imports only from rooms above it, and the rooms that must stay light import nothing heavy."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "seedbed"
ORDER = ["errors", "records", "options", "settings", "progress", "plugins", "machine", "store", "catalog", "data",
         "tasks", "models", "engines", "annotate", "train", "evaluate", "compress", "export", "workflow", "serve",
         "monitor", "apps", "studio", "cli"]
NO_TORCH = ("errors", "records", "options", "settings", "progress", "plugins", "machine", "store", "catalog", "data",
            "tasks", "evaluate", "serve", "cli")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, at the top level?) for each import; modules of the package as `seedbed.room...`."""
    tree = ast.parse(path.read_text())
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
              for n in ast.walk(f)}
    package = ("seedbed", *path.relative_to(PACKAGE).parts[:-1])
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(package[: len(package) - node.level + 1])
            names = [f"{base}.{node.module}"] if node.module else [f"{base}.{a.name}" for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [(name, id(node) not in inside) for name in names]
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_go_one_way() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        mine = room(path)
        if mine in ("__init__", "__main__"):
            continue
        for name, _ in imports(path):
            parts = name.split(".")
            if parts[0] == "seedbed" and len(parts) > 1 and parts[1] not in ("__version__", mine) and \
                    ORDER.index(parts[1]) > ORDER.index(mine):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_light_rooms_do_not_import_torch() -> None:
    heavy = ("torch", "transformers", "peft")
    wrong = [f"{path.relative_to(PACKAGE)} imports {name}" for path in PACKAGE.rglob("*.py") if room(path) in NO_TORCH
             for name, _ in imports(path) if name.split(".")[0] in heavy]
    assert not wrong


def test_only_the_store_knows_sqlalchemy_models() -> None:
    allowed = {"store", "data"}  # data reads a SQL query as a source; tables are the store's alone
    wrong = [str(path) for path in PACKAGE.rglob("*.py") if room(path) not in allowed
             for name, _ in imports(path) if name.split(".")[0] in ("sqlalchemy", "alembic")]
    assert not wrong


def test_only_settings_reads_the_environment() -> None:
    wrong = [str(path) for path in PACKAGE.rglob("*.py") if room(path) != "settings"
             for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")]
    assert not wrong
