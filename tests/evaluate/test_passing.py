"""pass@k, and programs that would do harm."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from seedbed.evaluate.passing import figures, pass_at_k, passed
from seedbed.evaluate.sandbox import Limits, Outcome, run

QUICK = Limits(seconds=2, memory=1 << 29, file=1 << 20)
ENDS = replace(QUICK, seconds=60)
"""Of code that ends by itself, which takes long where the machine has other work."""
RIGHT, WRONG = "def twice(x):\n    return 2 * x\n", "def twice(x):\n    return x\n"
TEST = "assert twice(2) == 4 and twice(0) == 0"


def test_right_and_wrong_code() -> None:
    assert run(RIGHT, TEST, ENDS).why == "passed"
    wrong = run(WRONG, TEST, ENDS)
    assert (wrong.passed, wrong.why) == (False, "failed") and "AssertionError" in wrong.said
    assert "SyntaxError" in run("def", TEST, ENDS).said


def test_unittest_too() -> None:
    case = "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(twice(2), 4)\n"
    assert run(RIGHT, case + "unittest.main()", ENDS).passed
    assert not run(WRONG, case + "unittest.main()", ENDS).passed


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "import os; os._exit(0)", "raise SystemExit"])
def test_leaving_early_is_no_pass(code: str) -> None:
    assert not run(code, "assert False", ENDS).passed


def test_what_a_program_needs_it_has() -> None:
    code = """
import asyncio, decimal, json, re, tempfile, threading
open("a.txt", "w").write("x")
assert open("a.txt").read() == "x"
with tempfile.TemporaryFile() as file:
    file.write(b"x")
thread = threading.Thread(target=print)
thread.start(); thread.join()
async def three(): return 3
assert asyncio.run(three()) == 3
"""
    outcome = run(code, "", ENDS)
    assert outcome.passed, outcome.said


def _stopped(code: str, said: str, guard: str) -> Outcome:
    outcome = run(code, "", QUICK)
    if guard in outcome.unguarded:
        pytest.skip(f"this kernel does not guard {guard}, and the outcome says so")
    assert not outcome.passed and said in outcome.said
    return outcome


def test_an_endless_loop_ends() -> None:
    outcome = run("while True: pass", "", Limits(seconds=1))
    assert outcome.why in ("timeout", "killed") and outcome.seconds < 3


def test_memory_ends() -> None:
    assert "MemoryError" in _stopped("bytearray(10 << 30)", "MemoryError", "").said


def test_output_ends() -> None:
    assert len(run("while True: print('x' * 1000)", "", QUICK).said) <= 2000


def test_a_fork_bomb_does_not_start() -> None:
    _stopped("import os\nfor _ in range(5): os.fork()", "not permitted", "processes")
    _stopped("import subprocess; subprocess.run(['true'])", "not permitted", "processes")


def test_it_cannot_stop_others() -> None:
    _stopped(f"import os; os.kill({os.getpid()}, 9)", "not permitted", "processes")
    _stopped(f"import resource; resource.prlimit({os.getpid()}, resource.RLIMIT_CPU, (1, 1))", "not permitted",
             "processes")


def test_it_writes_and_reads_nowhere_else(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("secret")
    for code in (f"open({str(mine)!r}, 'w')", f"print(open({str(mine)!r}).read())",
                 f"open({str(tmp_path / 'new')!r}, 'w')", f"import os; os.remove({str(mine)!r})",
                 f"import os; os.listdir({str(tmp_path)!r})", f"import os; os.truncate({str(mine)!r}, 0)"):
        _stopped(code, "Permission denied", "files")
    _stopped(f"import os; os.chmod({str(mine)!r}, 0)", "not permitted", "processes")
    assert mine.read_text() == "secret" and [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_it_leaves_nothing_in_the_kernel() -> None:
    """Shared memory, semaphores and queues of System V outlive their process: 10 GB of them would stay."""
    for call in ("shmget(0, 1 << 20, 0o1600)", "semget(0, 1, 0o1600)", "msgget(0, 0o1600)"):
        code = f"import ctypes\nmade = ctypes.CDLL(None, use_errno=True).{call}\n"
        undo = {"shmget": "shmctl(made, 0, None)", "semget": "semctl(made, 0, 0)", "msgget": "msgctl(made, 0, None)"}
        code += f"if made < 0: raise OSError(ctypes.get_errno(), 'refused')\nctypes.CDLL(None).{undo[call[:6]]}"
        _stopped(code, "[Errno 1] refused", "processes")


def test_it_reaches_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        _stopped(f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))",
                 "not permitted", "network")


def test_the_environment_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    assert run("import os; assert 'TOKEN' not in os.environ", "", ENDS).passed


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_estimator_is_the_share_of_all_draws(k: int) -> None:
    passing = np.random.default_rng(0).random((20, 5)) < 0.4
    assert pass_at_k(passing, k) == pytest.approx(
        np.array([np.mean([row[list(some)].any() for some in combinations(range(5), k)]) for row in passing]))
    with pytest.raises(ValueError, match="pass@6 of 5"):
        pass_at_k(passing, 6)


def test_samples_are_run_and_counted() -> None:
    passing = passed([[RIGHT, WRONG], [WRONG, WRONG], [RIGHT, RIGHT]], [TEST] * 3, ENDS)
    assert passing.tolist() == [[True, False], [False, False], [True, True]]
    found = figures(np.zeros((3, 2), bool), passing, (1, 2))
    assert [(one.name, one.before.value, one.after.value) for one in found] == [
        ("pass_at_1", 0, 0.5), ("pass_at_2", 0, pytest.approx(2 / 3))]
    assert found[0].gain and found[0].gain.n == 3
    assert passed([], []).shape == (0, 0)
    with pytest.raises(ValueError, match="as many samples"):
        passed([[RIGHT], []], [TEST] * 2)
