"""Where runs, scores, datasets, bundles, answers and jobs are kept: SQLite by default, PostgreSQL by URL.

The only room that knows SQLAlchemy. Queries have names and return plain records.
"""

from __future__ import annotations

from ..settings import settings
from .jobs import Jobs
from .labels import Labels
from .locks import hold
from .migrate import migrate
from .runs import Runs

__all__ = ["Store", "hold", "open_store"]


class Store(Runs, Jobs, Labels):
    """All named queries over one database. Threads may share one; a forked process opens its own."""


def open_store(url: str | None = None) -> Store:
    """Open the database, make it or bring it up to date where needed.

    Args:
        url: `sqlite:///file` or `postgresql://user:password@host:port/name`; None takes the settings' URL.

    Returns:
        The store; it is a context manager that closes itself.

    Raises:
        UserError: the URL is wrong, or the database is of a newer Seedbed, unreachable or not writable.
        MissingExtra: PostgreSQL is asked for and its driver is not installed.
        CorruptFile: the file is not a database.
        NoResources: the disk is full.
        Busy: another process holds the database.
    """
    store = Store(url if url is not None else settings().database_url)
    try:
        migrate(store)
    except BaseException:
        store.close()
        raise
    return store
