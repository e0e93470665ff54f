"""What a server of llama.cpp makes of a conversation, by the template in the file and its own reader of templates."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..data.turns import Turn
from .llama_library import library

CONTEXT = 512


@contextlib.contextmanager
def renderer(file: Path) -> Iterator[Callable[[Sequence[Turn]], str]]:
    """Within it, a function that gives the text before the assistant's next turn.

    The server listens on this machine only, behind a key that nobody else knows, and ends with the block.

    Raises:
        MissingExtra: xllamacpp is not installed.
    """
    import httpx

    library()
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = str(file)
    options.n_ctx, options.n_parallel, options.cpuparams.n_threads = CONTEXT, 1, 1
    options.warmup, options.verbosity, options.ui = False, -1, False
    key = secrets.token_urlsafe(32)
    options.api_keys = [key]
    server = xllamacpp.Server(options)
    try:
        with httpx.Client(base_url=server.listening_address, headers={"Authorization": f"Bearer {key}"}, timeout=60,
                          trust_env=False) as client:
            def render(messages: Sequence[Turn]) -> str:
                answer = client.post("/apply-template", json={"messages": list(messages)})
                return str(answer.json()["prompt"]) if answer.is_success else f"(refused: {answer.text})"
            yield render
    finally:
        del server
