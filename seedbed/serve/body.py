"""A bound on the body of a request, wherever its length is said."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses a body that is too long: at once when its length is announced, else when it has grown too long."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self.app, self.max_body = app, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        expected, received = int(announced) if announced.isdigit() else 0, 0

        async def counted() -> Message:
            nonlocal received
            if expected <= self.max_body:
                message = await receive()
                received += len(message.get("body", b""))
            if max(expected, received) > self.max_body:  # raised inside the app, whose one handler answers
                raise HTTPException(413, f"The body is longer than {self.max_body:,} bytes")
            return message

        await self.app(scope, counted, send)
