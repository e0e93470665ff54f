"""Bring a database to this version's tables, safely when several processes try at once."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ..errors import UserError
from .database import Database, use_wal
from .tables import metadata

HEAD = "0001"
"""The newest revision in `migrations/versions`; kept here so that Alembic is imported only when there is work."""
VERSION_TABLE = "seedbed_version"
LOCK = 0x5EEDBED
"""PostgreSQL's advisory lock for migrations: any number that others do not use."""


def migrate(database: Database) -> None:
    """Make the tables or change them to this version's. All or nothing: it is one transaction.

    Raises:
        UserError: the database is of a newer Seedbed, or another program's.
    """
    with database._read() as connection:
        current = revision(connection)
    if current != HEAD:
        with database._write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            _upgrade(connection, database.where)
    if database._engine.dialect.name == "sqlite":
        use_wal(database)


def revision(connection: Connection) -> str | None:
    """The revision a database is at; None when it was never Seedbed's."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()
    return found


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    current = revision(connection)  # again: another process may have been first
    if current is None:
        foreign = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
        if foreign:
            raise UserError(f"The database {where} has a table {foreign[0]!r} that is not Seedbed's.",
                            "Give Seedbed a database of its own: set SEEDBED_DATABASE.")
    elif current not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise UserError(f"The database {where} is of a newer Seedbed (revision {current}, this one knows {HEAD}).",
                        "Upgrade with: pip install --upgrade seedbed. Or set SEEDBED_DATABASE to another database.")
    command.upgrade(config, "head")
