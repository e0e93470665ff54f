from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import Busy, UserError
from seedbed.store import hold

HOLD = """
import sys, time
from pathlib import Path
from seedbed.store import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_runs_in_one_folder_are_refused_until_the_first_is_gone(tmp_path: Path, start: Any) -> None:
    folder = tmp_path / "new" / "run"
    process = start(HOLD, folder)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(Busy) as caught, hold(folder):
        raise AssertionError("two hold it")
    assert str(folder) in caught.value.message and f"process {process.pid}" in caught.value.message
    assert process.poll() is None
    with pytest.raises(Busy), hold(folder):  # asking did not change who holds it
        pass

    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with hold(folder):
        assert (folder / ".lock").read_text().strip() == str(os.getpid())


def test_a_process_does_not_hold_a_folder_twice(tmp_path: Path) -> None:
    with hold(tmp_path):
        with pytest.raises(Busy, match=str(os.getpid())), hold(tmp_path):
            pass
        with hold(tmp_path / "other"):
            pass
    with hold(tmp_path):
        pass


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="not a folder"), hold(place):
            pass
    assert (tmp_path / "file").read_text() == "mine"


def test_the_folder_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hold(tmp_path):
        raise KeyboardInterrupt
    with hold(tmp_path):
        pass
