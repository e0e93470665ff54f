"""Two processes over loopback, started as users do it, give the loss curve of one."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from test_generate import QUICK, lesson
from transformers import AutoModelForCausalLM, AutoTokenizer

from seedbed.errors import UserError
from seedbed.settings import settings
from seedbed.train import team
from seedbed.train.generate import write

PARTNER = """
import dataclasses, json, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import torch
torch.set_num_threads(1)
from test_generate import QUICK, lesson
from seedbed.models import backbone, runtime
from seedbed.settings import settings
chosen = runtime.Runtime(torch.float32, 1, None, None, "fp32: a test")
backbone.runtime = lambda: chosen
from seedbed.train import team
from seedbed.train.generate import write
out, shard, epochs = Path(sys.argv[3]), sys.argv[4] == "shard", [int(one) for one in sys.argv[5:]]
real, held = team.part, []
def part(root, layers, trained):
    kinds = [str(p.dtype) for p in (*root.parameters(), *trained)]
    real(root, layers, trained)
    frozen = [p for layer in layers for p in layer.parameters() if not p.requires_grad or hasattr(p, "to_local")]
    held.append([sum(p.to_local().numel() for p in frozen) / sum(p.numel() for p in frozen), sorted(set(kinds)),
                 sorted({str(p.dtype) for p in root.parameters()})])
team.part = part
with team.together() as leading:
    if leading:
        for count in epochs:
            config = dataclasses.replace(QUICK, epochs=count, adapter_dropout=0.1, shard=shard)
            one = dataclasses.replace(lesson("llama", config, folder=out), model=out / "base")
            tuned = write(one)
        said = [tuned.trained.history, tuned.after.nats.tolist(), settings().processes, held,
                tuned.backbone.hidden(tuned.backbone.batch([[5, 6, 7]])).detach().flatten().tolist()]
        (out / "said.json").write_text(json.dumps(said))
"""


def torchrun(out: Path, how: str, *epochs: int) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).parent
    (out / "partner.py").write_text(PARTNER)
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port),
         str(out / "partner.py"), str(here), str(here.parent), str(out), how, *map(str, epochs)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240)


def curve(history: list[dict[str, float]]) -> list[float]:
    return [value for one in history for name, value in one.items() if name != "seconds"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["whole", "shard"])
def test_two_processes_give_the_curve_of_one_also_after_a_stop(tmp_path: Path, how: str) -> None:
    """The base is stored in bf16. Shared out, it is left in its file until a layer is shared out in fp32."""
    base = AutoModelForCausalLM.from_pretrained(tiny.model("llama"), dtype=torch.bfloat16)
    base.save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(tiny.model("llama")).save_pretrained(tmp_path / "base")
    done = torchrun(tmp_path, how, 2, 4)  # the second goes on from the checkpoint of the first
    assert done.returncode == 0, done.stderr[-2000:]
    history, nats, processes, held, hidden = json.loads((tmp_path / "said.json").read_text())
    assert processes == 2
    if how == "shard":
        kinds = [["torch.bfloat16", "torch.float32"], ["torch.float32"]]  # adapters are fp32 from the start
        assert [one[1:] for one in held] == [kinds, kinds]
        assert [one[0] for one in held] == pytest.approx([0.5, 0.5], abs=0.05)
    (tmp_path / "alone").mkdir()
    for epochs in (2, 4):
        config = dataclasses.replace(QUICK, epochs=epochs, accumulate=2, adapter_dropout=0.1)
        one = lesson("llama", config, folder=tmp_path / "alone")
        alone = write(dataclasses.replace(one, model=tmp_path / "base"))
    assert curve(history) == pytest.approx(curve(alone.trained.history), rel=1e-4)
    assert np.allclose(nats, alone.after.nats, rtol=1e-3)
    batch = alone.backbone.batch([[5, 6, 7]])
    merged = alone.backbone.hidden(batch).detach().flatten()
    # adapters begin rounded to the type of the weights that they are put on: bf16 in a file, fp32 in memory
    assert np.allclose(hidden, merged, atol=1e-3 if how == "whole" else 0.02)


@pytest.mark.parametrize(("method", "why"), [("lora", "there is one"), ("full", "--method full")])
def test_shards_need_several_processes_and_frozen_layers(method: str, why: str) -> None:
    one = lesson("llama", dataclasses.replace(QUICK, shard=True))
    with pytest.raises(UserError, match=why):
        write(dataclasses.replace(one, method=method))


def test_one_process_is_a_team_of_itself() -> None:
    assert settings().processes == 1 and team.leads() and team.size() == 1
    assert team.mine([1, 2, 3]) == [1, 2, 3] and team.told(7) == 7 and team.all_told(7) == [7]
    with team.together() as leading:
        assert leading
