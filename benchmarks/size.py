"""Memory and speed of models of true shape with random weights: what fits an ordinary machine is shown, not quoted.

    python benchmarks/size.py train qwen2-1.5b-instruct            QLoRA, one pass over 24 short rows
    python benchmarks/size.py train qwen2-1.5b-instruct --method lora

The weights are drawn a tensor at a time and written in shards: making a model takes the memory of a shard.
Each figure is that of a process of its own: its peak as the kernel says it, beside what the catalog foretells.
"""

from __future__ import annotations

import argparse
import json
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

SHARD = 1 << 30
KINDS = {"qwen2": "Qwen2Config", "mistral": "MistralConfig", "llama": "LlamaConfig"}
ROWS, WORDS = 24, 20


def config_of(card: Any) -> Any:
    """transformers' configuration of a card's shape."""
    import transformers
    a = card.architecture
    return getattr(transformers, KINDS[a.family])(
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
    generator = torch.Generator().manual_seed(0)
    index, part, held = {}, dict[str, Any](), 0

    def flush() -> None:
        name = f"model-{len(set(index.values())) + 1:05}.safetensors"
        save_file(part, folder / name, {"format": "pt"})
        index.update(dict.fromkeys(part, name))
        part.clear()

    for name, shape in shapes(config).items():
        drawn = torch.ones(shape) if len(shape) == 1 else torch.randn(shape, generator=generator).mul_(0.02)
        part[name] = drawn.to(torch.bfloat16)
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


def main() -> None:
    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull
    from seedbed.models.folder import open_folder
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train"])
    parser.add_argument("card")
    parser.add_argument("--method", default="qlora", choices=["lora", "qlora"])
    parser.add_argument("--limit", type=float, default=8, help="GB that the process may have")
    parser.add_argument("--place", type=Path, help="where the model is made; it takes its size in bf16")
    given = parser.parse_args()
    tokenizer = open_folder(pull(card("smollm2-135m-instruct")))
    with tempfile.TemporaryDirectory(dir=given.place) as place:
        train(card(given.card), given.method, Path(place), tokenizer, given.limit)


if __name__ == "__main__":
    main()
