"""One database behind one URL: transactions, and every way it can fail as two lines that never show a password."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, StatementError

from ..errors import Busy, CorruptFile, MissingExtra, NoResources, UserError

BUSY_S = 30
"""How long a writer waits for another one."""
CONNECT_S = 10
OTHER = "Or set SEEDBED_DATABASE to another database."


class Database:
    """The base of the named queries.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database. Nothing is opened yet.

    Raises:
        UserError: the URL cannot be used; the password is never shown.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._engine = _engine(self._url)

    @property
    def where(self) -> str:
        """The database for people: a file, or a server without user and password."""
        if self._url.get_backend_name() == "sqlite":
            return str(self._url.database)
        return f"postgresql://{self._url.host or ''}:{self._url.port or 5432}/{self._url.database or ''}"

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction that writes. On SQLite it takes the write lock at once: a reader that becomes a writer
        half-way cannot wait for its turn and would fail."""
        with self._explained(), self._engine.connect().execution_options(seedbed_write=True) as connection, \
                connection.begin():
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise ValueError(f"The database refused it: {self._reason(error.orig)}") from None
        except (DBAPIError, sqlite3.Error) as error:
            explained = self._explain(error)
            if explained is None:
                raise
            raise explained from None
        except StatementError as error:  # a value that cannot be stored: NaN in JSON, a time without a zone
            raise ValueError(f"The database refused it: {error.orig}") from None

    def _explain(self, error: DBAPIError | sqlite3.Error) -> UserError | None:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error):
            name = getattr(cause, "sqlite_errorname", "")
            for start, (kind, what, hint) in SQLITE.items():
                if name.startswith(start):
                    return kind(f"The database {self.where} {what} ({cause}).", hint)
            return None
        state = getattr(cause, "sqlstate", None)
        if state is None and isinstance(error, OperationalError):
            state = "08"  # psycopg gives no state when it could not connect or lost the connection
        for start, (kind, what, hint) in POSTGRESQL.items():
            if str(state).startswith(start):
                return kind(f"The database {self.where} {what}: {self._reason(cause)}", hint)
        return None

    def _reason(self, cause: BaseException | None) -> str:
        reason = str(cause).strip().partition("\n")[0]
        for secret in (self._url.password, self._url.query.get("password")):
            if secret:
                reason = reason.replace(str(secret), "***")
        return reason


SQLITE: dict[str, tuple[type[UserError], str, str]] = {
    "SQLITE_BUSY": (Busy, f"was held by another process for {BUSY_S} s", "Wait until that one ends, or stop it."),
    "SQLITE_READONLY": (UserError, "may not be written", f"Allow writing to the file and its folder. {OTHER}"),
    "SQLITE_PERM": (UserError, "may not be written", f"Allow writing to the file and its folder. {OTHER}"),
    "SQLITE_CANTOPEN": (UserError, "cannot be opened",
                        f"Check that its folder exists and may be written and that it is a file. {OTHER}"),
    "SQLITE_NOTADB": (CorruptFile, "is not a SQLite database", f"Move the file away: a new one is made. {OTHER}"),
    "SQLITE_CORRUPT": (CorruptFile, "is damaged",
                       "Move the file away: a new one is made, and every run folder keeps its own results."),
    "SQLITE_FULL": (NoResources, "cannot grow", f"Free some space on its disk. {OTHER}"),
    "SQLITE_IOERR": (NoResources, "cannot be read or written", f"Check its disk: is it full or failing? {OTHER}"),
}
"""By the start of SQLite's name of the error."""

POSTGRESQL: dict[str, tuple[type[UserError], str, str]] = {
    "08": (UserError, "cannot be reached", "Check that the server runs, and the address, user, password and name in "
                                           "SEEDBED_DATABASE."),
    "28": (UserError, "refuses the user", "Check the user and the password in SEEDBED_DATABASE."),
    "3D": (UserError, "is not there", "Make it with createdb, or check the name in SEEDBED_DATABASE."),
    "57P": (UserError, "was shut down", "Start the server and run the command again."),
    "53": (NoResources, "has no room left", "Free disk, memory or connections on the server."),
    "25006": (UserError, "may not be written", f"It is a read-only copy. {OTHER}"),
    "42501": (UserError, "may not be written", f"Grant the user CREATE on the schema, and its tables. {OTHER}"),
}
"""By the start of SQLSTATE."""


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # its text may hold the password
        raise UserError("SEEDBED_DATABASE is not a database URL.",
                        "Write sqlite:////folder/file.sqlite or postgresql://user:password@host:5432/name; "
                        "special characters in a password as %40 and the like.") from None
    backend = url.drivername.partition("+")[0]
    if backend in ("postgresql", "postgres"):
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise MissingExtra("PostgreSQL", "postgres") from None
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise UserError(f"The store cannot be kept in a database of the kind {backend!r}.",
                        "Set SEEDBED_DATABASE to sqlite:////folder/file.sqlite or postgresql://user@host/name.")
    if not url.database or ":memory:" in url.database or url.query.get("mode") == "memory":
        raise UserError("A database in memory forgets its runs when the command ends.",
                        "Set SEEDBED_DATABASE to sqlite:////folder/file.sqlite.")
    return url.set(drivername="sqlite+pysqlite", database=_at_home(url.database))


def _at_home(path: str) -> str:
    return path if path.startswith("file:") else str(Path(path).expanduser().absolute())


def _engine(url: URL) -> Engine:
    """An engine that waits for other writers. It connects at the first transaction."""
    if url.get_backend_name() == "postgresql":
        arguments = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
        return create_engine(url, hide_parameters=True, json_serializer=_json, pool_pre_ping=True,
                             connect_args=arguments)
    if not str(url.database).startswith("file:"):
        folder = Path(str(url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise UserError(f"The folder {folder} for the database cannot be made: {problem.strerror}.",
                            "Set SEEDBED_DATABASE or SEEDBED_HOME to a place that may be written.") from None
    engine = create_engine(url, hide_parameters=True, json_serializer=_json, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begun)
    return engine


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)  # PostgreSQL refuses NaN, so SQLite shall too


def _connected(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begun` does
    connection.execute("PRAGMA foreign_keys=ON")


def _begun(connection: Connection) -> None:
    write = connection.get_execution_options().get("seedbed_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def use_wal(database: Database) -> None:
    """Let readers and a writer work at once. The file remembers it; while others hold it, the next open tries."""
    with suppress(Busy), database._explained(), database._engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if driver.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            driver.execute("PRAGMA busy_timeout=0")
            try:
                driver.execute("PRAGMA journal_mode=WAL")
            finally:
                driver.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")


def now(connection: Connection) -> datetime:
    """The time by one clock for all who share the database: the server's, or this machine's for SQLite."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def put(connection: Connection, table: Table, **values: Any) -> None:
    """Insert a row, or replace what is not key in the row with the same primary key; a row that is all key stays."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in values.items() if name not in keys}
    new = insert(table).values(**values)
    connection.execute(new.on_conflict_do_update(index_elements=keys, set_=rest) if rest else
                       new.on_conflict_do_nothing())
