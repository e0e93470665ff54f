"""Every error over HTTP, made in one place: OpenAI's error body with the hint beside the message."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..errors import UserError

HINTS = {404: "Look at /docs for what there is.", 405: "Look at /docs for the method to use.",
         413: "Send fewer or shorter texts in one request."}
CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Overloaded(UserError):
    """More requests are waiting than the queue holds."""

    http_status = 429
    code = "overloaded"

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} requests are waiting already.", "Send the request again in a second.")


def body(status: int, message: str, hint: str, code: str) -> dict[str, Any]:
    """The body of an error."""
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "hint": hint, "code": code, "type": kind}}


def _user_error(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, UserError)
    headers = {"Retry-After": "1"} if problem.http_status in (429, 503) else None
    return JSONResponse(body(problem.http_status, problem.message, problem.hint, problem.code), problem.http_status,
                        headers)


def _not_valid(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]  # holds the user's text as well, which is not for logs or answers
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    reason = str(first.get("ctx", {}).get("error") or first["msg"]).removeprefix("Value error, ")
    message = f"The request cannot be read{f' at {where}' if where else ''}: {reason}."
    message = message.encode("utf-8", "replace").decode()  # a key of the request may hold half a character
    hint = 'Send JSON such as {"texts": ["..."]}, with the header Content-Type: application/json.'
    return JSONResponse(body(400, message, hint, "invalid_request"), 400)


def _http(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    status = problem.status_code
    answer = body(status, f"{problem.detail}: {request.method} {request.url.path}.",
                  HINTS.get(status, "Look at /docs."), CODES.get(status, "invalid_request"))
    return JSONResponse(answer, status, problem.headers)


def _defect(request: Request, problem: Exception) -> JSONResponse:
    # Starlette raises the exception again after this answer, and uvicorn writes it to the log.
    return JSONResponse(body(500, "This is a defect in Seedbed, not in your request.",
                             "The server's log holds the details.", "internal_error"), 500)


def handle(app: FastAPI) -> None:
    """Give the app these answers."""
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)
