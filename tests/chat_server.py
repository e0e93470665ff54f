"""A server of chat completions on this machine whose answers and failures a test decides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = str | int | bytes | float | dict[str, Any]
"""A text to answer with, a status, a body as it is, seconds of silence, or a choice. `CLOSES` hangs up midway."""
CLOSES = -1


class ChatServer(ThreadingHTTPServer):
    """Args:
        answer: what to reply to a request, given its body and how many came before it.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply], models: tuple[str, ...] = ("big",)) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.models, self.lock = answer, models, threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": name} for name in self.server.models]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            count = len(self.server.bodies)
            self.server.bodies.append(body)
            self.server.keys.append(self.headers.get("authorization", ""))
        reply = self.server.answer(body, count)
        if isinstance(reply, float):
            time.sleep(reply)
            reply = "late"
        if reply == CLOSES:
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices"')
            self.close_connection = True
        elif isinstance(reply, int):
            self._send(reply, json.dumps({"error": {"message": f"no, {self.headers.get('authorization')}"}}).encode())
        elif isinstance(reply, bytes):
            self._send(200, reply)
        else:
            choice = reply if isinstance(reply, dict) else {"message": {"content": reply}, "finish_reason": "stop"}
            self._send(200, json.dumps({"choices": [choice]}).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if status == 429:
            self.send_header("retry-after", "0.01")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(answer: Callable[[dict[str, Any], int], Reply],
            models: tuple[str, ...] = ("big",)) -> Iterator[ChatServer]:
    server = ChatServer(answer, models)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
