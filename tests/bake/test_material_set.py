"""Sets: equal bytes, resume, what is shared, materials equal to their own tensors, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from etendue.artifact import Artifact, read_artifact, read_material, write_artifact
from etendue.bake.decoder import EXAMPLES, read_donor
from etendue.bake.fit import is_decoder
from etendue.bake.material import bake, checkpoint_path
from etendue.bake.material_set import bake_set, members_of, plan_set, subjects_of
from etendue.bake.train import BakeStoppedError
from etendue.bsdf import neural_numpy
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.pyramid import level_offsets
from etendue.core.errors import InputError
from etendue.scene.material import LayeredMaterial

from .conftest import RESOLUTION, TINY, matte, painted, plain

SMALL = TINY


def materials() -> list[LayeredMaterial]:
    """One with a texture, one without."""
    return [painted(), plain()]


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "set.eta"
    bake_set(materials(), SMALL, out)
    return out


def test_one_decoder_and_latents_for_each(baked: Path) -> None:
    artifact = read_artifact(baked, kind="set")
    own = {name for name in artifact.tensors if not is_decoder(name)}
    assert own == {f"{k}/{part}" for k in (0, 1) for part in ("latents", "energy", "albedo")}
    assert artifact.tensors["0/latents"].shape == (level_offsets(RESOLUTION)[-1], 8)
    assert artifact.tensors["1/latents"].shape == (1, 8)
    assert [e["name"] for e in artifact.header["materials"]] == ["painted", "plain"]
    assert artifact.header["quality"]["history"][-1][0] == SMALL.steps
    for member, material in zip(members_of(artifact), materials(), strict=True):
        assert member.header["kind"] == "material"
        assert member.header["provenance"]["source_sha256"] == material.source_hash


def test_same_seed_same_bytes_other_seed_other_bytes(baked: Path, tmp_path: Path) -> None:
    bake_set(materials(), SMALL, tmp_path / "again.eta")
    assert (tmp_path / "again.eta").read_bytes() == baked.read_bytes()
    other = bake_set(materials(), dataclasses.replace(SMALL, seed=1), tmp_path / "other.eta")
    assert not np.array_equal(other.tensors["1/latents"], read_artifact(baked).tensors["1/latents"])


@pytest.mark.parametrize("pools", [1, 2, 3])
def test_stopped_and_resumed_equals_uninterrupted(baked: Path, tmp_path: Path, pools: int) -> None:
    """After 6 steps, 12 (where the encoders go) and 18 of 20."""
    out, calls = tmp_path / "x.eta", [0]

    def progress(step: int, total: int, loss: float) -> None:
        calls[0] += 1

    with pytest.raises(BakeStoppedError):
        bake_set(materials(), SMALL, out, progress=progress, stop=lambda: calls[0] >= pools)
    assert [p.name for p in tmp_path.iterdir()] == ["x.eta.checkpoint"]
    bake_set(materials(), SMALL, out, resume=True)
    assert out.read_bytes() == baked.read_bytes()
    assert not checkpoint_path(out).exists()


def test_resuming_another_set_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "x.eta"
    with pytest.raises(BakeStoppedError):
        bake_set(materials(), SMALL, out, stop=lambda: True)
    for others in ([painted(), matte()], [plain(), painted()], [painted(), plain(), matte()]):
        with pytest.raises(InputError, match="another material"):
            bake_set(others, SMALL, out, resume=True)
    with pytest.raises(InputError, match="got seed 0, expected seed 3"):
        bake_set(materials(), dataclasses.replace(SMALL, seed=3), out, resume=True)


def test_each_material_is_what_its_tensors_are_alone(baked: Path, tmp_path: Path) -> None:
    """`set.eta#name` equals, bit for bit, a file with these tensors, and the numpy twin."""
    import mitsuba as mi

    from etendue.bake.checks import direction, point

    whole = read_artifact(baked)
    for k, name in enumerate(("painted", "plain")):
        tensors = {n: a for n, a in whole.tensors.items() if is_decoder(n)}
        tensors |= {p: whole.tensors[f"{k}/{p}"] for p in ("latents", "energy", "albedo")}
        header = {"kind": "material", "name": name, "lod": whole.header["materials"][k]["lod"]}
        write_artifact(tmp_path / f"{name}.eta", Artifact(header, tensors))
        ours = NeuralBSDF.load(f"{baked}#{name}")
        alone = NeuralBSDF.load(tmp_path / f"{name}.eta")
        assert ours.name == name
        texel, side = (0.5 + 3) / RESOLUTION, ours.pyramid.resolution
        p, wo = point((texel, texel), direction(30.0), 1), mi.Vector3f(*direction(50.0, 2.0))
        f = [b.eval(p, wo, mi.PCG32(), mi.Bool(True)).numpy() for b in (ours, alone)]
        np.testing.assert_array_equal(*f)
        row = 3 * side + 3 if side > 1 else 0
        expected = neural_numpy.evaluate(
            tensors["latents"][row].astype(np.float64)[None],
            np.array([direction(30.0)]),
            np.array([direction(50.0, 2.0)]),
            tensors,
        )
        np.testing.assert_allclose(f[0].T, expected, rtol=1e-3)


def test_materials_fit_as_if_they_were_alone(tmp_path: Path) -> None:
    """The loss of a set falls, and both materials differ from each other as they should."""
    settings = dataclasses.replace(SMALL, steps=240, texels=256, pairs=8, reuse=4)
    artifact = bake_set(materials(), settings, tmp_path / "x.eta")
    losses = [loss for _, loss in artifact.header["quality"]["history"]]
    assert losses[-1] < 0.1**0.5 * losses[0]  # a tenth of the squared error


def test_a_new_material_takes_the_decoder_of_a_set(baked: Path, tmp_path: Path) -> None:
    donor = read_donor(baked)
    found = bake(matte(), TINY, tmp_path / "new.eta", decoder=donor)
    for name, value in read_artifact(baked).tensors.items():
        if is_decoder(name):
            np.testing.assert_array_equal(found.tensors[name], value)
    assert donor.examples.shape == (EXAMPLES // 2 + 1, 8)
    assert read_donor(Path(f"{baked}#plain")).examples.shape == (1, 8)
    with pytest.raises(InputError, match="no such material; got none, expected one of: painted"):
        read_donor(Path(f"{baked}#none"))


def test_a_set_on_the_decoder_of_another(baked: Path, tmp_path: Path) -> None:
    others = [matte(), dataclasses.replace(plain(), name="second")]
    found = bake_set(others, SMALL, tmp_path / "x.eta", decoder=read_donor(baked))
    for name, value in read_artifact(baked).tensors.items():
        if is_decoder(name):
            np.testing.assert_array_equal(found.tensors[name], value)


def test_good_enough_is_asked_about_every_material(tmp_path: Path) -> None:
    settings = dataclasses.replace(SMALL, steps=120, pool=1, reuse=2)
    seen: list[list[str]] = []

    def enough(artifacts: list[Artifact]) -> bool:
        seen.append([a.header["name"] for a in artifacts])
        return True

    steps: list[int] = []
    bake_set(
        materials(),
        settings,
        tmp_path / "x.eta",
        progress=lambda step, total, loss: steps.append(step),
        good_enough=enough,  # type: ignore[arg-type]
    )
    assert seen == [["painted", "plain"]] and steps[-1] < 120


def test_what_cannot_be_a_set(tmp_path: Path) -> None:
    out = tmp_path / "x.eta"
    with pytest.raises(InputError, match="have one name; got plain"):
        bake_set([plain(), plain()], SMALL, out)
    with pytest.raises(InputError, match="do not know sets"):
        bake_set(materials(), dataclasses.replace(SMALL, latents="cb3"), out)
    with pytest.raises(InputError, match="too many materials"):
        bake_set(materials(), dataclasses.replace(SMALL, texels=1), out)
    assert not list(tmp_path.iterdir())


def test_materials_have_directions_of_their_own() -> None:
    first, second = subjects_of(materials(), SMALL)
    assert (first.key, second.key) == ("0/", "1/") and first.seed != second.seed
    assert first.resolution == RESOLUTION and second.resolution == 1 and second.data is None


def test_planned_steps_are_whole_pools() -> None:
    per_pool = SMALL.pool * SMALL.reuse
    assert plan_set(materials(), SMALL, 1e-6) == per_pool
    assert plan_set(materials(), SMALL, 5.0) % per_pool == 0


def test_a_member_is_read_like_a_file(baked: Path) -> None:
    assert read_material(baked, "plain").header["lod"]["resolution"] == 1
