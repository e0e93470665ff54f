"""`seedbed serve`: what the verb itself decides. The server is tested in tests/serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from seedbed.cli import load

sys.path.insert(0, str(Path(__file__).parent.parent / "export"))


def test_loopback_is_the_default() -> None:
    assert next(one.default for one in load("serve").params if one.name == "host") == "127.0.0.1"


def test_a_missing_extra_says_how_to_install_it(tmp_path: Path) -> None:
    from sample_bundle import make

    bundle = make(tmp_path / "bundle")
    code = f"""
import sys
sys.modules["fastapi"] = None
from seedbed.cli import main
sys.exit(main(["serve", {str(bundle.folder)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines() == ["error: seedbed serve needs an optional part that is not installed.",
                                        "  try: Install it with: pip install 'seedbed[serve]'"]
