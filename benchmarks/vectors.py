"""Texts a second of every engine for vectors, beside sentence-transformers where it is there, on the same weights.

    python benchmarks/vectors.py

all-MiniLM-L6-v2 as it is embeds test reviews. Rounds alternate in one process, so that other work on the machine
takes from all alike; medians are printed. Texts a processor second do not depend on how busy the machine is: take
SEEDBED_THREADS=1. The artefacts are written by the export targets; the least cosine to torch in fp32 is printed too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FORMS = ("openvino:fp32", "openvino:int8", "openvino:int4", "onnx:fp32", "onnx:int8", "onnx:int4")
MODEL = "all-minilm-l6-v2"


def engines(place: Path, forms: tuple[str, ...]) -> dict[str, Callable[[list[str]], Any]]:
    """What embeds, by name."""
    import torch

    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull
    from seedbed.engines.base import load_classifier
    from seedbed.engines.embedder import Embedder
    from seedbed.export.targets import TARGETS, asked
    from seedbed.models.backbone import Backbone
    from seedbed.settings import settings

    folder, out = pull(card(MODEL)), dict[str, Callable[[list[str]], Any]]()
    torch.set_num_threads(settings().threads)

    def model() -> Embedder:
        return Embedder(Backbone.open(folder, dtype=torch.float32))
    out["torch, fp32"] = model().vectors
    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer
        peer = SentenceTransformer(str(folder), device="cpu")
        out["sentence-transformers"] = lambda texts: peer.encode(texts, show_progress_bar=False)
    for target, precision in asked(forms, TARGETS):
        part = place / f"{target.name}-{precision}"
        part.mkdir()
        target.write(model(), part, precision)
        out[part.name] = load_classifier(part).vectors  # type: ignore[attr-defined]
    return out


def main(rounds: int, count: int, forms: tuple[str, ...]) -> None:
    from seedbed.catalog.datasets import pull_dataset
    from seedbed.data.read import read
    from seedbed.export.vectors import unit

    texts = read(pull_dataset("patient-reviews")["test"], text="review", label="rating").dataset.texts[:count]
    with tempfile.TemporaryDirectory() as place:
        embed = engines(Path(place), forms)
        size = {path.name: sum(f.stat().st_size for f in path.iterdir()) / 1e6 for path in Path(place).iterdir()}
        said = {name: unit(call(texts)) for name, call in embed.items()}
        bulk, worked, single = ({name: list[float]() for name in embed} for _ in range(3))
        for _ in range(rounds):
            for name, call in embed.items():
                begin, work = time.perf_counter(), time.process_time()
                call(texts)
                bulk[name].append(time.perf_counter() - begin)
                worked[name].append(time.process_time() - work)
                for text in texts[:8]:
                    begin = time.perf_counter()
                    call([text])
                    single[name].append(time.perf_counter() - begin)
    print("engine                     MB  texts/s  texts/processor s  ms a text  cosine, at least")
    for name in embed:
        rates = (len(texts) / statistics.median(one[name]) for one in (bulk, worked))
        least = (said[name] * said["torch, fp32"]).sum(1).min()
        print(f"{name:<22} {size.get(name, 0):6.1f} {next(rates):8.1f} {next(rates):18.1f} "
              f"{statistics.median(single[name]) * 1e3:10.1f} {least:17.5f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--forms", default=",".join(FORMS), help="what --to of seedbed export takes")
    given = parser.parse_args()
    sys.exit(main(given.rounds, given.texts, tuple(given.forms.split(","))))
