"""A model behind a URL that speaks OpenAI's chat completions: on another machine or on this one."""

from __future__ import annotations

import ipaddress
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..data.turns import Turn
from ..errors import NotFound, Offline, UserError
from .sampling import Sampling

AT_ONCE = 4
"""Requests under way at the same time."""
TRIES, WAIT, LONGEST_WAIT = 6, 1.0, 60.0
"""How often a request is sent, and the seconds before the second time, doubled for each further one, and at most."""
SECONDS = 180.0
"""Longest silence of a server while it answers."""
REFUSED = (400, 413, 422)
"""Statuses that speak of the one request, such as one that is too long; others speak of the server."""


@dataclass(frozen=True)
class Said:
    """An answer.

    Args:
        text: what was written; None where the server refused the request.
        cut: it ended at the limit of tokens.
        refused: what the server said of a request that it refused.
    """

    text: str | None
    cut: bool = False
    refused: str = ""


@dataclass(frozen=True)
class Wanted:
    """A request: the turns so far, and how the next is drawn."""

    turns: Sequence[Turn]
    sampling: Sampling


class Remote:
    """A server of chat completions.

    Args:
        url: up to and with `/v1`.
        model: its name there; None takes the only one that the server has.
        key: sent as a bearer token, and nowhere else; it is in no message.
        offline: only this machine may be spoken to.
        role: what it is here, `teacher` or `judge`, for messages; its options are `--ROLE-model` and so on.

    Raises:
        UserError: the URL carries a password, or is none. Offline: it leads away from this machine and may not.
    """

    def __init__(self, url: str, model: str | None = None, *, key: str | None = None, offline: bool = False,
                 role: str = "teacher") -> None:
        import httpx

        self._role, self._key_in = role, f"SEEDBED_{role.upper()}_KEY"
        try:
            place = httpx.URL(url)
        except httpx.InvalidURL:
            place = httpx.URL("")
        if place.scheme not in ("http", "https") or not place.host:
            raise UserError(f"{public(url)} is not the address of a server.", "Write it as http://127.0.0.1:8080/v1")
        if place.userinfo or place.query:
            raise UserError(f"The {role}'s URL carries a name, a key or a password, which would be written down.",
                            f"Leave it out, and put the key into the variable {self._key_in}.")
        here = _here(place.host)
        if offline and not here:
            raise Offline(f"The {role} is at {place.host}, and this process may not leave the machine.",
                          f"Unset SEEDBED_OFFLINE, or name a {role} on this machine.")
        self.url, self._asked_for, self._over = str(place).rstrip("/"), model, threading.Event()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=httpx.Timeout(SECONDS, connect=10.0),
            trust_env=not here, limits=httpx.Limits(max_connections=AT_ONCE))

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def model(self) -> str:
        """The model's name on the server.

        Raises:
            UserError: none was named and the server has several, or it does not say.
        """
        if self._asked_for is None:
            given = self._sent("GET", "/models").get("data")
            names = [str(one["id"]) for one in given if isinstance(one, dict) and "id" in one] \
                if isinstance(given, list) else []
            if len(names) != 1:
                listed = f": {', '.join(names[:8])}" if names else ""
                raise UserError(f"{self.url} has {len(names)} models{listed}.",
                                f"Name one with --{self._role}-model.")
            self._asked_for = names[0]
        return self._asked_for

    def answer(self, wanted: Wanted) -> Said:
        """The next turn.

        Raises:
            Offline: the server cannot be reached, or failed each time.
            UserError: it does not let this process in, or does not know the model.
        """
        how = wanted.sampling
        turns = [{name: value for name, value in turn.items() if name != "weight"} for turn in wanted.turns]
        body = {"model": self.model(), "messages": turns, "max_tokens": how.max_tokens,
                "temperature": how.temperature, "top_p": how.top_p, "seed": how.seed}
        try:
            given = self._sent("POST", "/chat/completions", body, _choice)
        except _Refused as problem:
            return Said(None, refused=str(problem))
        one = _choice(given)
        return Said(str(one["message"]["content"] or ""), one.get("finish_reason") == "length")

    def answers(self, wanted: Sequence[Wanted]) -> Iterator[tuple[int, Said]]:
        """Each request's position and answer, as they come; a few are under way at once."""
        self.model()
        self._over.clear()
        with ThreadPoolExecutor(AT_ONCE, self._role) as pool:
            under_way, left = dict[Future[Said], int](), iter(range(len(wanted)))
            try:
                while True:
                    for place in left:
                        under_way[pool.submit(self.answer, wanted[place])] = place
                        if len(under_way) == AT_ONCE:
                            break
                    if not under_way:
                        return
                    for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                        yield under_way.pop(done), done.result()
            finally:
                self._over.set()  # nothing waits to try again
                pool.shutdown(wait=False, cancel_futures=True)

    def _sent(self, method: str, path: str, body: dict[str, Any] | None = None,
              read: Callable[[dict[str, Any]], object] = lambda given: given) -> dict[str, Any]:
        """What the server gave, tried again where another time may help."""
        import httpx

        why = ""
        for count in range(TRIES):
            pause = WAIT * 2 ** count * random.uniform(0.8, 1.2)  # so that waiting requests do not come back together
            try:
                reply = self._client.request(method, self.url + path, json=body)
                if reply.is_success:
                    given = reply.json()
                    read(given)
                    return dict(given)
                why = f"HTTP {reply.status_code}{_told(reply)}"
                if reply.status_code not in (408, 409, 425, 429) and reply.status_code < 500:
                    raise self._problem(reply.status_code, why)
                with suppress(ValueError):
                    pause = max(pause, float(reply.headers.get("retry-after", "0")))
            except httpx.RequestError as problem:
                why = type(problem).__name__
            except (ValueError, KeyError, IndexError, TypeError):
                why = "its answer is not one of chat completions"
            if count < TRIES - 1 and self._over.wait(min(pause, LONGEST_WAIT)):
                break
        raise Offline(f"The {self._role} at {self.url} gave no answer in {TRIES} tries: {why}.",
                      "See that it runs and how much it allows.")

    def _problem(self, status: int, why: str) -> Exception:
        if status in REFUSED:
            return _Refused(why)
        if status in (401, 403):
            return UserError(f"The {self._role} at {self.url} does not let us in: {why}.",
                             f"Put its key into the variable {self._key_in}.")
        return NotFound(f"The {self._role} at {self.url} does not know the address or the model: {why}.",
                        f"The URL ends in /v1; name the model with --{self._role}-model.")


class _Refused(Exception):
    """One request was refused; the text says how."""


def _choice(given: dict[str, Any]) -> dict[str, Any]:
    one: dict[str, Any] = given["choices"][0]
    if not isinstance(one["message"]["content"], str | None):
        raise TypeError
    return one


def _told(reply: Any) -> str:
    """The server's own words, the first of them; a server may repeat a part of the key, which is left out."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        error = reply.json()["error"]
        words = " ".join(str(error["message"] if isinstance(error, dict) else error).split())
        key = str(reply.request.headers.get("authorization", "")).removeprefix("Bearer ")
        return f" ({words[:120]})" if not key or not any(part in words for part in (key[:8], key[-4:])) else ""
    return ""


def _here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def public(url: str) -> str:
    """A URL without what may be secret in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.split('?')[0].rpartition('@')[2]}" if rest else url
