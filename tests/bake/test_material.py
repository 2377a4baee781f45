"""Whole bakes: equal bytes for equal seeds, kills and resumes, checkpoints in the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from etendue.artifact import read_artifact
from etendue.bake import material as baking
from etendue.bake.decoder import donor_of
from etendue.bake.material import bake, checkpoint_path, fit_resolution, plan_steps
from etendue.bake.train import BakeStoppedError
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.pyramid import level_offsets
from etendue.core.errors import InputError
from etendue.scene.material import LayeredMaterial

from .conftest import RESOLUTION, TINY, matte, painted, plain

ROOT = Path(__file__).parents[2]
KILLED = (12, 20)  # pools end after 6, 12 (the switch of phases), 18 and 20 steps
CHILD = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from etendue.device.drjit import activate
activate()
from bake.conftest import TINY, painted
from etendue.bake.decoder import donor_of
from etendue.bake.material import bake

def progress(step, total, loss):
    if step >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

bake(painted(), TINY, Path(sys.argv[1]), progress=progress, save_every_s=0.0)
"""


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bake") / "painted.eta"
    bake(painted(), TINY, out)
    return out


def test_artifact_is_complete_and_renders(baked: Path) -> None:
    assert sorted(p.name for p in baked.parent.iterdir()) == ["painted.eta"]
    artifact = read_artifact(baked, kind="material")
    assert artifact.header["name"] == "painted"
    assert artifact.header["provenance"]["source_sha256"] == "a" * 64
    assert artifact.header["provenance"]["settings"] == TINY.record()
    assert artifact.header["quality"]["history"][-1][0] == TINY.steps
    latents = artifact.tensors["latents"]
    assert latents.shape == (level_offsets(RESOLUTION)[-1], 8) and latents.dtype == np.float16
    assert not any(name.startswith("encoder") for name in artifact.tensors)
    assert NeuralBSDF.load(baked).name == "painted"


def test_same_seed_same_bytes_other_seed_other_bytes(baked: Path, tmp_path: Path) -> None:
    bake(painted(), TINY, tmp_path / "again.eta")
    assert (tmp_path / "again.eta").read_bytes() == baked.read_bytes()
    other = bake(painted(), dataclasses.replace(TINY, seed=1), tmp_path / "other.eta")
    ours = read_artifact(baked).tensors
    assert not np.array_equal(other.tensors["latents"], ours["latents"])


def test_killed_and_resumed_equals_uninterrupted(baked: Path, tmp_path: Path) -> None:
    """SIGKILL in the encoder phase (first 12 steps of 20) and with direct latents.

    The child kills itself before it saves the state of the step it reports.
    """
    outs = {last: tmp_path / f"{last}.eta" for last in KILLED}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(out), str(last)],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'engine'}{os.pathsep}{ROOT / 'tests'}"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for last, out in outs.items()
    ]
    for child in children:
        told = child.communicate(timeout=120)[1]
        assert child.returncode == -signal.SIGKILL, told
    for last, out in outs.items():
        assert not out.exists() and checkpoint_path(out).exists()
        steps: list[int] = []
        bake(painted(), TINY, out, resume=True, progress=lambda s, t, x, to=steps: to.append(s))
        assert steps[0] == last, "it went on from the checkpoint before"
        assert out.read_bytes() == baked.read_bytes()
        assert not checkpoint_path(out).exists()


@pytest.mark.parametrize("pools", [1, 2, 3])
def test_stopped_and_resumed_equals_uninterrupted(baked: Path, tmp_path: Path, pools: int) -> None:
    out, calls = tmp_path / "x.eta", [0]

    def progress(step: int, total: int, loss: float) -> None:
        calls[0] += 1

    with pytest.raises(BakeStoppedError):
        bake(painted(), TINY, out, progress=progress, stop=lambda: calls[0] >= pools)
    assert [p.name for p in tmp_path.iterdir()] == ["x.eta.checkpoint"]
    bake(painted(), TINY, out, resume=True)
    assert out.read_bytes() == baked.read_bytes()


