"""Every test that takes `url` or `store` runs on SQLite and on a real PostgreSQL server that these fixtures start."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest

from seedbed.store import Store, open_store

NO_SERVER: list[str] = []
PORTS_TO_TRY = 5
START_S = 60
# The server is the shell's child and the shell waits for its own input to end: when the tests are killed, even with
# kill -9, the input ends and the server is stopped. At once: what it holds is thrown away.
KEEPER = '"$@" & server=$!; cat >/dev/null; kill -QUIT $server; wait $server'


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if NO_SERVER:
        terminalreporter.section("POSTGRESQL WAS NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"The store's tests on PostgreSQL were skipped: {NO_SERVER[0]}")


def server_programs() -> Path | None:
    """The folder with `initdb` and `postgres`: on the path, or where Debian puts it, the newest version."""
    found = shutil.which("initdb")
    if found and (Path(found).resolve().parent / "postgres").exists():
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return debian[-1].parent if debian else None


def install_server() -> str:
    """Install Debian's package when that needs no password; why not, or nothing."""
    if os.geteuid() != 0:
        return "no server is installed (apt-get install postgresql), and only root may install one"
    if not shutil.which("apt-get"):
        return "no server is installed, and there is no apt-get to install one"
    with filelock.FileLock(Path(tempfile.gettempdir()) / "seedbed-apt.lock"):  # several processes test at once
        return "" if server_programs() else _install()


def _install() -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    for command in (["install", "-y", "--no-install-recommends", "postgresql"], ["update"],
                    ["install", "-y", "--no-install-recommends", "postgresql"]):
        try:
            done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            return f"apt-get {command[0]} took over 120 s"
        said = (done.stderr or done.stdout).strip().splitlines()[-1:][0] if done.stderr or done.stdout else ""
        if command[0] == "install" and done.returncode == 0:
            return ""
    return f"apt-get install postgresql failed: {said}"


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: the user it runs as instead, None for the present one."""
    if os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL, without a database's name, of a server for this test session alone."""
    programs = server_programs()
    if programs is None:
        why = install_server()
        programs = server_programs()
        if programs is None:
            NO_SERVER.append(why or "it was installed and cannot be found")
            pytest.skip(f"PostgreSQL: {NO_SERVER[0]}")
    user = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="seedbed-postgres-"))  # pytest's own folders are closed to other users
    password = secrets.token_urlsafe(16)
    secret = folder / "password"
    secret.write_text(password)
    if user:
        for path in (folder, secret):
            shutil.chown(path, user)
    owner: dict[str, object] = {"user": user, "group": user_group(user), "extra_groups": []} if user else {}
    server = None
    try:
        subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "seedbed", "-E", "UTF8", "--locale=C",
                        "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"],
                       check=True, capture_output=True, cwd=folder, **owner)  # type: ignore[call-overload]
        for _ in range(PORTS_TO_TRY):
            port = free_port()
            log = (folder / "log").open("wb")
            server = subprocess.Popen(
                ["sh", "-c", KEEPER, "sh", programs / "postgres", "-D", folder / "data", "-p", str(port), "-h",
                 "127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=50"],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder, start_new_session=True, **owner)  # type: ignore[call-overload]
            url = f"postgresql://seedbed:{password}@127.0.0.1:{port}"
            if answers(url, folder / "data" / "postmaster.pid"):
                break
            stop(server)
        else:
            pytest.fail(f"PostgreSQL does not start:\n{(folder / 'log').read_text()}")
        yield url
    finally:
        if server:
            stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def user_group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def answers(url: str, pid_file: Path) -> bool:
    import psycopg

    until, seen = time.monotonic() + START_S, False
    while time.monotonic() < until:
        try:
            psycopg.connect(f"{url}/postgres", connect_timeout=5).close()
            return True
        except psycopg.OperationalError:
            time.sleep(0.05)
        if seen and not pid_file.exists():
            return False  # it gave up, perhaps because another program took the port
        seen = seen or pid_file.exists()
    return False


def stop(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin
    server.stdin.close()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def new_schema(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes an empty schema on the server, and a URL that sees it alone (a database each would be 300 files)."""
    import psycopg
    from psycopg import sql

    server = request.getfixturevalue("postgres")

    def make() -> str:
        name = f"test_{secrets.token_hex(8)}"
        with psycopg.connect(f"{server}/postgres") as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        return f"{server}/postgres?options=-csearch_path%3D{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'seedbed.sqlite'}"
    return str(request.getfixturevalue("new_schema")())


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a real Python process that runs a piece of code; its arguments are `sys.argv[1:]`."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()

