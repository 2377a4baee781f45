"""A renderer that goes on while its shaders are edited."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue import layout
from etendue.core.errors import DeviceError
from etendue.device.slang import SlangDevice, open_device
from etendue.render.path.slang_scene import extract
from etendue.render.path.slang_upload import upload
from etendue.render.path.slang_watch import Kernels

from .slang_support import render

Edit = Callable[[str, str], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vulkan: SlangDevice) -> Edit:
    """`edit(old, new)` changes a copy of the shaders' diffuse material."""
    folder, clock = tmp_path / "shaders", [2 * 10**18]
    shutil.copytree(layout.shaders(), folder)
    monkeypatch.setattr(layout, "shaders", lambda: folder)
    file = folder / "bsdf" / "lambert.slang"

    def change(old: str, new: str) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        clock[0] += 10**9  # some file systems keep whole seconds
        os.utime(file, ns=(clock[0], clock[0]))

    return change


def test_an_edit_is_in_the_next_frame_and_a_broken_one_is_told(room: Any, edit: Edit) -> None:
    scene = room({"type": "diffuse"}, {"type": "diffuse"})
    told: list[str] = []
    kernels = Kernels(upload(open_device(), extract(scene)), told.append)

    def frame() -> Any:
        options: dict[str, Any] = {"spp": 1, "seed": 1, "crop": (8, 12, 24, 20), "max_depth": 2}
        return render(kernels.uploaded.device, scene, kernels=kernels, **options).rgb

    first = frame()
    np.testing.assert_array_equal(frame(), first)
    edit("s.value = reflectance", "s.value = 0.5f * reflectance")
    dim = frame()
    assert dim.mean() < 0.9 * first.mean() and not told
    edit("s.value = 0.5f", "s.value = missing")
    np.testing.assert_array_equal(frame(), dim)
    np.testing.assert_array_equal(frame(), dim)
    assert len(told) == 1 and "bsdf/lambert.slang:17: undefined" in told[0]
    edit("s.value = missing * reflectance", "s.value = reflectance")
    np.testing.assert_array_equal(frame(), first)
    assert len(told) == 1


def test_shaders_that_are_broken_from_the_start_may_be_mended(room: Any, edit: Edit) -> None:
    scene = room({"type": "diffuse"}, {"type": "diffuse"})
    kernels = Kernels(upload(open_device(), extract(scene)), lambda text: None)
    edit("s.value = reflectance", "s.value = missing")
    with pytest.raises(
        DeviceError, match=r"bsdf/lambert\.slang:17: undefined identifier \(E30015\)$"
    ):
        kernels("bvh", "path_main")
    edit("s.value = missing", "s.value = reflectance")
    assert kernels("bvh", "path_main") is kernels("bvh", "path_main")


def test_without_a_listener_a_kernel_is_made_once(room: Any, vulkan: SlangDevice) -> None:
    scene = room({"type": "diffuse"}, {"type": "diffuse"})
    kernels = Kernels(upload(vulkan, extract(scene)))
    assert kernels("bvh", "path_main") is kernels("bvh", "path_main")
    assert kernels("bvh", "path_main") is not kernels("bvh", "aov_main")
