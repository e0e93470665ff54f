"""`seedbed serve`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..serve.limits import Limits
from . import show
from .options import flags


@flags(Limits, into="limits")
def serve(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    limits: Limits,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every address of this machine.")] =
    "127.0.0.1",
    engine: Annotated[str, typer.Option(help="Which form of the model answers; auto is the fastest that is proven "
                                             "here.")] = "auto",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.", min=0, max=65535)] = 8000,
) -> None:
    """Answer over HTTP with a bundle: POST /v1/classify, GET /health, GET /docs.

    It is reached from this machine only, unless --host says otherwise. SIGTERM or Ctrl-C stops it once the requests
    under way are answered.
    """
    from ..engines.base import LABELS
    from ..errors import MissingExtra
    from ..export.bundle import open_bundle

    opened = open_bundle(bundle, engine=engine, progress=show.bar())
    opened.must_give(LABELS)
    try:
        from ..serve.app import make_app
        from ..serve.run import listen, run
    except ImportError as missing:
        if (missing.name or "").split(".")[0] not in ("fastapi", "starlette", "uvicorn"):
            raise
        raise MissingExtra("seedbed serve", "serve") from missing
    listening = listen(host, port)
    where = f"[{host}]" if ":" in host else host
    show.line(f"{opened.name} answers at http://{where}:{listening.getsockname()[1]}/v1/classify; "
              "its docs are at /docs. Ctrl-C stops it.")
    if host not in ("127.0.0.1", "localhost", "::1"):
        show.bar().note("There are no keys: whoever reaches this address can use the model.")
    sys.stdout.flush()
    run(make_app(opened, limits), listening)
