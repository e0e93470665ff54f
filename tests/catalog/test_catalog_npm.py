"""Files of npm packages, from real npm and a made registry on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest_catalog import sha

from seedbed.catalog import web
from seedbed.catalog.cards import Source
from seedbed.catalog.install import Parcel, install, manifest
from seedbed.errors import CorruptFile, DataError, NotFound, Offline, UserError
from seedbed.settings import settings

FILES = {"dist/a.mjs": b"export const a = 1\n", "dist/deep/b.wasm": bytes(range(256)) * 9, "LICENSE": b"MIT\n"}
KNOWN = {name: sha(content) for name, content in FILES.items()}
Pack = Callable[..., Path]

npm = pytest.mark.skipif(shutil.which("npm") is None, reason="NO NPM: what is fetched from npm's registry is NOT "
                                                             "tested. Install it: apt-get install npm")


class Registry(ThreadingHTTPServer):
    """npm's protocol for one folder of packages; remembers what was asked for."""

    def __init__(self) -> None:
        self.packages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.spoilt = False
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.strip("/").replace("%2f", "/").replace("%2F", "/").removesuffix(".tgz")
        version, content = self.server.packages.get(name, ("", b""))
        if not version:
            return self._send(404, b"{}")
        if self.path.endswith(".tgz"):
            return self._send(200, content[:-9] + b"somewrong" if self.server.spoilt else content)
        said = {"name": name, "version": version, "scripts": {"preinstall": "touch ran", "install": "touch ran"},
                "dist": {
            "tarball": f"{self.server.address}/{name}.tgz",
            "integrity": f"sha512-{b64encode(hashlib.sha512(content).digest()).decode()}"}}
        return self._send(200, json.dumps({"name": name, "dist-tags": {"latest": version},
                                           "versions": {version: said}}).encode())

    def _send(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """npm's only registry, with a cache of the test's own."""
    with Registry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", f"{server.address}/")
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
        monkeypatch.setenv("npm_config_fetch_retries", "0")
        yield server
        server.shutdown()


def put(registry: Registry, name: str = "@made/web-parts", version: str = "1.2.0",
        files: dict[str, bytes] = FILES, links: dict[str, str] | None = None) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        said = json.dumps({"name": name, "version": version,
                           "scripts": {"prepack": "touch ran", "prepare": "touch ran"}})
        for path, content in {"package.json": said.encode(), **files}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for path, target in (links or {}).items():
            member = tarfile.TarInfo(f"package/{path}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    registry.packages[name] = (version, packed.getvalue())


def parcel(tmp_path: Path, address: str = "npm:@made/web-parts==1.2.0!package/",
           known: dict[str, str] = KNOWN) -> Parcel:
    source = Source(address=address, format="safetensors", stored="fp32", sha256=known)
    return Parcel("parts", tmp_path / "web" / "parts", (source,), "again", "first")


@npm
def test_only_the_files_with_a_hash_are_unpacked_and_nothing_is_run(registry: Registry, tmp_path: Path) -> None:
    put(registry, files={**FILES, "dist/other-build.js": b"x" * 999})
    made = parcel(tmp_path)
    folder = install(made)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and p.name != "seedbed.json"} == FILES
    known = manifest(made)
    assert known is not None and known.revision == "1.2.0" and set(known.files) == set(FILES)
    assert not list(tmp_path.rglob("ran")) and not (tmp_path / "web" / ".partial" / "parts").exists()
    asked = len(registry.asked)
    assert asked and install(made) == folder and len(registry.asked) == asked, "what is there needs no registry"
    one = Parcel("one", tmp_path / "web" / "one", (Source(
        address="npm:@made/web-parts==1.2.0!package/dist/deep/b.wasm", format="safetensors", stored="fp32",
        sha256={"b.wasm": KNOWN["dist/deep/b.wasm"]}),), "again", "first")
    assert sorted(path.name for path in install(one).iterdir()) == ["b.wasm", "seedbed.json"]


@npm
def test_what_is_not_what_was_pinned_is_refused(registry: Registry, tmp_path: Path) -> None:
    put(registry, files={**FILES, "dist/a.mjs": b"export const a = 2\n"})
    with pytest.raises(CorruptFile, match=r"dist/a\.mjs from npm:@made/web-parts.* does not have the SHA-256"):
        install(parcel(tmp_path))
    put(registry, name="no-hash")
    with pytest.raises(CorruptFile, match="which the card has no hash for"):
        install(parcel(tmp_path, "npm:no-hash==1.2.0!package/LICENSE", {}))
    put(registry, name="spoilt")
    registry.spoilt = True
    with pytest.raises(CorruptFile, match=r"npm refused spoilt@1\.2\.0: its hash is not the one"):
        install(parcel(tmp_path, "npm:spoilt==1.2.0!package/"))
    assert not (tmp_path / "web" / "parts").exists()


@npm
def test_a_package_cannot_write_or_point_outside(registry: Registry, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(FILES["LICENSE"])
    put(registry, files={"dist/a.mjs": FILES["dist/a.mjs"]}, links={"LICENSE": str(secret)})
    wanted = {name: KNOWN[name] for name in ("dist/a.mjs", "LICENSE")}
    with pytest.raises(CorruptFile, match="did not bring LICENSE"):
        install(parcel(tmp_path, known=wanted))
    put(registry, name="escapes", files={"../../../../escaped": b"x"})
    with pytest.raises(CorruptFile, match="escaped, which the card has no hash for"):
        install(parcel(tmp_path, "npm:escapes==1.2.0!package/../../../../escaped", {}))
    assert not list(tmp_path.rglob("escaped"))


@npm
@pytest.mark.parametrize(("address", "told"), [
    ("npm:@made/web-parts==9.9.9!package/", "no package @made/web-parts@9.9.9"),
    ("npm:not-there==1.0.0!package/", "no package not-there@1.0.0"),
    ("npm:@made/web-parts==1.2.0!package/nothing/", "holds no package/nothing/")])
def test_what_the_registry_lacks(registry: Registry, tmp_path: Path, address: str, told: str) -> None:
    put(registry)
    with pytest.raises(NotFound, match=told):
        install(parcel(tmp_path, address))


@npm
def test_no_registry_no_connection(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(registry)
    registry.shutdown()
    registry.server_close()
    with pytest.raises(Offline, match="cannot be reached for @made/web-parts") as caught:
        install(parcel(tmp_path))
    assert "127.0.0.1" not in str(caught.value), "addresses of a private registry are not passed on"


def test_offline_and_without_npm_the_page_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedbed.catalog.npm.shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"web@1\.30\.0 cannot be fetched: npm is not installed") as caught:
        web.pull_web()
    assert "Install Node.js" in caught.value.hint
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    with pytest.raises(Offline, match=r"onnxruntime-web-1\.30\.0 is not on this machine, and fetching is off"):
        web.pull_web()
    assert not list((home / "web").glob("onnx*"))


@pytest.mark.parametrize("address", ["npm:web-parts!x", "npm:--registry=http://x==1.0.0!y", "npm:a==latest!package/",
                                     "npm:a==^1.0.0!package/", "npm:git+https://x/y==1.0.0!z", "npm:../x==1.0.0!z"])
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    with pytest.raises(DataError, match="is not an address in a package of npm"):
        install(parcel(tmp_path, address))
