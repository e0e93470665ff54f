"""Listen on a port until told to stop."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI

from ..errors import Busy, UserError

ANYWHERE = "Use 127.0.0.1 for this machine alone, 0.0.0.0 for all."
DRAIN_SECONDS = 10
"""How long requests under way may take once the server is told to stop."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound and not yet accepting.

    Args:
        host: name or address; `127.0.0.1` is reached from this machine only.
        port: 0 takes any free one.

    Raises:
        Busy: the port is in use.
        UserError: the host is none of this machine's, or the port may not be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family)
    except (OSError, UnicodeError):
        raise UserError(f"There is no host {host!r}.", ANYWHERE) from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(512)  # two may bind one port with SO_REUSEADDR; only one may listen
    except OSError as problem:
        found.close()
        if problem.errno == errno.EADDRINUSE:
            raise Busy(f"Port {port} on {host} is in use.",
                       f"Stop the program that uses it, or take another: --port {port % 65535 + 1}.") from None
        if problem.errno == errno.EACCES:
            raise UserError(f"Port {port} may not be used by this user.",
                            "Take one above 1023: --port 8000.") from None
        raise UserError(f"{host} is not an address of this machine.", ANYWHERE) from None
    return found


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what is under way and return."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False,
                                           timeout_graceful_shutdown=DRAIN_SECONDS))
    if threading.current_thread() is threading.main_thread():
        # uvicorn stops gently and then raises the signal again: being told to stop is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
    server.run(sockets=[listening])
