"""Every way a database can fail is two lines, and a password is in none of them."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, text

import seedbed.store.database as database
from seedbed.errors import Busy, CorruptFile, MissingExtra, NoResources, UserError
from seedbed.store import Store, open_store
from seedbed.store.tables import jobs

SECRET = "hush-4711"


def refused(url: str, kind: type[UserError] = UserError) -> UserError:
    """The error of opening that URL; it is of exactly that kind, two lines, and does not show the secret."""
    with pytest.raises(UserError) as caught:
        open_store(url).close()
    error = caught.value
    assert type(error) is kind, error
    assert error.message and error.hint and "\n" not in error.message + error.hint
    assert SECRET not in "".join(traceback.format_exception(error, chain=error.__context__ is not None
                                                            and not error.__suppress_context__))
    assert SECRET not in str(error)
    return error


@pytest.mark.parametrize("url", [
    "", "nonsense", SECRET, f"postgresql://me:{SECRET}@host:54x32/db", f"postgresql://me:{SECRET}@[::1/db",
    f"mysql://me:{SECRET}@host/db", f"nosuch+driver://me:{SECRET}@host/db", "sqlite://", "sqlite:///:memory:",
    "sqlite:///file:x?mode=memory&uri=true"])
def test_a_url_that_cannot_be_used(url: str) -> None:
    assert "SEEDBED_DATABASE" in refused(url).message + refused(url).hint


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refused(f"postgresql://me:{SECRET}@127.0.0.1/db", MissingExtra)
    assert error.hint == "Install it with: pip install 'seedbed[postgres]'"


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = s.getsockname()[1]
        for url in (f"postgresql://me:{SECRET}@127.0.0.1:{port}/db",
                    f"postgres://127.0.0.1:{port}/db?user=me&password={SECRET}"):
            error = refused(url)
            assert f"postgresql://127.0.0.1:{port}/db cannot be reached" in error.message


def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        url = f"postgresql://me:{SECRET}@127.0.0.1:{s.getsockname()[1]}/db?connect_timeout=2"
        assert "cannot be reached" in refused(url).message


def test_a_wrong_password_user_or_database(postgres: str) -> None:
    host = postgres.rpartition("@")[2]
    wrong = refused(f"postgresql://seedbed:{SECRET}@{host}/postgres")
    assert "password authentication failed" in wrong.message and "password" in wrong.hint
    assert "password authentication failed" in refused(f"postgresql://nobody:{SECRET}@{host}/postgres").message
    assert "does not exist" in refused(f"{postgres}/nowhere").message


def test_a_user_who_may_not_make_tables(postgres: str, new_schema: Callable[[], str]) -> None:
    full, empty = new_schema(), new_schema()
    with open_store(full) as store, store._write() as c:
        c.execute(text(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'"))
        for url in (full, empty):
            c.execute(text(f"GRANT USAGE ON SCHEMA {url.rpartition('%3D')[2]} TO guest"))
        c.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {full.rpartition('%3D')[2]} TO guest"))
    guest = f"postgresql://guest:{SECRET}@"
    with open_store(guest + full.rpartition("@")[2]) as store:
        assert store.runs() == []
        with pytest.raises(UserError, match="may not be written"):
            store.enqueue("train", {})
    assert "may not be written" in refused(guest + empty.rpartition("@")[2]).message


def test_a_server_that_stops_in_between(new_schema: Callable[[], str]) -> None:
    with open_store(new_schema()) as store:
        with pytest.raises(UserError, match=r"was shut down|cannot be reached"), store._read() as c:
            mine = c.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with open_store(store._url.render_as_string(hide_password=False)) as other, other._read() as d:
                d.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            c.execute(text("SELECT 1"))
        assert store.runs() == []  # the next query connects anew


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(f"sqlite:///{tmp_path}/file/x.sqlite").message
    assert "cannot be opened" in refused(f"sqlite:///{tmp_path}").message  # a folder, not a file


def test_the_folder_is_made_and_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_store("sqlite:///~/new/deep/x.sqlite") as store:
        assert store.where == str(tmp_path / "new" / "deep" / "x.sqlite")
        assert store.runs() == []
        with store._read() as c:
            assert c.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
            assert c.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
            assert c.execute(text("PRAGMA busy_timeout")).scalar_one() == database.BUSY_S * 1000


@pytest.mark.parametrize("content", [b"This is a text about batteries, not a database.\n" * 100, b"\x00\xff" * 5000])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    error = refused(f"sqlite:///{path}", CorruptFile)
    assert str(path) in error.message
    assert path.read_bytes() == content


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with open_store(f"sqlite:///{path}") as store:
        for n in range(200):
            store.add_example(str(n), {"text": "x" * 500}, "x")
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    content[size:] = os.urandom(len(content) - size)  # the first page is whole, the rest is noise
    path.write_bytes(content)
    refused(f"sqlite:///{path}", CorruptFile)


def test_a_file_that_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with sqlite3.connect(path) as c:
        c.execute("CREATE TABLE t (x)")
    c.close()
    assert "may not be written" in refused(f"sqlite:///file:{path}?mode=ro&uri=true").message


UNPRIVILEGED = """
import os, sys
from seedbed.errors import UserError
from seedbed.store import Store
store = Store(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    store.enqueue("train", {})
except UserError as error:
    print(error)
"""


def test_a_file_of_another_user(start: Any, tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        path = Path(folder) / "x.sqlite"
        open_store(f"sqlite:///{path}").close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        out, err = start(UNPRIVILEGED, f"sqlite:///{path}").communicate(timeout=60)
        assert str(path) in out and len(out.splitlines()) == 2, err
        assert "may not be written" in out or "cannot be opened" in out
        Path(folder).chmod(0o755)


def test_a_full_disk(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'x.sqlite'}") as store:
        store.add_example("before", {}, "x")
        store.close()
        pages = 40
        event.listen(store._engine, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count={pages}").fetchone())
        with pytest.raises(NoResources) as caught:
            for n in range(100):
                store.add_example(str(n), {"text": "x" * 4000}, "x")
        assert "full" in caught.value.message and "space" in caught.value.hint
        assert len(store.unanswered()) >= 1  # what was written stays readable


TOO_LARGE = """
import resource, signal, sys
from seedbed.errors import UserError
from seedbed.store import open_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_store(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for n in range(1000):
            store.add_example(str(n), {"text": "x" * 4000}, "x")
    except UserError as error:
        print(type(error).__name__)
        print(error)
"""


def test_a_disk_that_fails_in_the_midst_of_a_write(tmp_path: Path, start: Any) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    out, err = start(TOO_LARGE, url).communicate(timeout=60)
    assert out.splitlines()[0] == "NoResources" and len(out.splitlines()) == 3, err
    with open_store(url) as store:
        kept = len(store.unanswered())
        assert 0 < kept < 1000
        store.add_example("later", {}, "there is room again")
        assert len(store.unanswered()) == kept + 1


def test_a_writer_that_does_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    open_store(url).close()
    monkeypatch.setattr(database, "BUSY_S", 0.2)
    with open_store(url) as first, open_store(url) as second, first._write():
        with pytest.raises(Busy) as caught:
            second.enqueue("train", {})
        assert str(tmp_path) in caught.value.message


def test_what_was_written_is_not_in_the_errors_text(store: Store) -> None:
    with pytest.raises(ValueError) as caught, store._write() as c:
        c.execute(insert(jobs).values(kind="train", payload={"key": SECRET}))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="no time zone"), store._write() as c:
        c.execute(insert(jobs).values(kind="train", queued=datetime(2026, 1, 1)))


def test_nothing_is_opened_by_importing() -> None:
    code = "import seedbed.store, sys; print([m for m in ('psycopg', 'alembic', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
