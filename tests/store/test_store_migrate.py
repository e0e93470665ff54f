from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from real_process import output, together
from sqlalchemy import create_engine, inspect, text

import seedbed.store
from seedbed.errors import UserError
from seedbed.store import Store, open_store
from seedbed.store.migrate import HEAD, VERSION_TABLE
from seedbed.store.tables import metadata

FOLDER = Path(seedbed.store.__file__).parent / "migrations"


def test_migrations_end_at_the_revision_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_make_the_tables_that_the_code_has(store: Store) -> None:
    with store._engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def checks(engine: Any) -> dict[str, set[tuple[str, str]]]:
    """Alembic does not compare check constraints, so they are compared here: the wall before the answers is one."""
    inspector = inspect(engine)
    return {table: {(str(c["name"]), c["sqltext"]) for c in inspector.get_check_constraints(table)}
            for table in metadata.tables}


def test_migrations_make_the_checks_that_the_code_has(store: Store, url: str, tmp_path: Path,
                                                      request: pytest.FixtureRequest) -> None:
    if url.startswith("sqlite"):
        plain = f"sqlite:///{tmp_path / 'plain.sqlite'}"
    else:
        plain = request.getfixturevalue("new_schema")().replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(plain)
    metadata.create_all(engine)
    assert checks(store._engine) == checks(engine)
    assert sum(map(len, checks(engine).values())) == 5
    engine.dispose()


def test_opening_again_keeps_everything_and_imports_no_alembic(url: str, tmp_path: Path, start: Any) -> None:
    with open_store(url) as store:
        store.start_run("kept", tmp_path, "classify", None, {}, metric="macro_f1")
    code = ("import sys\nfrom seedbed.store import open_store\nwith open_store(sys.argv[1]) as s:\n"
            "    print(len(s.runs()), 'alembic' in sys.modules)")
    assert output(start(code, url)) == "1 False\n"


OPEN = """
import sys
from seedbed.store import open_store
print("ready", flush=True)
sys.stdin.readline()
with open_store(sys.argv[1]) as store:
    print(store.enqueue("x", {}))
"""


def test_processes_that_migrate_at_once_do_no_harm(url: str, start: Any) -> None:
    assert sorted(int(line) for line in together([start(OPEN, url) for _ in range(4)])) == [1, 2, 3, 4]


def test_a_newer_database_is_refused_and_left_alone(url: str) -> None:
    with open_store(url) as store:
        with store._write() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
        with pytest.raises(UserError) as caught:
            open_store(url)
        assert "newer" in caught.value.message and "9999" in caught.value.message
        assert "pip install --upgrade" in caught.value.hint
        with store._read() as connection:
            assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one() == "9999"


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE jobs (title TEXT)")
        connection.execute("INSERT INTO jobs VALUES ('baker')")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UserError) as caught:
        open_store(f"sqlite:///{path}")
    assert "'jobs'" in caught.value.message and "SEEDBED_DATABASE" in caught.value.hint
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade

    def fails_at_the_end(*arguments: Any) -> None:
        upgrade(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "upgrade", fails_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        open_store(url)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    monkeypatch.undo()
    with open_store(url) as store:
        assert store.runs() == []