def test_resuming_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "x.eta"
    with pytest.raises(BakeStoppedError):
        bake(painted(), TINY, out, stop=lambda: True)
    saved = checkpoint_path(out).read_bytes()
    other = dataclasses.replace(TINY, seed=4, lr=0.5)
    with pytest.raises(InputError, match=r"got lr 0\.015, seed 0, expected lr 0\.5, seed 4"):
        bake(painted(), other, out, resume=True)
    changed = dataclasses.replace(painted(), source_hash="d" * 64)
    with pytest.raises(InputError, match="another material"):
        bake(changed, TINY, out, resume=True)
    assert checkpoint_path(out).read_bytes() == saved and not out.exists()


def test_constant_material_needs_one_texel(tmp_path: Path) -> None:
    artifact = bake(matte(), dataclasses.replace(TINY, steps=6), tmp_path / "x.eta")
    assert artifact.header["lod"]["resolution"] == 1
    assert artifact.tensors["latents"].shape == (1, 8)


def test_texture_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"painted: .*got 32 texels, expected 16"):
        fit_resolution(TINY, painted(32))


def test_planned_steps_are_whole_pools_and_grow_with_time() -> None:
    per_pool = TINY.pool * TINY.reuse
    least = plan_steps(plain(), TINY, 1e-6)
    more = plan_steps(plain(), TINY, 5.0)
    assert least == per_pool
    assert more % per_pool == 0 and more > 100 * per_pool


def test_checkpoints_are_written_no_more_often_than_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(
        baking.fit, "save_to", lambda path, identity: lambda fit: written.append(fit.step)
    )
    bake(matte(), TINY, tmp_path / "rare.eta", save_every_s=3600.0)
    assert written == [20], "only the finished fit"
    written.clear()
    bake(matte(), TINY, tmp_path / "often.eta", save_every_s=0.0)
    assert written == [6, 12, 18, 20]


def test_a_bake_that_is_all_encoder_still_has_latents(tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, steps=6, encoder_share=1.0)
    artifact = bake(painted(), settings, tmp_path / "x.eta")
    assert artifact.tensors["latents"].shape == (level_offsets(RESOLUTION)[-1], 8)
    assert not any(name.startswith("encoder") for name in artifact.tensors)


def test_a_taken_over_decoder_stays_as_it_is(tmp_path: Path) -> None:
    """Another material on the networks of the first: only its latents are fitted."""
    settings = dataclasses.replace(TINY, steps=180, texels=128, pairs=8, seed=5)
    source = bake(painted(), dataclasses.replace(settings, seed=1), tmp_path / "donor.eta")
    donor = donor_of(source)
    settings = dataclasses.replace(settings, arch="2x32", reciprocal=True)  # the donor's count
    found = bake(other_painted(), settings, tmp_path / "new.eta", decoder=donor)
    for name, value in source.tensors.items():
        if name.partition(".")[0] in ("frames", "evaluator", "sampler"):
            np.testing.assert_array_equal(found.tensors[name], value)
    assert not np.array_equal(found.tensors["latents"], source.tensors["latents"])
    assert found.header["arch"] == source.header["arch"]
    assert len(found.header["provenance"]["settings"]["decoder"]) == 64
    losses = [loss for _, loss in found.header["quality"]["history"]]
    assert losses[-1] < 0.6**0.5 * losses[0]  # 0.6 of the squared error
    again = bake(other_painted(), settings, tmp_path / "again.eta", decoder=donor)
    assert (tmp_path / "new.eta").read_bytes() == (tmp_path / "again.eta").read_bytes()
    assert again.header == found.header


def other_painted() -> LayeredMaterial:
    """`painted` with the colours of its texture reversed."""
    first = painted()
    texture = dataclasses.replace(first.texture, data=first.texture.data[::-1].copy())
    return dataclasses.replace(first, texture=texture, source_hash="d" * 64)
