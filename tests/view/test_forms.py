"""Forms made from manifests, and the command lines that they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.plugins.registry import find, scan
from etendue.view import forms


def test_every_plugin_has_a_form() -> None:
    manifests = [found.manifest for found in scan() if found.manifest is not None]
    assert manifests
    for manifest in manifests:
        fields = forms.fields(manifest)
        assert [field.name for field in fields] == list(manifest.inputs)
        assert all(field.name in field.label for field in fields)


def test_kinds() -> None:
    kinds = {field.name: field.kind for field in forms.fields(find("marching_cubes"))}
    assert kinds == {"values": forms.TENSOR, "level": forms.NUMBER, "spacing": forms.TENSOR}
    denoise = find("denoise")
    assert {field.kind for field in forms.fields(denoise)} == {forms.PICTURE}
    assert forms.pictures(denoise) == ["color"]


def test_layers_become_files(tmp_path: Path) -> None:
    layers = {"rgb": np.random.default_rng(0).random((3, 4, 3)).astype(np.float32)}
    values = {"color": "layer:rgb", "albedo": "", "normal": " "}
    words = forms.command(find("denoise"), values, layers, "high", tmp_path)
    file = tmp_path / "color.npy"
    assert f"color={file}" in words and words[-2:] == ["--variant", "high"]
    assert (np.load(file) == layers["rgb"]).all()
    assert not any(word.startswith(("albedo=", "normal=")) for word in words)


def test_without_values_the_example_runs(tmp_path: Path) -> None:
    words = forms.command(find("marching_cubes"), {"level": ""}, {}, None, tmp_path)
    assert "--in" not in words and words[5:7] == ["marching_cubes", "--json"]


@pytest.mark.parametrize(
    ("values", "words"),
    [({"level": "0.5"}, "values: needs a value"), ({"values": "layer:uv"}, "not been rendered")],
)
def test_forms_that_are_not_filled(values: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        forms.command(find("marching_cubes"), values, {}, None, tmp_path)
