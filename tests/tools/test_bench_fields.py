"""The table of conversions: one row for each pair, and what was never reached is said."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from etendue.bake.field_fit import FieldSettings
from etendue.field.data import Dataset, Photos
from etendue.field.file import Field, make_model, write_field
from etendue.field.march import STEP
from etendue.field.occupancy import Occupancy
from etendue.field.rays import Cube


def test_rows_of_pairs(tool: Callable[[str], ModuleType]) -> None:
    bench = tool("bench_fields")
    tool("bench_common")
    pair = {"psnr": 30.0, "psnr_teacher_db": 35.0, "rendered_only_db": 33.0, "seconds": 20.0}
    rows = {
        "vm": {"psnr": 31.0, "seconds": 40.0},
        "grid": {"psnr": 29.0, "seconds": 50.0},
        "vm-grid": {**pair, "opacity_error": 0.1, "reached": 10.0},
        "grid-vm": {**pair, "opacity_error": 0.2, "reached": None},
    }
    text = bench.report(rows, Namespace(steps=3, rays=5, photos=Path("x/photos")))
    assert "| vm | grid | 35.0 | 33.0 | 30.00 | 31.00 | 0.10 | 20 | 0.20 |" in text
    assert "| grid | vm | 35.0 | 33.0 | 30.00 | 29.00 | 0.20 | 20 | not reached |" in text
    assert "vm 31.00 dB in 40 s, grid 29.00 dB in 50 s" in text


def test_a_conversion_is_watched(tool: Callable[[str], Any], tmp_path: Path) -> None:
    bench = tool("bench_fields")
    model = make_model("vm", {"size": 4, "density_rank": 1, "color_rank": 1})
    params = model.init(torch.Generator().manual_seed(0))
    cube = Cube((0.0, 0.0, 0.0), 1.0)
    field = Field(model, params, cube, Occupancy.full(STEP), "x", 1.5)
    write_field(tmp_path / "vm.eta", field)
    nothing = Photos((), (), ())
    data = Dataset(nothing, nothing, cube, 1.5)
    settings = FieldSettings(steps=32, rays=16)
    row = bench.convert(data, tmp_path / "vm.eta", "cp", settings, goal=1e9)
    assert row["reached"] is None and row["seconds"] > 0 and row["psnr_teacher_db"] > 0
    again = bench.convert(data, tmp_path / "vm.eta", "cp", settings, goal=1e9, rendered_only=True)
    assert again["psnr_teacher_db"] != row["psnr_teacher_db"]
