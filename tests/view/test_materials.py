"""Materials in folders, references and other bakes of the same material."""

from __future__ import annotations

import shutil
from pathlib import Path

from etendue.view import materials


def test_own_materials_and_a_folder(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.eta").write_bytes(b"nonsense")
    (tmp_path / "notes.txt").touch()
    entries = materials.listed([materials.own_folder(), scene.parent, tmp_path, tmp_path])
    found = {entry.path.name: entry for entry in entries}
    assert len(found) == len(entries)
    assert {"car_paint.mtlx", "plum.eta", "plum.mtlx", "broken.eta"} <= set(found)
    assert found["plum.eta"].name == "Plum" and found["plum.eta"].baked
    assert "2x16" in found["plum.eta"].detail and "16 texels" in found["plum.eta"].detail
    assert found["broken.eta"].detail.startswith("unusable")


def test_the_reference_is_found_by_name(scene: Path, tmp_path: Path) -> None:
    assert materials.reference_of(scene.parent / "plum.eta") == scene.parent / "plum.mtlx"
    shutil.copy(scene.parent / "plum.eta", tmp_path / "x.eta")
    assert materials.reference_of(tmp_path / "x.eta") is None
    assert materials.reference_of(tmp_path / "x.eta", [scene.parent]) == scene.parent / "plum.mtlx"
    shutil.copy(scene.parent / "plum.eta", tmp_path / "car_paint.eta")
    own = materials.own_folder() / "car_paint.mtlx"
    assert materials.reference_of(tmp_path / "car_paint.eta") == own
    assert materials.reference_of(tmp_path / "absent.eta") is None


def test_other_bakes_of_the_same_material(scene: Path) -> None:
    found = [entry.path.name for entry in materials.variants_of(scene.parent / "plum.eta")]
    assert found == ["plum.eta", "plum_other.eta"]
