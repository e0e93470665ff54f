"""The HTTP app around one bundle: classify, health, and docs that need no network."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .. import __version__
from ..errors import UserError
from ..export.bundle import Bundle
from .body import BodyLimit
from .limits import Limits
from .problems import Overloaded, handle

NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""FastAPI records requests for OpenTelemetry by default, the texts of refused ones among them, and an environment
variable would send them out."""

T = TypeVar("T")


class ClassifyRequest(BaseModel):
    """One text, or several."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={
        "examples": [{"texts": ["The battery died after two days."]}]})

    texts: Annotated[list[str] | None, Field(description="The texts, answered in this order.")] = None
    text: Annotated[str | None, Field(description="One text, instead of `texts`.")] = None
    threshold: Annotated[float | None, Field(
        ge=0, le=1, description="Confidence from which an answer is sure; the bundle's own when left out.")] = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> ClassifyRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self

    @property
    def all(self) -> list[str]:
        return self.texts if self.texts is not None else [self.text or ""]


class Classified(BaseModel):
    """The answer for one text."""

    index: int = Field(description="Position of the text in the request, from 0.")
    label: str | list[str] = Field(description="The label; a list for a multi-label bundle.")
    confidence: float = Field(description="Calibrated probability that the answer is right.")
    scores: dict[str, float] = Field(description="Calibrated probability of each label.")
    sure: bool = Field(description="The confidence reaches the threshold.")


class Usage(BaseModel):
    """What the request took."""

    texts: int
    characters: int


class ClassifyResponse(BaseModel):
    """Answers in the order of the texts."""

    model: str = Field(description="Name of the bundle.")
    results: list[Classified]
    usage: Usage


class Health(BaseModel):
    """The server lives; `ready` says whether it can answer yet."""

    status: str = "ok"
    ready: bool
    model: str
    version: str = __version__


class Worker:
    """One thread that runs the model, and a bounded queue before it.

    Args:
        max_waiting: jobs that may wait or run at once.
    """

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self._places = BoundedSemaphore(max_waiting)
        self._thread = ThreadPoolExecutor(1, "model")

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job in its turn. A job that is cancelled before its turn is not run.

        Raises:
            Overloaded: the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise Overloaded(self.max_waiting)
        future: Future[T] = self._thread.submit(job)
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Wait for the job that runs; those that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def make_app(bundle: Bundle, limits: Limits = Limits()) -> FastAPI:
    """The app that answers with a bundle. The model is loaded when the app starts, in its own thread.

    Args:
        bundle: an open bundle.
        limits: how much a request may ask.
    """
    worker = Worker(limits.max_waiting)
    loading: list[asyncio.Task[None]] = []

    def is_ready() -> bool:
        return bool(loading) and loading[0].done() and not loading[0].cancelled() and not loading[0].exception()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading[:] = [asyncio.create_task(worker.run(bundle.warm))]
        loading[0].add_done_callback(_tell)
        yield
        loading[0].cancel()
        worker.stop()

    app = FastAPI(title=f"Seedbed: {bundle.name}", version=__version__, docs_url=None, redoc_url=None,
                  lifespan=lifespan, telemetry=NO_TELEMETRY,
                  description=f"Labels: {', '.join(bundle.task.labels[:50])}.")
    app.add_middleware(BodyLimit, max_body=limits.max_body)
    handle(app)

    @app.post("/v1/classify", summary="Label texts")
    async def classify(request: ClassifyRequest) -> ClassifyResponse:
        texts = request.all
        if len(texts) > limits.max_texts:
            raise UserError(f"The request holds {len(texts):,} texts; {limits.max_texts:,} are allowed.",
                            "Send them in several requests, or use `seedbed predict` for a whole file.")
        answers = await worker.run(lambda: bundle.predict(texts, threshold=request.threshold))
        return ClassifyResponse(
            model=bundle.name, usage=Usage(texts=len(texts), characters=sum(map(len, texts))),
            results=[Classified(index=i, **dict(answer)) for i, answer in enumerate(answers)])

    @app.get("/health", summary="The server lives")
    async def health() -> Health:
        return Health(ready=is_ready(), model=bundle.name)

    @app.get("/ready", summary="The model is loaded; 503 until then", responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        response.status_code = 200 if is_ready() else 503
        return Health(ready=is_ready(), model=bundle.name)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        from .docs import page

        return HTMLResponse(page(app.openapi()), headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                       "connect-src 'self'; form-action 'none'; frame-ancestors 'none'"})

    return app


def _tell(loading: asyncio.Task[None]) -> None:
    """Say in the log why the model could not be loaded; each request will say it too."""
    if not loading.cancelled() and (problem := loading.exception()):
        logging.getLogger("seedbed").error("The model could not be loaded: %s", problem)
