"""Write requirements.lock: one exact version for every package of the development environment.

pip resolves pyproject.toml in a dry run, and what it would install is written down: names and versions, no
addresses, so that the lock works with whichever index pip is configured for.

CUDA: on Linux the registry's plain build of torch declares NVIDIA's packages (gigabytes that a CPU never uses).
They are left out here, as is `UNUSED`, and `make` installs the lock with `--no-deps`, so they are never pulled. The
version of torch stands without its `+cpu` mark: pip then takes the CPU wheel wherever one is offered.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from seedbed.export.targets import APART

ROOT = Path(__file__).parent.parent
EXTRAS = "dev,serve,postgres,energy,qlora,search,openvino,onnx,litert,executorch,gguf"
CUDA = re.compile(r"^(nvidia-(?!ml-py)|cuda-|triton$|pytorch-triton)")
UNUSED = ("antlr4-python3-runtime", "backports-strenum", "cattrs", "coremltools", "expecttest", "hydra-core",
          "hypothesis", "kgb", "litert-lm-builder", "omegaconf", "parameterized", "pyaml", "pytorch-tokenizers",
          "sentencepiece", "sortedcontainers", "tiktoken", "tomli")
"""What packages of the exporters declare and nothing here imports."""
HEADER = """\
# Every package of the development environment, written by `make lock`: do not edit.
# Install with `pip install --no-deps`: CUDA packages that a torch wheel may declare are left out on purpose.
"""


def resolved() -> dict[str, str]:
    """Name and version of all that pip would install into an empty environment."""
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", "-",
               f"{ROOT}[{EXTRAS}]"]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    found = {}
    for item in report["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        found[name] = item["metadata"]["version"].split("+")[0]
    return found


def main() -> None:
    found = resolved()
    found.pop("seedbed")
    found |= dict(one.split("==") for group in APART.values() for one in group)
    kept = [f"{name}=={version}" for name, version in sorted(found.items())
            if not CUDA.match(name) and name not in UNUSED]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(kept) + "\n")
    print(f"requirements.lock: {len(kept)} packages, {len(found) - len(kept)} left out")


if __name__ == "__main__":
    main()
