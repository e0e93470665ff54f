"""What each technique of `seedbed train` gives on a CPU: SmolLM2-135M, LoRA, each of them left out in turn.

    python benchmarks/ablation.py                      # some ten minutes; prints a table
    python benchmarks/ablation.py --chart out.svg      # and draws it

Rows of `write.py` (review to condition), two passes over the first 96, rank 16. Each variant runs in a process of
its own; rates are of seconds times the share of the processor that it had. The limit counts only the matrix products
that this training cannot do without (frozen layers once, trained layers forward and back to their inputs, the
vocabulary of learned tokens), at the rate that one large product in the machine's precision reaches just before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from train import RANK, Watch, model_folder, say
from write import LENGTH, rows

ROWS, EPOCHS = 96, 2
BODY, WORDS = 106.2e6, 28.3e6
"""Parameters of SmolLM2-135M's layers, and of its vocabulary."""


def whole_vocabulary() -> None:
    """Scores of every word for every token, as trainers make them."""
    import torch

    from seedbed.train.student import Student

    def losses(self: Student, places: Any, smoothing: float = 0.0, soft: Any = None) -> Any:
        from torch.nn import functional as F
        hidden = self.body.vectors(places, pool=False)
        scores = self.vocabulary.logits(hidden[:, :-1].flatten(0, 1)).view(*hidden[:, :-1].shape[:2], -1)
        each, owners = [], []
        for number, place in enumerate(places):
            row = self.rows[place]
            at = torch.tensor([i for i, on in enumerate(row.learned) if on and i])
            each.append(F.cross_entropy(scores[number, at - 1], torch.tensor(row.ids)[at], reduction="none"))
            owners.append(torch.full((len(at),), number))
        return torch.cat(each), torch.cat(owners)
    Student.losses = losses  # type: ignore[method-assign]


def frozen_every_step() -> None:
    """The frozen layers run in each step instead of once."""
    from seedbed.train import trainable
    real = trainable.Boundary

    def boundary(backbone: Any, texts: Any, first: int, **more: Any) -> Any:
        return real(backbone, texts, 0, **more)
    trainable.Boundary = boundary  # type: ignore[misc, assignment]


def own_passes() -> None:
    """torch's attention and autograd's passes through norms and adapters, instead of ours."""
    from seedbed.models import adapters, backbone, kernels
    for module in (kernels, backbone.kernels, adapters.kernels):
        module.quicken = lambda model: None  # type: ignore[assignment]
        module.suits = lambda config, device: "sdpa"  # type: ignore[assignment]


def fp32() -> None:
    import torch

    from seedbed.models import backbone, runtime
    plain = runtime.Runtime(torch.float32, runtime.runtime().threads, None, None, "fp32")
    backbone.runtime = lambda: plain  # type: ignore[assignment]


def similar_lengths() -> None:
    """Batches drawn at random, padded to their longest."""
    from seedbed.train import generate
    from seedbed.train.batches import Packs
    generate.batches_of = lambda lengths, config, seed: Packs(  # type: ignore[assignment]
        lengths, config.batch_texts, config.batch_tokens // 2, seed)


def kept_memory() -> None:
    """glibc gives freed blocks back to the system."""
    from seedbed.models import runtime
    runtime.keep_memory = lambda: None


def fewer_layers() -> None:
    """Adapters on all layers."""


WITHOUT: dict[str, tuple[str, Callable[[], None]]] = {
    "": ("all of them", lambda: None),
    "vocabulary": ("vocabulary for learned tokens only", whole_vocabulary),
    "cache": ("frozen layers computed once", frozen_every_step),
    "layers": ("adapters on the top 10 of 30 layers", fewer_layers),
    "passes": ("own attention, norms and adapters", own_passes),
    "bf16": ("bf16", fp32),
    "buckets": ("texts of similar length together", similar_lengths),
    "memory": ("freed memory is kept", kept_memory),
}


def one(without: str) -> None:
    import dataclasses

    import torch
    WITHOUT[without][1]()
    from seedbed.machine import peak_memory
    from seedbed.models.runtime import runtime
    from seedbed.train.config import TextConfig
    from seedbed.train.generate import TextLesson, write
    learn, held = rows()
    learn = learn[:ROWS]
    config = TextConfig(max_tokens=LENGTH, rank=RANK, epochs=EPOCHS, patience=EPOCHS)
    if without == "layers":
        config = dataclasses.replace(config, train_layers=30)
    chosen = runtime()
    dtype = torch.float32 if without == "bf16" else chosen.dtype
    a = torch.randn(2048, 2048).to(dtype)
    best = min(_timed(lambda: a @ a) for _ in range(12))
    lesson = TextLesson(learn, held[:8], [], config=config, model=model_folder())
    watch = Watch()
    tuned = write(lesson)
    total, busy = watch.seconds, watch.busy
    tokens, learned = sum(len(row.ids) for row in learn), sum(row.count for row in learn)
    share = config.train_layers / 30
    need = 2 * BODY * (1 - share) * tokens + EPOCHS * (4 * BODY * share * tokens + 4 * WORDS * learned)
    say(without=without, seconds=total * busy, tokens_per_second=EPOCHS * tokens / total / busy,
        limit=need / (2 * 2048**3 / best) / (total * busy), peak_gb=peak_memory() / 1e9,
        loss=tuned.trained.history[-1]["validation_loss"])


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _slower(times: float) -> str:
    return f"{times:.1f} times slower" if times >= 1.05 else "no slower"


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Bars of the tokens a second with all techniques, and without each: the one that gives most first."""
    from seedbed.evaluate.report.charts import bars
    from seedbed.evaluate.report.drawing import ACCENT, MARK, WIDE, file

    found = sorted(found, key=lambda one: (bool(one["without"]), one["tokens_per_second"]))
    whole = found[0]["tokens_per_second"]
    names = [("all of them" if not one["without"] else f"without: {WITHOUT[one['without']][0]}") for one in found]
    data = [{"at": at, "label": name, "n": rate, "color": MARK if at else ACCENT,
             "figures": f"{rate:.0f} tokens a second" + (f", {_slower(whole / rate)}" if at else "")}
            for at, (name, rate) in enumerate(zip(names, (one["tokens_per_second"] for one in found), strict=True))]
    words = " ".join(f"{one['label']}: {one['figures']}." for one in data)
    path.write_text(file(bars(data, WIDE), "ablation", "What each technique gives", words), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--without", choices=tuple(WITHOUT))
    parser.add_argument("--chart", type=Path)
    asked = parser.parse_args()
    if asked.without is not None:
        sys.exit(one(asked.without))
    results = []
    for name, (title, _) in WITHOUT.items():
        text = subprocess.run([sys.executable, __file__, "--without", name], check=True, capture_output=True,
                              text=True).stdout
        results.append(json.loads(next(line for line in text.splitlines() if line.startswith('{"without"'))))
        last = results[-1]
        print(f"{'without ' * bool(name)}{title}: {last['tokens_per_second']:.0f} tokens a second "
              f"({results[0]['tokens_per_second'] / last['tokens_per_second']:.2f} times less), {last['limit']:.0%} "
              f"of its limit, {last['peak_gb']:.1f} GB, loss {last['loss']:.3f}", flush=True)
    if asked.chart:
        draw(results, asked.chart)
