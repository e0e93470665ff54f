"""Tokens a second of every form of a model that writes, beside transformers and the server of llama.cpp.

    python benchmarks/writers.py                         # SmolLM2-135M-Instruct as it is
    python benchmarks/writers.py --run runs/mine         # a run of seedbed train
    python benchmarks/writers.py --forms gguf:q4_k_m,openvino:int8 --rounds 5

Each form is written by its export target and answers in a process of its own, one after the other and round by round,
so that other work on the machine takes from all alike; medians are printed. Read: prompts of 512 tokens. Written: 64
tokens to each, one by one, the likeliest; to 1, 4 and 8 at once, all of them counted. What writes to one at a time
stands there once. The share of the limit is what is written times the file's size, over the bytes that this machine
reads from memory in a second: each token reads all weights once, and those of several at once share that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

FORMS = ("gguf:q4_k_m", "gguf:q8_0", "openvino:int8", "onnx:int8")
PROMPT, WRITTEN = 512, 64
Asked = Callable[[list[list[int]], int], None]
"""Reads prompts and writes so many tokens to each."""


def reference(model: Path) -> Asked:
    """The model in torch, as `seedbed` answers many questions: with a cache, in the precision that the processor
    takes."""
    from seedbed.engines.many import continued
    from seedbed.engines.sampling import Sampling
    from seedbed.engines.writer import Writer

    writer = Writer.open(model)
    writer.ends = set()  # each writes as much as it is asked
    return lambda rows, count: continued(writer, rows, Sampling(max_tokens=count)) and None


def ours(name: str, folder: Path, model: Path) -> Asked:
    """A form that is open, by our engine, which writes to one at a time."""
    from seedbed.export.targets.writers import WRITERS

    runtime = WRITERS.get(name).author(folder, model).runtime

    def asked(rows: list[list[int]], count: int) -> None:
        [ids] = rows
        runtime.forget()
        for _ in range(count):
            ids = [*ids, int(runtime.logits(ids)[-1].argmax())]
    return asked


def transformers(model: Path) -> Asked:
    """`generate` with its defaults, greedy."""
    import torch
    from transformers import AutoModelForCausalLM

    root = AutoModelForCausalLM.from_pretrained(model)

    def asked(rows: list[list[int]], count: int) -> None:
        given = torch.tensor(rows)
        root.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=count, min_new_tokens=count,
                      do_sample=False, pad_token_id=0)
    return asked


def genai(folder: Path) -> Asked:
    """OpenVINO GenAI on the exported folder, which writes to many at once by paged attention."""
    import openvino
    import openvino_genai

    from seedbed.settings import settings

    pipe = openvino_genai.LLMPipeline(str(folder), "CPU", INFERENCE_NUM_THREADS=settings().threads)

    def asked(rows: list[list[int]], count: int) -> None:
        ids = np.array(rows, np.int64)
        pipe.generate(openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids))),
                      max_new_tokens=count, ignore_eos=True, do_sample=False)
    return asked


def server(folder: Path) -> Asked:
    """The server of llama.cpp in xllamacpp's wheel, asked over HTTP as its users do; it keeps no prompt here."""
    import httpx
    from xllamacpp import CommonParams, Server

    from seedbed.settings import settings

    options = CommonParams()
    options.model.path = str(folder / "model.gguf")
    options.n_ctx, options.n_parallel = 1024 * max(AT_ONCE), max(AT_ONCE)
    options.cpuparams.n_threads = settings().threads
    options.warmup, options.verbosity, options.ui = True, -1, False
    started = Server(options)
    client = httpx.Client(base_url=started.listening_address, timeout=600, trust_env=False)

    def one(ids: list[int], count: int) -> None:
        client.post("/completion", json={"prompt": ids, "n_predict": count, "ignore_eos": True, "temperature": 0,
                                         "cache_prompt": False}).raise_for_status()

    def asked(rows: list[list[int]], count: int) -> None:
        assert started
        with ThreadPoolExecutor(len(rows)) as pool:
            list(pool.map(one, rows, [count] * len(rows)))
    return asked


AT_ONCE = (1, 4, 8)
MANY = ("transformers", "reference", "OpenVINO GenAI", "llama.cpp server")
"""Those that write to several at once."""


def child(name: str, folder: Path, model: Path, at_once: list[int]) -> dict[str, float]:
    """Open a form and time it; run in a process of its own."""
    from seedbed.machine import peak_memory

    begun = time.perf_counter()
    kind = name.partition(" (")[0]
    asked = {"transformers": transformers, "reference": reference, "OpenVINO GenAI": genai,
             "llama.cpp server": server}.get(kind, partial(ours, name.split("-")[0], model=model))(folder)
    found = {"opened": time.perf_counter() - begun}
    asked([list(range(100, 116))], 2)
    for many in at_once if kind in MANY else at_once[:1]:
        spent = []
        for count in (1, 1 + WRITTEN):
            # no two prompts begin alike: GenAI keeps what it read of one for the next
            rows = [np.random.default_rng((many, count, row)).integers(100, 1000, PROMPT).tolist()
                    for row in range(many)]
            begun = time.perf_counter()
            asked(rows, count)
            spent.append(time.perf_counter() - begun)
        found |= {f"reads {many}": many * PROMPT / spent[0],
                  f"writes {many}": many * WRITTEN / max(1e-9, spent[1] - spent[0])}
    return found | {"memory": peak_memory()}


def main(run: Path | None, forms: list[str], rounds: int, at_once: list[int]) -> None:
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
            if target.name == "openvino":
                folders[f"OpenVINO GenAI ({precision})"] = folder
        del reference
        found = {name: list[dict[str, float]]() for name in folders}
        for _ in range(rounds):
            for name, folder in folders.items():
                done = subprocess.run([sys.executable, __file__, "--child", name, str(folder), str(model),
                                       "--at-once", ",".join(map(str, at_once))], check=True,
                                      stdout=subprocess.PIPE, text=True, env={**os.environ, "SEEDBED_OFFLINE": "1"})
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
        sizes = {name: sum(file.stat().st_size for file in folder.rglob("*")
                           if file.suffix in (".gguf", ".bin", ".data", ".onnx", ".safetensors"))
                 for name, folder in folders.items()}
    speed = bandwidth()
    print(f"memory is read at {speed / 1e9:.1f} GB/s; medians of {rounds} rounds")
    middle = {name: {key: statistics.median(one[key] for one in each) for key in each[0]}
              for name, each in found.items()}
    print("form                       MB  opened s  memory MB  at once  read tok/s  written tok/s  x transformers  "
          "share of the limit")
    for name, one in middle.items():
        for many in (many for many in at_once if f"writes {many}" in one):
            writes = one[f"writes {many}"]
            print(f"{name:<22} {sizes[name] / 1e6:6.0f} {one['opened']:9.1f} {one['memory'] / 1e6:10.0f} {many:8} "
                  f"{one[f'reads {many}']:11.0f} {writes:14.1f} "
                  f"{writes / middle['transformers'][f'writes {many}']:15.2f} "
                  f"{writes / many * sizes[name] / speed:19.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run of seedbed train")
    parser.add_argument("--forms", default=",".join(FORMS), help="what --to of seedbed export takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", default=",".join(map(str, AT_ONCE)), help="how many are written to at once")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    many = [int(one) for one in given.at_once.split(",")]
    if given.child:
        print(json.dumps(child(given.child[0], Path(given.child[1]), Path(given.child[2]), many)))
    else:
        main(given.run, given.forms.split(","), given.rounds, many)
