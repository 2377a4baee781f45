"""Features gate shaders before they reach a driver; compiler errors can be read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue import layout
from etendue.core.errors import DeviceError
from etendue.device import slang
from etendue.device.slang import NEEDS, SlangDevice, load, open_device, readable

spy = pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")


class Unreachable:
    """A device whose driver must not be touched."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the driver was asked for {name}")


@pytest.mark.parametrize("module", NEEDS)
def test_a_device_without_the_feature_never_sees_the_shader(module: str) -> None:
    everything = frozenset(slang.KNOWN)
    for feature in NEEDS[module]:
        device = SlangDevice(Unreachable(), "vulkan", "faked", everything - {feature})
        with pytest.raises(DeviceError, match=f"needs .*{feature}.* which faked does not offer"):
            load(device, module, ["main"])
        with pytest.raises(DeviceError, match=feature):
            load(device, "neural/decode", ["decode_main"], with_modules=[module])


def test_unknown_kinds_of_device_are_errors() -> None:
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_device("abacus")


def test_features_may_be_hidden() -> None:
    try:
        device = open_device(without=["ray_query"])
    except DeviceError as error:
        pytest.skip(f"no Vulkan device: {error}")
    assert "ray_query" not in device.features
    with pytest.raises(DeviceError, match="ray_query"):
        load(device, "render/path.rq", ["path_main"])
    if "cooperative_matrix" not in device.features:  # the stock driver would compute garbage
        with pytest.raises(DeviceError, match="cooperative_matrix"):
            load(device, "neural/decode", ["decode_main"], with_modules=["neural/linear_coopmat"])


def test_a_compile_error_names_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "shaders"
    shutil.copytree(layout.shaders(), broken)
    file = broken / "core" / "warp.slang"
    lines = file.read_text().splitlines()
    lines.insert(4, "float wrong( { }")
    file.write_text("\n".join(lines))
    monkeypatch.setattr(layout, "shaders", lambda: broken)
    device = open_device("cpu")
    with pytest.raises(DeviceError, match=r"core/warp\.slang:5: "):
        load(device, "neural/decode", ["decode_main"])


def test_other_messages_are_kept() -> None:
    assert readable("something\n  else") == "does not compile: something else"


def test_an_edit_is_seen_and_a_broken_one_keeps_the_old_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shaders"
    folder.mkdir()
    file = folder / "answer.slang"
    source = """
        RWStructuredBuffer<int> g_out;
        [shader("compute")] [numthreads(1, 1, 1)] void answer() { g_out[0] = ANSWER; }
    """
    clock = [10**9]

    def write(text: str) -> None:
        file.write_text(text)
        clock[0] += 10**9  # some file systems keep whole seconds
        os.utime(file, ns=(clock[0], clock[0]))

    write(source.replace("ANSWER", "1"))
    monkeypatch.setattr(layout, "shaders", lambda: folder)
    device = open_device("cpu")
    told: list[str] = []

    def build(fresh: bool) -> Any:
        program = load(device, "answer", ["answer"], fresh=fresh)
        return device.raw.create_compute_kernel(program)

    kernel = slang.Reloading(build, told.append)

    def answer() -> int:
        out = device.raw.create_buffer(
            element_count=1, struct_size=4, usage=spy.BufferUsage.unordered_access
        )
        kernel.current().dispatch([1, 1, 1], vars={"g_out": out})
        return int(out.to_numpy().view(np.int32)[0])

    assert answer() == 1
    write(source.replace("ANSWER", "2"))
    assert answer() == 2
    write(source.replace("ANSWER", "missing"))
    assert answer() == 2
    assert answer() == 2 and len(told) == 1  # said once for each edit
    assert "answer.slang:3: undefined identifier" in told[0]
    write(source.replace("ANSWER", "3"))
    assert answer() == 3 and len(told) == 1
