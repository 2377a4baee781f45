"""The report of materials that transmit: whole-sphere checks, energy of both ways, one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.bake.material import bake
from etendue.bake.settings import BakeSettings
from etendue.bsdf.transmission_artifact import KNOTS
from etendue.device.drjit import activate
from etendue.report.page import ReportSettings, write_report
from etendue.scene.material import WHITE, Interior, Layer, LayeredMaterial, LayerKind, Stack

SMALL = ReportSettings(
    size=(24, 18), spp=4, views=1, equal_error_spp=2, repeats=1, flyout_samples=0
)


def _glass(**interface: Any) -> LayeredMaterial:
    layers = (Layer(LayerKind.DIELECTRIC, "boundary", **interface), Layer(LayerKind.OPEN, "inside"))
    return LayeredMaterial(
        "glass", layers, (Stack(WHITE, (0, 1)),), source_hash="c" * 64, interior=Interior()
    )


def _report(material: LayeredMaterial, folder: Path) -> tuple[dict[str, Any], str]:
    activate()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = BakeSettings(arch="2x16", steps=64, texels=128, pool=2, pairs=4, walks=4)
    artifact = bake(material, settings, folder / "glass.eta")
    torch.set_num_threads(before)
    heldout = [{"lobe": "reflect.above", "relative": 0.5, "bias": 0.1}]
    figures = {"steps": 64, "seconds": 1.5, "heldout": heldout, "reproduce": "etendue bake x"}
    where = folder / "report"
    page = write_report(where, material, artifact, folder / "glass.eta", figures, SMALL)
    return json.loads((where / "report.json").read_text()), page.read_text()


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return _report(_glass(alpha=(0.1, 0.1), eta=1.5), tmp_path_factory.mktemp("rough"))


def test_draws_follow_the_density_from_both_sides(rough: tuple[dict[str, Any], str]) -> None:
    rows = rough[0]["chi_squared"]
    assert [row["degrees"] for row in rows[8:]] == [180 - row["degrees"] for row in rows[:8]]
    failed = [row for row in rows if not (row["neural"] and row["reference"])]
    assert not failed


def test_energy_of_both_ways(rough: tuple[dict[str, Any], str]) -> None:
    """The reference loses single scattering only; the fit stays below one."""
    data = rough[0]
    assert [side["above"] for side in data["energy"]] == [True, False]
    for side in data["energy"]:
        assert len(side["cosines"]) == KNOTS
        total = np.array(side["reference_reflected"]) + np.array(side["reference_transmitted"])
        assert 0.93 < total[KNOTS // 2 :].min() and total.max() < 1.01, total
        assert side["largest"] <= 1.0 + 3 * side["largest_error"]
    inside = data["energy"][1]
    assert inside["reference_transmitted"][8] < 0.1 < inside["reference_transmitted"][-1]
    assert data["largest_energy"] == max(side["largest"] for side in data["energy"])


def test_page(rough: tuple[dict[str, Any], str]) -> None:
    data, text = rough
    assert text.count("data:image/png;base64,") == 4, "three pictures and a plot"
    assert "reflect.above" in text and "seen from inside" in text
    assert "Worst texels" not in text and "Mip levels" not in text
    assert data["transmits"] and data["sizes"]["latent_bytes"] > 0


def test_nothing_but_delta_directions(tmp_path: Path) -> None:
    data, text = _report(_glass(smooth=True, eta=1.5), tmp_path)
    assert data["chi_squared"] == data["energy"] == []
    assert data["largest_energy"] == 0.0 and data["sizes"]["latent_bytes"] == 0
    assert text.count("data:image/png;base64,") == 3
    assert data["views"][0]["bias_on_material"] == pytest.approx(0, abs=0.5)
