"""A page that classifies in a browser: one file with the model, its runtime and its tokenizer, and no server.

It opens by a double-click, may open no connection, and proves itself before it answers: the bundle's stored texts
must get the same tokens and, within the certificate's limit, the same probabilities.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ... import __version__
from ...catalog.web import RUNTIME, TOKENIZERS, WebParts
from ...engines.exported import TOKENIZER, Exported
from ...engines.onnx import MODEL
from ...errors import UserError
from ..bundle import Bundle
from ..certificate import LIMITS
from ..manifest import EngineEntry
from ..probes import LIMIT, Probes

NAME = "classify.html"
KIND = "onnx"
"""The kind of artefact that browsers run."""
MOST = 500_000_000
"""Letters of one block of the page: V8 holds no longer text."""
HERE = Path(__file__).parent
POLICY = ("default-src 'none'; script-src '{script}' blob: 'wasm-unsafe-eval'; style-src '{style}'; "
          "style-src-attr 'none'; connect-src 'none'; img-src data:; base-uri 'none'; form-action 'none'")
"""Nothing may be asked for or sent. The page's one script is known by its hash; what it runs besides, it makes of the
page's own bytes."""


def refuse(kind: str) -> None:
    """Raises UserError where browsers do not run this kind of artefact."""
    if kind != KIND:
        raise UserError(f"A browser does not run an artefact of {kind}, so there is no page of it.",
                        "Export to onnx: seedbed export RUN --to onnx --edge DIR --page")


def write(bundle: Bundle, entry: EngineEntry, artefact: Exported, path: Path, parts: WebParts) -> int:
    """Write the page; the bytes that it has.

    Args:
        bundle: that holds the artefact, its stored texts and their answers.
        entry: the artefact.
        artefact: the same, opened.
        path: the page to be.
        parts: runtime and tokenizers.

    Raises:
        UserError: the model is larger than a browser can read out of a page.
    """
    import jinja2
    from markupsafe import Markup

    blocks = {"runtime": parts.runtime, "tokenizers": parts.tokenizers, "wasm": parts.wasm,
              "tokenizer": artefact.folder / TOKENIZER, "model": artefact.folder / MODEL}
    packed = {name: _packed(file) for name, file in blocks.items()}
    if len(packed["model"]) > MOST:
        raise UserError(f"{entry.name} is too large for a page: {len(packed['model']) / 1e6:,.0f} MB of text, where "
                        f"{MOST / 1e6:,.0f} MB are the most.",
                        "Export it with fewer bits: --to onnx:int8 or onnx:int4.")
    said = _said(bundle, entry, artefact)
    script, style = ((HERE / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    template = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                                  undefined=jinja2.StrictUndefined).get_template("page.html")
    text = template.render(
        name=bundle.name, said=said, said_json=Markup(json.dumps(said).replace("<", "\\u003c")),
        policy=POLICY.format(script=_hash(script), style=_hash(style)), script=Markup(script), style=Markup(style),
        facts=_facts(bundle, entry), version=__version__, notices=_notices(parts),
        hashes=[("model.onnx", said["sha256"]), ("the rows it learned from", bundle.manifest.data_hash)],
        parts=[(name, Markup(block)) for name, block in packed.items()])
    path.write_text(text, encoding="utf-8", newline="\n")
    return path.stat().st_size


def _said(bundle: Bundle, entry: EngineEntry, artefact: Exported) -> dict[str, Any]:
    """All that the script must know of the model."""
    assert bundle.manifest.probes is not None and entry.certificate is not None
    probes = Probes.open(bundle.folder / bundle.manifest.probes.path)
    truth = bundle.task.probabilities(probes.scores, bundle.manifest.temperature)
    long = artefact.tokenizer.encode(probes.texts[probes.of(LIMIT)[0]]).special_tokens_mask
    ending = next((i for i, special in enumerate(reversed(long)) if not special), 0)
    return {"labels": list(bundle.task.labels), "multi_label": bundle.task.multi_label,
            "temperature": bundle.manifest.temperature, "max_tokens": artefact.max_tokens, "empty": artefact.empty,
            "ending": ending, "limit": LIMITS[entry.certificate.precision].probability,
            "sha256": next(one.sha256 for one in entry.files if one.path == f"{entry.folder}/{MODEL}"),
            "probes": [{"text": text, "tokens": tokens, "probabilities": [round(float(one), 7) for one in row]}
                       for text, tokens, row in zip(probes.texts, probes.tokens, truth, strict=True)]}


def _facts(bundle: Bundle, entry: EngineEntry) -> list[tuple[str, str]]:
    """What stands below the answer."""
    from ...evaluate.report import wording as w

    manifest, loss = bundle.manifest, entry.certificate.loss if entry.certificate else None
    facts = [("Form", f"{entry.name}, {w.size(entry.size)}")]
    if manifest.base_model:
        facts.append(("Trained from", manifest.base_model))
    one = manifest.scores.get(bundle.task.metric)
    if one is not None:
        facts.append((f"{w.metric_name(bundle.task.metric)} as trained", w.estimate(one, bundle.task.metric)))
    if loss is not None:
        facts.append(("Accuracy lost in this form", f"at most {w.percent(loss.bound, 1)} "
                      f"({w.percent(loss.confidence, 0)} sure; {w.plural(loss.n, 'text')})"))
    return [*facts, *((f"Licence of {name}", licence) for name, licence in manifest.licences.items())]


def _notices(parts: WebParts) -> list[tuple[str, str]]:
    """Licences of what the page contains, with the notices of what ONNX Runtime is built of."""
    named = [f"{one.name} {one.version}, {one.licence}" for one in (RUNTIME, TOKENIZERS)]
    notices = [(named[0], MIT), (named[1], parts.licence.read_text(encoding="utf-8"))]
    try:
        file = Path(str(distribution("onnxruntime").locate_file("onnxruntime/ThirdPartyNotices.txt")))
        notices.insert(1, ("What ONNX Runtime is built of", file.read_text(encoding="utf-8", errors="replace")))
    except (PackageNotFoundError, OSError):  # a build of its own, which is then known by another name
        pass
    return notices


def _packed(file: Path) -> str:
    """A file's bytes as `page.js` opens them."""
    return base64.b64encode(gzip.compress(file.read_bytes(), mtime=0)).decode()


def _hash(text: str) -> str:
    """Name of an inline script or style in the policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


MIT = """MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
"""Of ONNX Runtime: its package for browsers names it and does not hold it."""
