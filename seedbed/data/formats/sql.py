"""A SQL query as a source: `sqlite:///path?query=SELECT ...`, or any SQLAlchemy URL with a `query`.

The query may be URL-encoded or not; it stands last when it is not. Nothing is ever written: only queries that read
are taken, and the transaction is rolled back. Users, passwords and other parts of the URL never reach a message.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pyarrow as pa
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ...errors import DataError, MissingExtra, NotFound
from ..tally import Tally
from .dialect import unique_names
from .source import CHUNK, Chunk, Source, to_array

READING = ("select", "with", "values", "table", "from", "(")
DRIVERS = {"MySQLdb": "mysqlclient"}
"""Packages that are not named like the module they hold."""
QUERY = re.compile(r"[?&]query=", re.I)
SECRET = re.compile(r"pass|pwd|secret|token|key|credential", re.I)
"""Names of arguments in a URL whose values are not for others."""


def read_sql(source: Source, tally: Tally) -> Iterator[Chunk]:
    """The rows of a query; their lines are row numbers.

    Raises:
        NotFound: the SQLite file is not there.
        DataError: the URL or the query is wrong, or the database refuses.
        MissingExtra: the driver for PostgreSQL is not installed.
    """
    url, query = parse(source.url)
    shown = database_name(url)
    if not query.lower().lstrip().startswith(READING):
        raise DataError(f"The query for {shown} does not read: it begins with {query.split()[0][:20]!r}.",
                        "Give a query that begins with SELECT or WITH.")
    tally.detect("database", shown)
    engine = _engine(url, shown)
    row = 1
    try:
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True, yield_per=CHUNK).execute(
                text(re.sub(r"(?<!:):(?=\w)", r"\:", query)))  # a colon is no parameter here
            names = unique_names(list(result.keys()))
            for block in result.partitions(CHUNK):
                columns = zip(names, zip(*block, strict=True), strict=True)
                yield Chunk(pa.table({name: to_array(list(map(_plain, column))) for name, column in columns}),
                            range(row, row + len(block)))
                row += len(block)
            connection.rollback()
    except SQLAlchemyError as problem:
        raise DataError(f"{shown} answered: {_clean(problem, url)}",
                        "Check the query and the connection with the database's own client.") from None
    finally:
        engine.dispose()


def parse(given: str) -> tuple[URL, str]:
    """The database's URL and the query.

    Raises:
        DataError: there is no query, or the URL cannot be parsed.
    """
    match = QUERY.search(given)
    scheme = given.split("://")[0]
    if not match or not given[match.end():].strip():
        raise DataError(f"The {scheme} URL has no query.",
                        f"Write it like this: '{scheme}://...?query=SELECT text, label FROM t'")
    base, query = given[:match.start()], given[match.end():]
    if not re.search(r"\s", query):  # URL-encoded, so other arguments may follow
        query, _, rest = query.partition("&")
        query = unquote_plus(query)
        if rest:
            base += ("&" if "?" in base else "?") + rest
    try:
        url = make_url(base)
        return (url.set(drivername="postgresql") if url.drivername == "postgres" else url), query.strip()
    except (ArgumentError, ValueError):
        raise DataError(f"The {scheme} URL cannot be parsed.",
                        "Its form is dialect://user:password@host:port/database.") from None


def public(given: str) -> str:
    """A source as it may be written down: a path as it is, a URL with its query but without passwords."""
    if "://" not in given:
        return given
    try:
        url, query = parse(given)
    except DataError:  # a form that only its own reader knows
        return f"{given.split('://')[0]}://..."
    hidden = url.set(query={name: "..." if SECRET.search(name) else value for name, value in url.query.items()})
    shown = hidden.render_as_string(hide_password=True)
    return f"{shown}{'&' if url.query else '?'}query={query}"


def database_name(url: URL) -> str:
    """The database for people: dialect, host and name, never who connects."""
    host = f"{url.host}{f':{url.port}' if url.port else ''}" if url.host else ""
    return f"{url.get_backend_name()}://{host}/{url.database or ''}"


def _engine(url: URL, shown: str) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database and url.database != ":memory:" and not Path(url.database).is_file():
        raise NotFound(f"There is no database file {url.database}.",
                       "An absolute path has four slashes: sqlite:////home/me/data.sqlite?query=...")
    try:
        engine = create_engine(url)
    except NoSuchModuleError:
        raise DataError(f"There is no database dialect {url.drivername!r}.",
                        "Usual ones: sqlite, postgresql, mysql, mssql, oracle.") from None
    except ModuleNotFoundError as problem:
        if url.get_backend_name() == "postgresql":
            raise MissingExtra("Reading from PostgreSQL", "postgres") from None
        raise DataError(f"The driver for {url.get_backend_name()} databases is not installed.",
                        f"Install it with: pip install {DRIVERS.get(problem.name or '', problem.name)}") from None
    except (ArgumentError, ValueError, TypeError):
        raise DataError(f"The URL of {shown} cannot be used.", "Check its arguments.") from None
    if sqlite:
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON"))
    return engine


def _clean(problem: Exception, url: URL) -> str:
    """What the database said, in one line, without credentials."""
    said = str(getattr(problem, "orig", None) or problem).split("\n(Background")[0].split("\n[SQL")[0]
    secrets = [url.password, url.username, *(v for v in url.query.values() if isinstance(v, str))]
    for secret in sorted((str(s) for s in secrets if s), key=len, reverse=True):
        said = said.replace(secret, "...")
    return said[:300]


def _plain(value: Any) -> Any:
    """A database's value as JSON would hold it."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if value is None or isinstance(value, str | int | float | list | dict):
        return value
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
