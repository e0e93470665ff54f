"""Texts a second in bulk: Seedbed beside `transformers.pipeline` on the same weights.

    python benchmarks/predict.py

A sentence encoder (MiniLM) and a generative model (SmolLM2-135M), each with a classification head, answer the 379
test reviews. The peer is `pipeline("text-classification")` with its defaults (fp32, one text at a time). Rounds
alternate in one process; the medians and the ratio are printed, how far the probabilities differ, and which share is
reached of what the processor's matrix products in that precision allow.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np

CARDS = ("all-minilm-l6-v2", "smollm2-135m-instruct")
LENGTH = 256


def pair(card_id: str, labels: int) -> tuple[Any, Any]:
    """Our classifier and the peer's pipeline with the same weights and the same random head."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull
    from seedbed.engines.transformer import TransformerHead
    from seedbed.models.backbone import Backbone
    from seedbed.models.folder import open_folder
    folder = open_folder(pull(card(card_id)))
    generator = np.random.default_rng(0)
    encoder = card_id == CARDS[0]
    ours = Backbone.open(folder, max_tokens=LENGTH, pooling="cls" if encoder else "last")
    ours.normalized = False
    weight = generator.normal(0, 0.05, (labels, ours.width)).astype(np.float32)
    peer = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    peer.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        if encoder:  # its pooler is a dense layer that sentence encoders never trained: made to pass through
            peer.bert.pooler.activation = torch.nn.Identity()
            peer.bert.pooler.dense.weight.copy_(torch.eye(ours.width))
            peer.bert.pooler.dense.bias.zero_()
            peer.classifier.weight.copy_(torch.from_numpy(weight))
            peer.classifier.bias.zero_()
        else:
            peer.score.weight.copy_(torch.from_numpy(weight))
    with tempfile.TemporaryDirectory() as place:  # a pipeline opens a folder as its users do
        peer.save_pretrained(place)
        tokenizer.save_pretrained(place)
        if not encoder:
            said = pipeline("text-classification", model=place, tokenizer=place)
        else:
            said = pipeline("text-classification", model=peer, tokenizer=tokenizer)
    return TransformerHead(ours, weight, np.zeros(labels, np.float32)), said


def limit(model: Any, texts: list[str]) -> float:
    """Texts a second if only the layers' matrix products took time, at the speed of a product of their size."""
    import torch
    linear = [m for layer in model.layers for m in layer.modules() if isinstance(m, torch.nn.Linear)]
    widest = max(linear, key=lambda m: m.weight.numel())
    rows = torch.randn(2048, widest.in_features).to(model.dtype)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(12):
            begin = time.perf_counter()
            widest(rows)
            best = min(best, time.perf_counter() - begin)
    speed = 2 * len(rows) * widest.weight.numel() / best
    tokens = sum(map(len, model.tokens(texts))) / len(texts)
    return float(speed / (2 * tokens * sum(m.weight.numel() for m in linear)))


def main(rounds: int, count: int) -> None:
    from seedbed.catalog.datasets import pull_dataset
    from seedbed.data.read import read
    texts = read(pull_dataset("patient-reviews")["test"], text="review", label="rating").dataset.texts[:count]
    for card_id in CARDS:
        ours, theirs = pair(card_id, 3)
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        ours.logits(texts[:8])
        theirs(texts[:2], truncation=True, max_length=LENGTH)
        for _ in range(rounds):
            begin = time.perf_counter()
            logits = ours.logits(texts)
            seconds["ours"].append(time.perf_counter() - begin)
            begin = time.perf_counter()
            answers = theirs(texts, truncation=True, max_length=LENGTH, top_k=None)
            seconds["theirs"].append(time.perf_counter() - begin)
        mine = np.exp(logits - logits.max(1, keepdims=True))
        mine /= mine.sum(1, keepdims=True)
        other = np.array([[{a["label"]: a["score"] for a in one}[f"LABEL_{i}"] for i in range(3)] for one in answers])
        rates = {side: len(texts) / statistics.median(taken) for side, taken in seconds.items()}
        most = limit(ours.backbone, texts)
        print(f"{card_id}: {rates['ours']:.1f} texts/s against {rates['theirs']:.1f}, "
              f"{rates['ours'] / rates['theirs']:.1f} times; largest difference of a probability "
              f"{np.abs(mine - other).max():.3f}, same answer for {(mine.argmax(1) == other.argmax(1)).mean():.1%}")
        print(f"  matrix products in {ours.backbone.dtype} allow {most:.0f} texts/s: {rates['ours'] / most:.0%} "
              f"reached, and no more than {most / rates['theirs']:.1f} times the peer")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=379)
    asked = parser.parse_args()
    sys.exit(main(asked.rounds, asked.texts))
