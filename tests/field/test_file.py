"""Fields in files: everything comes back, and what is no field is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError
from etendue.field.file import Field, make_model, read_field, write_field
from etendue.field.march import STEP
from etendue.field.occupancy import survey
from etendue.field.rays import Cube


def made(kind: str = "grid", size: int = 5) -> Field:
    model = make_model(kind, {"size": size})
    params = model.init(torch.Generator().manual_seed(1))
    found = survey(lambda x: 8 * x[:, 0] - 6, STEP, 0)
    return Field(model, params, Cube((1.0, 2.0, 3.0), 4.0), found, "pot", 1.7, {"steps": 3})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    field = made()
    write_field(tmp_path / "f.eta", field)
    again = read_field(tmp_path / "f.eta")
    assert again.model == field.model and again.cube == field.cube and again.name == "pot"
    assert again.distance == 1.7 and again.info["steps"] == 3
    assert all(torch.equal(again.params[n], v) for n, v in field.params.items())
    assert torch.equal(again.occupancy.mask, field.occupancy.mask)
    assert 0.1 < float(field.occupancy.mask.float().mean()) < 0.9
    first = (tmp_path / "f.eta").read_bytes()
    write_field(tmp_path / "f.eta", field)
    assert (tmp_path / "f.eta").read_bytes() == first


def test_values_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    field = made()
    field.params["values"][3, 2] = torch.nan
    with pytest.raises(InputError, match="values: has values that are not finite"):
        write_field(tmp_path / "f.eta", field)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "f.eta"
    write_artifact(path, Artifact({"kind": "material", "name": "x"}, {}))
    with pytest.raises(InputError, match="wrong kind of data; got material, expected field"):
        read_field(path)
    write_field(path, made())
    good = read_artifact(path)
    for header, tensors, message in (
        ({"model": {"kind": "nerf"}}, {}, "model: is unknown; got nerf"),
        ({"model": {"kind": "grid", "size": 6}}, {}, "values: does not fit"),
        ({"cube": {"centre": [0, 0], "side": 1}}, {}, "its header is not usable"),
        ({}, {"values": np.full((125, 28), np.inf, np.float32)}, "tensor values holds NaN"),
        ({}, {"occupancy": np.zeros(3, np.uint8)}, "occupancy: is not usable"),
    ):
        write_artifact(path, Artifact({**good.header, **header}, {**good.tensors, **tensors}))
        with pytest.raises(InputError, match=message):
            read_field(path)


def test_a_field_with_another_middle_is_another(tmp_path: Path) -> None:
    write_field(tmp_path / "a.eta", made())
    write_field(tmp_path / "b.eta", replace(made(), cube=Cube((0.0, 0.0, 0.0), 1.0)))
    assert (tmp_path / "a.eta").read_bytes() != (tmp_path / "b.eta").read_bytes()
