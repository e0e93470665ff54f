from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sample_bundle import make
from tiny import exactly  # noqa: F401

from seedbed.export.bundle import Bundle


@pytest.fixture(scope="session")
def shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that tests only read."""
    return make(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """`make_bundle(**changes)`: a bundle of the test's own in `tmp_path / "bundle"`."""
    return lambda **changes: make(tmp_path / "bundle", **changes)


@pytest.fixture(scope="session")
def openvino_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a tiny encoder with `openvino-fp32` and `openvino-int8`; tests only read it."""
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'seedbed[openvino]'")
    from sample_export import made

    from seedbed.export.bundle import open_bundle
    from seedbed.workflow.exporting import ExportConfig, export

    folder = tmp_path_factory.mktemp("openvino") / "bundle"
    made(folder)
    export(folder, ExportConfig(to=("openvino:fp32", "openvino")))
    return open_bundle(folder, verify=True)


@pytest.fixture(autouse=True, scope="session")
def _quick_speed() -> Iterator[None]:
    """Speed is measured in a blink: here it is asked that it is there, not what it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seedbed.export.artefact.SPEED_SECONDS", 0.05)
        yield


@pytest.fixture(scope="session")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same bundle with `onnx-int8`; tests only read it."""
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="ONNX Runtime is not installed: pip install 'seedbed[onnx]'")
    from sample_export import made

    from seedbed.export.bundle import open_bundle
    from seedbed.workflow.exporting import ExportConfig, export

    folder = tmp_path_factory.mktemp("onnx") / "bundle"
    made(folder)
    export(folder, ExportConfig(to=("onnx",)))
    return open_bundle(folder, verify=True)


@pytest.fixture(scope="session")
def litert_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with texts of up to 40 tokens and `litert-int8`, a graph for 32 and one for 40; tests only read it."""
    for name in ("ai_edge_litert", "litert_torch"):
        pytest.importorskip(name, reason="LiteRT is not installed: docs/export.md has the install line")
    from sample_export import made

    from seedbed.export.bundle import open_bundle
    from seedbed.workflow.exporting import ExportConfig, export

    folder = tmp_path_factory.mktemp("litert") / "bundle"
    made(folder, max_tokens=40)
    export(folder, ExportConfig(to=("litert",)))
    return open_bundle(folder, verify=True)
