"""Bakes beside each other: figures that fit the files, dominance, one self-contained page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from etendue.bake.material import bake
from etendue.bake.settings import BakeSettings
from etendue.device.drjit import activate
from etendue.report.front import Candidate, FrontSettings, measure, write_front
from etendue.scene.material import WHITE, Layer, LayeredMaterial, LayerKind, Stack

SMALL = FrontSettings(size=(24, 18), spp=4, views=2, rounds=1, timed_spp=1)


def _material() -> LayeredMaterial:
    coat = Layer(LayerKind.DIELECTRIC, "coat", alpha=(0.3, 0.3))
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(0.6, 0.4, 0.2))
    return LayeredMaterial("a <b>", (coat, base), (Stack(WHITE, (0, 1)),), source_hash="e" * 64)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    activate()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("front")
    candidates = []
    for arch in ("2x16", "2x32"):
        settings = BakeSettings(arch=arch, steps=48, texels=128, pool=2, pairs=4, walks=4)
        path = folder / f"{arch}.eta"
        bake(_material(), settings, path)
        figures = {"heldout": [{"relative": 0.5}], "steps": 48, "seconds": 1.0, "reproduce": "<x>"}
        candidates.append(Candidate(f"arch-{arch}", path, figures))
    torch.set_num_threads(before)
    found = measure(_material(), candidates, folder, SMALL)
    write_front(folder, "a <b>", found, SMALL)
    return found, folder


def test_rows_say_what_the_files_are(rows: tuple[list[dict[str, Any]], Path]) -> None:
    found, folder = rows
    assert [row["label"] for row in found] == ["arch-2x16", "arch-2x32"]
    for row in found:
        assert row["bytes"] == (folder / row["file"]).stat().st_size
        assert len(row["flip"]) == 2 and 0 < row["mean_flip"] < 1 and row["render_ms"] > 0
    assert found[0]["bytes"] < found[1]["bytes"] and found[0]["best_by_size"]
    assert json.loads((folder / "front.json").read_text())["rows"] == found


def test_nothing_on_the_front_is_dominated(rows: tuple[list[dict[str, Any]], Path]) -> None:
    for cost, best in (("bytes", "best_by_size"), ("render_ms", "best_by_time")):
        assert any(row[best] for row in rows[0])
        for row in rows[0]:
            worse = [
                other
                for other in rows[0]
                if other["mean_flip"] < row["mean_flip"] and other[cost] < row[cost]
            ]
            assert row[best] != bool(worse)


def test_page(rows: tuple[list[dict[str, Any]], Path]) -> None:
    text = (rows[1] / "front.html").read_text()
    assert text.count("data:image/png;base64,") == 1 + 2 * 3, "a plot, two views of three"
    assert "a &lt;b&gt;" in text and "&lt;x&gt;" in text and "http" not in text
    for row in rows[0]:
        assert f"{row['mean_flip']:.4f}" in text
