"""Memory and speed of models of true shape with random weights: what fits an ordinary machine is shown, not quoted.

    python benchmarks/size.py train qwen2-1.5b-instruct            QLoRA, one pass over 24 short rows
    python benchmarks/size.py train qwen2-1.5b-instruct --method lora
    python benchmarks/size.py answer qwen2-1.5b-instruct --precision q8_0
    python benchmarks/size.py answer qwen2-1.5b-instruct --precision q4_k_m --limit 4
    python benchmarks/size.py answer mistral-7b-instruct-v0.3 --precision q4_k_m

The weights are drawn a tensor at a time and written in shards: making a model takes the memory of a shard.
Each figure is that of a process of its own: its peak as the kernel says it, beside what the catalog foretells.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SHARD, POOL = 1 << 30, 1 << 24
KINDS = {"qwen2": "Qwen2Config", "mistral": "MistralConfig", "llama": "LlamaConfig"}
ROWS, WORDS = 24, 20
CONTEXT = 4096
"""Tokens that llama.cpp's cache holds here, whatever is asked (`engines.llama_cpp`)."""


def config_of(card: Any) -> Any:
    """transformers' configuration of a card's shape."""
    import transformers
    a = card.architecture
    windows = {"sliding_window": a.sliding_window} if a.family == "mistral" else {}  # the class's default is v0.1's
    return getattr(transformers, KINDS[a.family])(
        **windows,
        num_hidden_layers=a.layers, hidden_size=a.hidden, intermediate_size=a.intermediate,
        num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, head_dim=a.head_dim, vocab_size=a.vocabulary,
        max_position_embeddings=card.context, tie_word_embeddings=a.tied_embeddings, architectures=[a.model_class],
        dtype="bfloat16", bos_token_id=1, eos_token_id=2)


def shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor that is saved."""
    import torch
    from transformers import AutoModelForCausalLM
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    tied = set(getattr(model, "all_tied_weights_keys", {}) or {})
    return {name: tuple(one.shape) for name, one in model.state_dict().items() if name not in tied}


def make(card: Any, folder: Path, tokenizer: Path) -> Path:
    """A model folder of the card's shape, in bf16."""
    import torch
    from safetensors.torch import save_file
    folder.mkdir(parents=True)
    config = config_of(card)
    config.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, folder / name)
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0)).mul_(0.02).to(torch.bfloat16)
    index, part, held = {}, dict[str, Any](), 0

    def flush() -> None:
        name = f"model-{len(set(index.values())) + 1:05}.safetensors"
        save_file(part, folder / name, {"format": "pt"})
        index.update(dict.fromkeys(part, name))
        part.clear()

    for number, (name, shape) in enumerate(shapes(config).items()):
        count = math.prod(shape)
        drawn = pool.roll(number * 7919).repeat(-(-count // POOL))[:count].reshape(shape)
        part[name] = torch.ones(shape, dtype=torch.bfloat16) if len(shape) == 1 else drawn
        held += part[name].nbytes
        if held > SHARD:
            flush()
            held = 0
    flush()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder


def fence(limit: float) -> Path | None:
    """A control group whose processes get so many GB and no more; None where this machine lets us make none."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root, name = (v1, "memory.limit_in_bytes") if v1.is_dir() else (v2, "memory.max")
    group = root / f"seedbed-size-{os.getpid()}"
    try:
        group.mkdir()
        (group / name).write_text(str(int(limit * 1e9)))
        return group
    except OSError:
        return None


def child(words: list[str], home: Path, limit: float) -> tuple[float, int]:
    """Seconds and peak bytes of a command that is killed where it needs more than the limit.

    The peak counts pages of files that are mapped, which the system takes back when it must: it may pass the limit.
    """
    group, begin = fence(limit), time.monotonic()
    if group is None:
        print(f"no control group can be made here: {limit:g} GB are not enforced")
    process = subprocess.Popen(words, env={**os.environ, "SEEDBED_HOME": str(home), "SEEDBED_OFFLINE": "1"},
                               preexec_fn=group and (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))))
    _, status, usage = os.wait4(process.pid, 0)
    if group is not None:
        group.rmdir()
    if status:
        sys.exit(f"{' '.join(words)} ended with {status}")
    assert isinstance(usage, resource.struct_rusage)
    return time.monotonic() - begin, usage.ru_maxrss * 1024


def train(card: Any, method: str, place: Path, tokenizer: Path, limit: float) -> None:
    """Peak memory of `seedbed train` beside what it foretold, inside a limit."""
    home, model = place / "home", make(card, place / "model", tokenizer)
    (home / "cards").mkdir(parents=True)
    said = card.model_dump(mode="json", exclude_none=True)
    said |= {"id": "of-true-shape",
             "sources": [{"address": f"folder:{model}", "format": "safetensors", "stored": "bf16"}]}
    (home / "cards" / "of-true-shape.yaml").write_text(yaml.safe_dump(said))
    pick = np.random.default_rng(0)
    words = ["tea", "rain", "stone", "late", "blue", "seven", "over", "garden", "letter", "never"]
    rows = [{"prompt": " ".join(pick.choice(words, WORDS)), "completion": " ".join(pick.choice(words, 5))}
            for _ in range(ROWS)]
    data = place / "rows.jsonl"
    data.write_text("".join(json.dumps(one) + "\n" for one in rows))
    out = place / "run"
    seconds, peak = child([sys.executable, "-m", "seedbed", "train", str(data), "--model", "of-true-shape",
                           "--method", method, "--epochs", "1", "--out", str(out)], home, limit)
    result = json.loads((out / "result.json").read_text())
    told = result["predicted_memory"]
    print(f"{card.id}, {method}, inside {limit:g} GB: peak {peak / 1e9:.2f} GB, {told / 1e9:.2f} "
          f"foretold ({told / peak - 1:+.0%}); {seconds:.0f} s in all")


WRITE = """
import sys; from pathlib import Path
from seedbed.export.targets.gguf import GgufTarget
target, model, out, precision = GgufTarget(), Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
target.refuse(model, precision)
target.write(model, out, precision, {})
"""
ANSWER = """
import json, sys, time; from pathlib import Path
from seedbed.engines.llama_cpp import GgufWriter
begun = time.perf_counter()
writer = GgufWriter(Path(sys.argv[1]) / "model.gguf", Path(sys.argv[2]))
opened = time.perf_counter() - begun
prompt, rates = list(range(1000, 1000 + int(sys.argv[3]))), []
begun = time.perf_counter(); writer.runtime.logits(prompt); read = len(prompt) / (time.perf_counter() - begun)
ids = [*prompt, 7]
writer.runtime.logits(ids)
begun = time.perf_counter()
for word in range(int(sys.argv[4])):
    ids.append(1000 + word); writer.runtime.logits(ids)
write = int(sys.argv[4]) / (time.perf_counter() - begun)
Path(sys.argv[5]).write_text(json.dumps({"opened": opened, "read": read, "write": write}))
"""


def answer(card: Any, precision: str, place: Path, tokenizer: Path, limit: float) -> None:
    """Peak memory to quantize a model and to answer with it, each inside a limit; and tokens a second."""
    from seedbed.catalog import memory
    model, out, said = make(card, place / "model", tokenizer), place / "gguf", place / "said.json"
    out.mkdir()
    seconds, peak = child([sys.executable, "-c", WRITE, str(model), str(out), precision], place, limit)
    size = (out / "model.gguf").stat().st_size
    print(f"{card.id}, {precision}, inside {limit:g} GB: {size / 1e9:.2f} GB written in {seconds:.0f} s, "
          f"peak {peak / 1e9:.2f} GB", flush=True)
    for file in model.glob("*.safetensors"):
        file.unlink()
    _, peak = child([sys.executable, "-c", ANSWER, str(out), str(model), "128", "32", str(said)], place, limit)
    found = json.loads(said.read_text())
    told = memory.to_run(card, {"q8_0": "int8", "q4_k_m": "int4"}[precision], context=CONTEXT)
    speed = bandwidth()
    print(f"  answers: peak {peak / 1e9:.2f} GB, {told / 1e9:.2f} foretold ({told / peak - 1:+.0%}); opened in "
          f"{found['opened']:.1f} s, {found['read']:.1f} tokens/s read and {found['write']:.2f} written: "
          f"{found['write'] * size / speed:.0%} of what reading memory at {speed / 1e9:.1f} GB/s allows")


def bandwidth() -> float:
    """Bytes a second that all cores read from memory together: the sum of a large array, the best of five."""
    import torch
    torch.set_num_threads(os.cpu_count() or 1)
    values, best = torch.ones(1 << 28), float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        values.sum()
        best = min(best, time.perf_counter() - begin)
    return values.nbytes / best


def main() -> None:
    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull
    from seedbed.models.folder import open_folder
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "answer"])
    parser.add_argument("card")
    parser.add_argument("--method", default="qlora", choices=["lora", "qlora"])
    parser.add_argument("--precision", default="q4_k_m", choices=["q8_0", "q4_k_m"])
    parser.add_argument("--limit", type=float, default=8, help="GB that the process may have")
    parser.add_argument("--place", type=Path, help="where the model is made; it takes its size in bf16")
    given = parser.parse_args()
    tokenizer = open_folder(pull(card("smollm2-135m-instruct")))
    with tempfile.TemporaryDirectory(dir=given.place) as place:
        if given.what == "train":
            train(card(given.card), given.method, Path(place), tokenizer, given.limit)
        else:
            answer(card(given.card), given.precision, Path(place), tokenizer, given.limit)


if __name__ == "__main__":
    main()
