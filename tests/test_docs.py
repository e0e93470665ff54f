"""The docs say what the code does."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from seedbed import errors
from seedbed.cli import VERBS, command, load
from seedbed.settings import VARIABLES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("seedbed_docs", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_what_is_made_from_the_code_is_fresh() -> None:
    stale = [path.name for path, text in script().pages().items() if not path.exists() or path.read_text() != text]
    assert not stale, "run `make docs`"


def options(one: Any) -> list[str]:
    """Every flag of a command and of those inside it."""
    mine = [flag for param in one.params for flag in (*param.opts, *param.secondary_opts) if flag.startswith("-")]
    return mine + [flag for inner in getattr(one, "commands", {}).values() for flag in options(inner)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_documented(verb: str) -> None:
    text = (DOCS / "cli.md").read_text()
    assert f"\n## seedbed {verb}\n" in text
    part = text.split(f"\n## seedbed {verb}\n")[1].split("\n## ")[0]
    missing = [flag for flag in options(load(verb)) if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", part)]
    assert missing == []


def test_every_setting_is_documented() -> None:
    text = (DOCS / "cli.md").read_text()
    for name, meaning in VARIABLES.items():
        assert f"| `{name}` | {meaning} |" in text


def test_every_error_is_documented_with_its_codes() -> None:
    text = (DOCS / "errors.md").read_text()
    kinds = [errors.UserError, *errors.UserError.__subclasses__()]
    assert len(kinds) >= 10
    for kind in kinds:
        if kind.__module__ == "seedbed.errors":
            assert f"| {kind.exit_code} | `{kind.code}` | {kind.http_status} | `{kind.__name__}` |" in text


def shell_lines(page: Path) -> list[str]:
    """Every `seedbed …` command in the page's code blocks."""
    found = []
    for _, block in re.findall(r"```(sh|bash|console|)\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            found += [part.strip() for part in re.split(r"\s[|]\s|\s&&\s", line.removeprefix("$ "))
                      if part.strip().startswith("seedbed ")]
    return found


LINES = [(page, line) for page in PAGES for line in shell_lines(page)]


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda value: str(getattr(value, "name", value)))
def test_every_command_in_the_docs_parses(page: Path, line: str) -> None:
    words = shlex.split(re.sub(r"\s>>?\s.*|\s<\s.*", "", line), comments=True)[1:]
    words = [word for word in words if word not in ("--quiet", "--debug")]
    context: Any = typer.Context(command(), info_name="seedbed")
    try:
        one: Any = context.command
        while hasattr(one, "commands") and words and words[0] in one.commands:
            word = words.pop(0)
            one = load(word) if context.parent is None else one.commands[word]
            context = typer.Context(one, info_name=word, parent=context)
        one.make_context(context.info_name, words, parent=context.parent)
    except typer.Exit:
        pass  # --help and --version
    except typer.TyperException as problem:
        raise AssertionError(f"{page.name}: {line}: {problem.format_message()}") from None


def test_the_commands_above_are_found() -> None:
    assert len(LINES) > 3
    assert any(page.name == "README.md" for page, _ in LINES)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_pages_resolve() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    text = (DOCS / "index.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "index.md" and f"({page.name})" not in text] == []


def test_no_page_names_a_machine_path() -> None:
    found = [f"{page.name}: {path}" for page in PAGES
             for path in re.findall(r"(?<![\w.])/(?:home|root|Users|work|opt)/\S*", page.read_text())]
    assert found == []
