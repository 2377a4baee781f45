"""The report of a tiny bake: every file, figures that fit them, one self-contained page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact
from etendue.bake.material import bake
from etendue.bake.settings import BakeSettings
from etendue.core.errors import InputError
from etendue.core.image import read_image
from etendue.device.drjit import activate
from etendue.report.page import ReportSettings, write_report
from etendue.scene.material import WHITE, Layer, LayeredMaterial, LayerKind, Stack

SIZE = (24, 18)
SMALL = ReportSettings(
    size=SIZE, spp=4, views=1, equal_error_spp=2, repeats=1, flyout_samples=1 << 9
)
NAME = "plain <script>alert('x')</script> & co"
NOTE = "<img src=http://example.org/x.png> is replaced"


def _material() -> LayeredMaterial:
    coat = Layer(LayerKind.DIELECTRIC, "coat", alpha=(0.3, 0.3))
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(0.6, 0.4, 0.2))
    stacks = (Stack(WHITE, (0, 1)),)
    return LayeredMaterial(NAME, (coat, base), stacks, notes=(NOTE,), source_hash="b" * 64)


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Path]:
    activate()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = BakeSettings(arch="2x16", steps=96, texels=128, pool=2, pairs=4, walks=4)
    path = tmp_path_factory.mktemp("report") / "plain.eta"
    artifact = bake(_material(), settings, path)
    torch.set_num_threads(before)
    return artifact, path


@pytest.fixture(scope="module")
def folder(baked: tuple[Artifact, Path]) -> Path:
    artifact, path = baked
    figures = {"steps": 96, "seconds": 1.5, "heldout": [], "reproduce": "etendue bake <x>"}
    where = path.parent / "new" / "report"
    page = write_report(where, _material(), artifact, path, figures, SMALL)
    assert page == where / "report.html"
    return where


@pytest.fixture(scope="module")
def data(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_every_file_is_there_and_nothing_else(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {
        "report.html",
        "report.json",
        *("reference.exr", "reference.png", "neural.exr", "neural.png", "flip.png"),
        "flyout.png",
    }


def test_pictures_show_the_scene_both_ways(folder: Path) -> None:
    reference, neural = (read_image(folder / f"{n}.exr") for n in ("reference", "neural"))
    for picture in (reference, neural):
        assert picture.shape == (*SIZE[::-1], 3)
        assert np.isfinite(picture).all() and picture.mean() > 0.01
    assert neural.mean() == pytest.approx(reference.mean(), rel=0.3)
    assert not np.array_equal(neural, reference)
    for name in ("reference", "neural", "flip"):
        assert read_image(folder / f"{name}.png").shape == (*SIZE[::-1], 3)


def test_figures(data: dict[str, Any], baked: tuple[Artifact, Path]) -> None:
    artifact, path = baked
    (view,) = data["views"]
    assert data["mean_flip"] == view["flip"] and 0 < view["flip"] < 1
    assert data["mean_flip_on_material"] == view["flip_on_material"]
    assert 0.02 < view["covered"] < 0.9
    assert len(data["chi_squared"]) == len(data["chi_squared_reference"]) == 8
    assert 0 < data["albedo"]["largest"] <= 1.001
    assert 0 < data["reciprocity"]["mean"] < 1
    sampler = data["sampler"]
    assert all(sampler[name] > 0 for name in ("learned", "cosine", "ggx"))
    worst = [texel["relative"] for texel in data["worst_texels"]]
    assert len(worst) == 5 and worst == sorted(worst, reverse=True)
    assert data["outliers"] == artifact.header["quality"]["outliers"]
    sizes = data["sizes"]
    assert sizes["artifact_bytes"] == path.stat().st_size
    assert sizes["latent_bytes"] + sizes["network_bytes"] == sizes["tensor_bytes"]
    assert sizes["latent_bytes"] == artifact.tensors["latents"].nbytes
    speed = data["speed"]
    assert speed["spp"] == 2 and speed["repeats"] == 1
    ratio = speed["reference_s"] * speed["reference_rel_mse"]
    ratio /= speed["neural_s"] * speed["neural_rel_mse"]
    assert speed["time_ratio_equal_error"] == pytest.approx(ratio)
    assert data["layers"] == ["coat", "base"] and data["stacks"] == 1
    assert data["settings"]["steps"] == 96 and data["bake"]["seconds"] == 1.5


class _Page(HTMLParser):
    """Collects tags and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]


def test_page_is_self_contained_and_escapes_names(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = _Page(text)
    assert len(page.references) == 7, "three pictures, the fly-out and three plots"
    assert all(r.startswith("data:image/png;base64,") for r in page.references)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?://(?!example\.org)", text)
    assert "&lt;script&gt;" in text and "&lt;img src=http://example.org" in text
    assert "etendue bake &lt;x&gt;" in text


def test_page_says_what_the_figures_say(folder: Path, data: dict[str, Any]) -> None:
    text = (folder / "report.html").read_text()
    assert f"{data['mean_flip']:.4f}" in text
    assert f"{data['speed']['time_ratio_equal_error']:.1f}" in text
    assert "2 layers (coat, base)" in text


def test_a_folder_that_cannot_be_is_one_error(baked: tuple[Artifact, Path], tmp_path: Path) -> None:
    artifact, path = baked
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file", _material(), artifact, path, {}, SMALL)
    assert (tmp_path / "file").read_text() == "in the way"
