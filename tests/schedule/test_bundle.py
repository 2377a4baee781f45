from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from etendue.core.errors import InputError
from etendue.schedule.bundle import Bundle, pack, unpack


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A document that names a texture, another document, and files that are not there."""
    folder = tmp_path / "here" / "materials"
    (folder / "textures").mkdir(parents=True)
    (folder / "textures" / "a.png").write_bytes(b"\x89PNG")
    (folder.parent / "shared.mtlx").write_text('<input value="gone.png" other="textures/a.png"/>')
    path = folder / "m.mtlx"
    path.write_text(
        '<x><input type="filename" value="textures/a.png"/><input value="0.5"/>'
        '<xi:include href="../shared.mtlx"/></x>'
    )
    return path


def test_what_a_document_names_travels_with_it(material: Path, tmp_path: Path) -> None:
    bundle = pack([material])
    names = [name for name, _ in bundle.files]
    assert names == ["materials/m.mtlx", "materials/textures/a.png", "shared.mtlx"]
    root = unpack(bundle, tmp_path / "there")
    moved = bundle.moved(material, root)
    assert moved.read_bytes() == material.read_bytes()
    assert (moved.parent / "textures" / "a.png").read_bytes() == b"\x89PNG"


def test_names_behind_a_prefix(material: Path) -> None:
    material.write_text('<x fileprefix="textures/"><input type="filename" value="a.png"/></x>')
    assert [name for name, _ in pack([material]).files] == ["m.mtlx", "textures/a.png"]


def test_the_name_is_the_content(material: Path, tmp_path: Path) -> None:
    bundle = pack([material])
    root = unpack(bundle, tmp_path / "there")
    assert root.name == bundle.digest
    stamp = (root / "shared.mtlx").stat().st_mtime_ns
    assert unpack(pack([material]), tmp_path / "there") == root  # already there: nothing written
    assert (root / "shared.mtlx").stat().st_mtime_ns == stamp
    assert [p.name for p in (tmp_path / "there").iterdir()] == [bundle.digest]
    material.write_text(material.read_text() + " ")
    assert pack([material]).digest != bundle.digest


def test_many_processes_unpack_at_once(material: Path, tmp_path: Path) -> None:
    bundle = pack([material])
    with ThreadPoolExecutor(8) as pool:
        roots = list(pool.map(lambda _: unpack(bundle, tmp_path / "there"), range(32)))
    assert len(set(roots)) == 1
    assert [p.name for p in (tmp_path / "there").iterdir()] == [bundle.digest]


def test_names_in_a_scene_are_looked_for_in_its_folders(material: Path, tmp_path: Path) -> None:
    text = b'<string name="filename" value="a.png"/><include filename="m.mtlx"/>'
    bundle = pack([], [material.parent, material.parent / "textures"], text)
    assert [name for name, _ in bundle.files]== [
        "materials/m.mtlx", "materials/textures/a.png", "shared.mtlx",
    ]  # fmt: skip


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        pack([tmp_path / "gone.eta"])


def test_a_bundle_stays_in_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside"):
        unpack(Bundle("/", (("../escaped", b""),)), tmp_path / "there")
    assert not (tmp_path / "there" / "escaped").exists()
    assert list((tmp_path / "there").iterdir()) == []
