"""Write requirements.lock: one exact version for every package of the development environment; and
requirements-edge.lock: what the exporters for phones and boards need beside it, nearly a gigabyte that only tests of
them and those who use them install.

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
EXTRAS, EDGE = "dev,serve,postgres,energy,qlora,search,openvino,onnx,gguf", "litert,executorch"
CUDA = re.compile(r"^(nvidia-(?!ml-py)|cuda-|triton$|pytorch-triton)")
UNUSED = ("antlr4-python3-runtime", "backports-strenum", "cattrs", "coremltools", "expecttest", "hydra-core",
          "hypothesis", "kgb", "omegaconf", "parameterized", "pyaml", "sortedcontainers")
"""What packages of the exporters declare and nothing here imports."""
HEADER = """\
# Every package of the development environment, written by `make lock`: do not edit.
# Install with `pip install --no-deps`: CUDA packages that a torch wheel may declare are left out on purpose.
"""
EDGE_HEADER = """\
# What exports for phones and boards, beside requirements.lock; written by `make lock`: do not edit.
# Install with `pip install --no-deps`.
"""


def resolved(extras: str) -> dict[str, str]:
    """Name and version of all that pip would install into an empty environment."""
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", "-",
               f"{ROOT}[{extras}]"]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    found = {}
    for item in report["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        found[name] = item["metadata"]["version"].split("+")[0]
    return found


def main() -> None:
    whole = resolved(f"{EXTRAS},{EDGE}") | dict(one.split("==") for group in APART.values() for one in group)
    usual = {name: whole[name] for name in resolved(EXTRAS)}  # one version for both files
    for name, header, found in (("requirements.lock", HEADER, usual), (
            "requirements-edge.lock", EDGE_HEADER, {one: whole[one] for one in whole if one not in usual})):
        kept = [f"{one}=={version}" for one, version in sorted(found.items())
                if not CUDA.match(one) and one not in (*UNUSED, "seedbed")]
        (ROOT / name).write_text(header + "\n".join(kept) + "\n")
        print(f"{name}: {len(kept)} packages, {len(found) - len(kept)} left out")


if __name__ == "__main__":
    main()
