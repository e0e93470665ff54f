"""Tokens a second of every form of a model that writes, beside transformers and the server of llama.cpp.

    python benchmarks/writers.py                         # SmolLM2-135M-Instruct as it is
    python benchmarks/writers.py --run runs/mine         # a run of seedbed train
    python benchmarks/writers.py --forms gguf:q4_k_m,openvino:int8 --rounds 5

Each form is written by its export target and answers in a process of its own, one after the other and round by round,
so that other work on the machine takes from all alike; medians are printed. Read: 512 tokens at once. Written: 64
tokens one by one, the likeliest. The share of the limit is what is written times the file's size, over the bytes
that this machine reads from memory in a second: each token reads all weights once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FORMS = ("gguf:q4_k_m", "gguf:q8_0", "openvino:int8", "onnx:int8")
PROMPT, WRITTEN = 512, 64


def ours(name: str, folder: Path, model: Path) -> Any:
    """A form that is open, by our engine: logits of the next word after some tokens."""
    from seedbed.export.targets.writers import WRITERS

    return WRITERS.get(name).author(folder, model).runtime.logits


def reference(model: Path) -> Any:
    """The model in torch, as `seedbed generate` runs it: with a cache, in the precision that the processor takes."""
    import torch

    from seedbed.engines.cache import cache_of
    from seedbed.engines.writer import Writer

    root, read, cache = Writer.open(model).backbone.root, list[int](), [None]

    def logits(ids: list[int]) -> Any:
        if ids[:len(read)] != read or cache[0] is None:
            read.clear()
            cache[0] = cache_of(root.config)
        with torch.inference_mode():
            out = root(input_ids=torch.tensor([ids[len(read):]]), past_key_values=cache[0], use_cache=True,
                       logits_to_keep=1).logits[0].float().numpy()
        read[:] = ids
        return out
    return logits


def transformers(model: Path) -> Any:
    """`generate` with its defaults, greedy: seconds to read, and to read and write."""
    import torch
    from transformers import AutoModelForCausalLM

    root = AutoModelForCausalLM.from_pretrained(model)

    def timed(ids: list[int], count: int) -> None:
        given = torch.tensor([ids])
        root.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=count, min_new_tokens=count,
                      do_sample=False, pad_token_id=0)
    return timed


def server(folder: Path) -> Any:
    """The server of llama.cpp in xllamacpp's wheel, asked over HTTP as its users do; it keeps no prompt here."""
    import httpx
    from xllamacpp import CommonParams, Server

    from seedbed.settings import settings

    options = CommonParams()
    options.model.path = str(folder / "model.gguf")
    options.n_ctx, options.n_parallel, options.cpuparams.n_threads = 1024, 1, settings().threads
    options.warmup, options.verbosity, options.ui = True, -1, False
    started = Server(options)
    client = httpx.Client(base_url=started.listening_address, timeout=300, trust_env=False)

    def timed(ids: list[int], count: int) -> None:
        said = client.post("/completion", json={"prompt": ids, "n_predict": count, "ignore_eos": True,
                                                "temperature": 0, "cache_prompt": False})
        said.raise_for_status()
        timed.server = started  # type: ignore[attr-defined]
    return timed


def child(name: str, folder: Path, model: Path) -> dict[str, float]:
    """Open a form and time it; run in a process of its own."""
    import time

    from seedbed.machine import peak_memory

    begun = time.perf_counter()
    if name in ("transformers", "llama.cpp server"):
        timed = transformers(model) if name == "transformers" else server(folder)
        opened = time.perf_counter() - begun
        ids = [100 + i % 900 for i in range(PROMPT)]
        timed(ids[:16], 2)
        spent = []
        for count in (1, 1 + WRITTEN):
            begun = time.perf_counter()
            timed(ids, count)
            spent.append(time.perf_counter() - begun)
        reads, writes = PROMPT / spent[0], WRITTEN / (spent[1] - spent[0])
    else:
        logits = reference(model) if name == "reference" else ours(name.split("-")[0], folder, model)
        opened = time.perf_counter() - begun
        logits(list(range(100, 116)))
        ids = [100 + i % 900 for i in range(PROMPT)]
        begun = time.perf_counter()
        said = logits(ids)
        reads = PROMPT / (time.perf_counter() - begun)
        begun = time.perf_counter()
        for _ in range(WRITTEN):
            ids = [*ids, int(said[-1].argmax())]
            said = logits(ids)
        writes = WRITTEN / (time.perf_counter() - begun)
    return {"opened": opened, "reads": reads, "writes": writes, "memory": peak_memory()}


def main(run: Path | None, forms: list[str], rounds: int) -> None:
    from size import bandwidth

    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull
    from seedbed.export.targets import asked
    from seedbed.export.targets.writers import WRITERS
    from seedbed.export.writer_reference import Reference
    from seedbed.models.folder import open_folder

    model = run / "bundle" / "model" if run else open_folder(pull(card("smollm2-135m-instruct")))
    with tempfile.TemporaryDirectory() as place:
        folders = {"transformers": model, "reference": model}
        reference = Reference.open(model)
        for target, precision in asked(forms, WRITERS):
            folder = folders[f"{target.name}-{precision}"] = Path(place) / f"{target.name}-{precision}"
            folder.mkdir()
            target.refuse(model, precision)
            target.write(model, folder, precision, {}, reference)
            if precision == "q4_k_m":
                folders["llama.cpp server"] = folder
        del reference
        found = {name: list[dict[str, float]]() for name in folders}
        for _ in range(rounds):
            for name, folder in folders.items():
                done = subprocess.run([sys.executable, __file__, "--child", name, str(folder), str(model)],
                                      check=True, stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, "SEEDBED_OFFLINE": "1"})
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
        sizes = {name: sum(file.stat().st_size for file in folder.rglob("*")
                           if file.suffix in (".gguf", ".bin", ".data", ".onnx", ".safetensors"))
                 for name, folder in folders.items()}
    speed = bandwidth()
    print(f"memory is read at {speed / 1e9:.1f} GB/s; medians of {rounds} rounds")
    print("form              MB   opened s  memory MB  read tok/s  written tok/s  x transformers  share of the limit")
    middle = {name: {key: statistics.median(one[key] for one in each) for key in each[0]}
              for name, each in found.items()}
    for name, one in middle.items():
        print(f"{name:<16} {sizes[name] / 1e6:5.0f} {one['opened']:9.1f} {one['memory'] / 1e6:10.0f} "
              f"{one['reads']:11.0f} {one['writes']:14.1f} {one['writes'] / middle['transformers']['writes']:15.2f} "
              f"{one['writes'] * sizes[name] / speed:19.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run of seedbed train")
    parser.add_argument("--forms", default=",".join(FORMS), help="what --to of seedbed export takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child[0], Path(given.child[1]), Path(given.child[2]))))
    else:
        main(given.run, given.forms.split(","), given.rounds)
