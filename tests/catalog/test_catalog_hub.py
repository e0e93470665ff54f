"""The hub's client against a hub on loopback: real requests, real resume, real hashes."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest_catalog import Listener, MakeCard, sha

from seedbed.catalog.fetch import local, pull, record, verify
from seedbed.errors import CorruptFile, Interrupted, NotFound, Offline, UserError

COMMIT = "1234567890" * 4
WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
REPO = {"config.json": b'{"model_type": "x"}', "model.safetensors": WEIGHTS, "1_Pooling/config.json": b"{}",
        "onnx/model.onnx": b"left out", "onnx/config.json": b"left out", "original/model.safetensors": b"left out",
        "pytorch_model.bin": b"left out", "README.md": b"# hi", "image.png": b"left out"}
WANTED = {"config.json", "model.safetensors", "1_Pooling/config.json", "README.md"}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as its client asks for."""

    protocol_version = "HTTP/1.1"
    status = 200
    """Answer everything with this status."""
    gated = False
    break_after: int | None = None
    """Cut the weights' connection after that many bytes, and the ones that follow at once."""
    spoil = False
    short = False
    """Send less of the weights than the record says, and call it all."""
    asked: list[tuple[str, str, str | None]] = []

    def log_message(self, *_: Any) -> None: ...

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        Hub.asked.append((self.command, path, self.headers.get("Range")))
        if Hub.status != 200:
            extra = {"X_Error_Code": "GatedRepo"} if Hub.gated else {}
            self._head(Hub.status, 0, **extra)
        elif path.startswith("/api/models/a/b"):
            self._api(path)
        elif path.startswith(f"/a/b/resolve/{COMMIT}/"):
            self._file(path.removeprefix(f"/a/b/resolve/{COMMIT}/"))
        else:
            self._head(404, 0, X_Error_Code="RepoNotFound")

    def _api(self, path: str) -> None:
        if "/revision/" in path and not path.endswith((COMMIT, "main")):
            self._head(404, 0, X_Error_Code="RevisionNotFound")
            return
        files = []
        for name, content in REPO.items():
            entry: dict[str, Any] = {"rfilename": name, "path": name, "type": "file", "size": len(content),
                                     "blobId": _blob(content), "oid": _blob(content)}
            if name.endswith((".safetensors", ".bin")):
                entry["lfs"] = {"sha256": sha(content), "oid": sha(content), "size": len(content), "pointerSize": 130}
            files.append(entry)
        body = json.dumps(files if "/tree/" in path else {"id": "a/b", "sha": COMMIT, "siblings": files}).encode()
        self._head(200, len(body), Content_Type="application/json")
        self.wfile.write(body)

    def _file(self, name: str) -> None:
        content = REPO[name]
        if Hub.spoil and name == "model.safetensors":
            content = b"!" + content[1:]
        if Hub.short and name == "model.safetensors":
            content = content[:-9]
        etag = sha(REPO[name]) if name.endswith(".safetensors") else _blob(content)
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        headers = {"ETag": f'"{etag}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, len(content) - start, **headers)
        if self.command == "HEAD":
            return
        if Hub.break_after is not None and name == "model.safetensors":
            self.wfile.write(content[start:start + Hub.break_after])
            Hub.break_after = 0
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(content[start:])


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def hub(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.status, Hub.gated, Hub.break_after, Hub.spoil, Hub.short, Hub.asked = 200, False, None, False, False, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    import huggingface_hub.constants as constants
    import huggingface_hub.hf_api as api

    for module in (constants, api):
        monkeypatch.setattr(module, "ENDPOINT", address, raising=False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 65_536)  # it writes what arrived in such pieces
    yield Hub
    server.shutdown()
    server.server_close()


ADDRESS = f"hub:a/b@{COMMIT}"


def test_only_what_is_needed_is_fetched_and_checked(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    card = make_card(ADDRESS, {"model.safetensors": sha(WEIGHTS)})
    listener = Listener()
    folder = pull(card, listener)
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == WANTED | {"seedbed.json"}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS and verify(card) == folder
    known = record(card)
    assert known is not None and known.revision == COMMIT and set(known.files) == WANTED
    assert listener.started == listener.finished == ["download a/b"]
    assert listener.amounts["download a/b"] == sum(len(REPO[name]) for name in WANTED)


def test_nothing_is_asked_once_it_is_here(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    card = make_card(ADDRESS, {})
    pull(card)
    hub.asked.clear()
    assert pull(card) == local(card) and hub.asked == []


def test_a_moving_revision_is_pinned_in_the_record(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    card = make_card("hub:a/b@main", {})
    pull(card)
    known = record(card)
    assert known is not None and known.revision == COMMIT


def test_a_broken_download_goes_on_where_it_stopped(hub: type[Hub], models: Path, make_card: MakeCard,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    card = make_card(ADDRESS, {})
    hub.break_after = 1_000_000
    monkeypatch.setattr("time.sleep", lambda _: None)  # its client waits before it tries again
    with pytest.raises(Offline):
        pull(card)
    assert local(card) is None
    kept = max(p.stat().st_size for p in (models / ".partial").rglob("*") if p.is_file())
    assert kept > 900_000, "what arrived is kept"
    hub.break_after = None
    hub.asked.clear()
    listener = Listener()
    pull(card, listener)
    assert listener.amounts["download a/b"] == sum(len(REPO[name]) for name in WANTED), "what was kept is counted"
    ranges = [r for method, path, r in hub.asked if method == "GET" and path.endswith("model.safetensors")]
    assert ranges == [f"bytes={kept}-"], "the second fetch asks for the rest only"
    assert verify(card)


def test_a_branch_that_moved_meanwhile_leaves_nothing_of_before(hub: type[Hub], models: Path, make_card: MakeCard,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    card = make_card("hub:a/b@main", {})
    monkeypatch.setitem(REPO, "a_first.json", b"{}")
    monkeypatch.setattr(sys.modules[__name__], "REPO", dict(sorted(REPO.items(), key=lambda one: len(one[1]))))
    hub.break_after = 1000
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)  # its client waits before it tries again
        with pytest.raises(Offline):
            pull(card)
    assert list((models / ".partial").rglob("config.json")) and list((models / ".partial").rglob("a_first.json"))
    hub.break_after = None
    monkeypatch.setitem(REPO, "config.json", b'{"model_type": "y"}')
    monkeypatch.delitem(REPO, "a_first.json")
    folder = pull(card)
    assert (folder / "config.json").read_bytes() == b'{"model_type": "y"}' and not (folder / "a_first.json").exists()


def test_a_stop_on_the_last_step(hub: type[Hub], models: Path, make_card: MakeCard,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    card = make_card(ADDRESS, {})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(Interrupted):
            pull(card)
    assert list((models / ".partial").rglob("seedbed.json"))
    hub.asked.clear()
    assert pull(card) and verify(card) and local(card)
    assert not [path for _, path, _ in hub.asked if "resolve" in path], "nothing is fetched twice"


def test_a_repository_without_the_weights(hub: type[Hub], models: Path, make_card: MakeCard,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(REPO, "model.safetensors")
    with pytest.raises(NotFound, match="no file of the kind safetensors"):
        pull(make_card(ADDRESS, {}))


def test_a_name_that_leads_outside(hub: type[Hub], models: Path, make_card: MakeCard, tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPO, "../../../../../escaped.json", b"x")
    with pytest.raises(CorruptFile, match="outside"):
        pull(make_card(ADDRESS, {}))
    assert not list(tmp_path.rglob("escaped.json"))


def test_a_file_that_is_sent_in_part(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    hub.short = True
    with pytest.raises(Offline, match="only in part"):
        pull(make_card(ADDRESS, {}))
    hub.short = False
    assert pull(make_card(ADDRESS, {})) and verify(make_card(ADDRESS, {}))


def test_damage_on_the_way_is_found(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    card = make_card(ADDRESS, {})
    hub.spoil = True
    with pytest.raises(CorruptFile, match=r"model\.safetensors of a/b"):
        pull(card)
    assert local(card) is None
    hub.spoil = False
    assert pull(card) and verify(card), "only the damaged file is fetched again"


def test_a_card_that_knows_another_hash(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    with pytest.raises(CorruptFile, match=r"model\.safetensors"):
        pull(make_card(ADDRESS, {"model.safetensors": "0" * 64}))
    assert not (models / "tiny").exists()
    assert not list((models / ".partial").rglob("*.safetensors")), "so that fetching again fetches it again"


def test_one_file_by_name(hub: type[Hub], models: Path, make_card: MakeCard) -> None:
    folder = pull(make_card(f"{ADDRESS}!config.json", {}))
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "seedbed.json"]
    other = pull(make_card(f"{ADDRESS}!onnx/model.onnx", {}, id="other"))
    assert (other / "onnx" / "model.onnx").read_bytes() == REPO["onnx/model.onnx"], "a name is no pattern"


@pytest.mark.parametrize(("address", "told"), [
    ("hub:a/none@" + COMMIT, "a/none"), ("hub:a/b@" + "f" * 40, "revision"), (f"{ADDRESS}!nothing.gguf", "no file")])
def test_what_the_hub_lacks(hub: type[Hub], models: Path, make_card: MakeCard, address: str, told: str) -> None:
    with pytest.raises(NotFound, match=told):
        pull(make_card(address, {}))


@pytest.mark.parametrize(("status", "gated", "kind", "hint"), [
    (403, True, UserError, "Accept"), (401, True, UserError, "Accept"), (403, False, UserError, "hf auth login"),
    (401, False, UserError, "hf auth login"), (500, False, Offline, "seedbed models pull tiny"),
])
def test_a_refusal_says_what_to_do(hub: type[Hub], models: Path, make_card: MakeCard, status: int, gated: bool,
                                   kind: type[UserError], hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # its client waits before it tries again
    hub.status, hub.gated = status, gated
    with pytest.raises(UserError) as caught:
        pull(make_card(ADDRESS, {}))
    assert type(caught.value) is kind and hint in caught.value.hint and "127.0.0.1" not in str(caught.value)
