"""People before a radar: frames of stages, data sets, and what is kept when they are cut short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from etendue.cli import main
from etendue.core.errors import InputError
from etendue.render.radar.dataset import Wish, decibels, generate, noise_floor, recordings
from etendue.render.radar.grid import Grid, beamformer, form
from etendue.render.radar.presets import LOOK, SMALL
from etendue.render.radar.scatter import Casting
from etendue.render.radar.setup import Setup
from etendue.render.radar.signal import noise
from etendue.render.radar.stage import frame_of, rig
from etendue.scene.people.body import make_body
from etendue.scene.people.gestures import gesture
from etendue.scene.people.stage import make_stage

FEW = Setup(SMALL, Casting((96, 48), 100.0, 70.0, layers=1, most=500))
GRID = Grid((-1.1, -3.2, 0.6), (0.6, 0.4, 0.2), (4, 16, 32))
TINY = Wish(sequences=4, frames=2, seed=3, bodies="capsules", setup=FEW, grid=GRID)


def silent(done: int, total: int) -> None:
    pass


def test_the_person_moves_and_the_room_does_not() -> None:
    """Speeds of scatterers at the person are those of the nearest joints, roughly."""
    stage = make_stage(5, make_body(2, "capsules"), gesture("walk", 1, 4.0))
    made = rig(stage, Setup(SMALL, replace(LOOK, most=10**6)))
    points = frame_of(made, 1.0, 0).points
    speed = np.linalg.norm(points.there.velocities, axis=1)
    joints = stage.joints(1.0) - stage.sensor
    gap = np.linalg.norm(points.there.places[:, None] - joints, axis=-1).min(1)
    assert (gap[speed > 1e-3] < 0.35).all() and (speed > 1e-3).sum() > 50
    moving = (stage.joints(1.05) - stage.joints(0.95)) / 0.1
    pelvis = np.linalg.norm(points.there.places - joints[0], axis=1) < 0.25
    assert pelvis.any()
    mean = points.there.velocities[pelvis].mean(0)
    assert np.linalg.norm(mean - moving[0]) < 0.3


def test_noise_alone_is_at_zero_decibels() -> None:
    """Mean power of voxels 1; `decibels` takes the strongest of two speeds."""
    frame = noise(SMALL, SMALL.link.noise(SMALL.waveform.rate), 0)
    values = form(beamformer(SMALL, GRID), frame) / noise_floor(SMALL)
    power = np.square(np.abs(values))
    assert 0.5 < power.mean() <= 1.05, "between range bins the mean of both has less noise"
    level = decibels(SMALL, values * noise_floor(SMALL), 16)
    assert level.dtype == np.float16 and level.shape == (16, *GRID.shape)
    pairs = power.reshape(16, 2, *GRID.shape).max(1)
    wanted = np.maximum(10 * np.log10(pairs), 0)
    np.testing.assert_allclose(level.astype(float), wanted, atol=0.02)


def test_no_subject_clip_or_room_is_in_both_parts() -> None:
    parts = recordings(Wish(sequences=60, seed=1))
    assert len(parts["Train"]) == 48 and len(parts["Test"]) == 12
    for name in ("subject", "clip", "room"):
        sides = [{getattr(r, name) for r in part} for part in parts.values()]
        assert sides[0].isdisjoint(sides[1]), name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "people"
    assert generate(TINY, folder, silent) == {"frames": 8, "train": 3, "test": 1}
    return folder


def test_a_set_has_frames_and_exact_poses(made: Path) -> None:
    grid = json.loads((made / "grid.json").read_text())
    assert grid["shape"] == [16, 4, 16, 32] and grid["unit"] == "dB above thermal noise"
    train = json.loads((made / "Train.json").read_text())
    assert list(train) == ["0000", "0001", "0002"]
    for sequence, frames in train.items():
        for name, people in frames.items():
            path = made / "sequences" / sequence / "radar" / "npy_DZYX_f16" / f"{name}.npy"
            values = np.load(path)
            assert values.shape == (16, 4, 16, 32) and values.dtype == np.float16
            assert people[0]["Radar_frameID"] == name
            pose = np.array(people[0]["pose"])
            assert pose.shape == (15, 3) and 1 < pose[0, 0] < 7
            assert values.max() > 20, "somebody is there"


def test_cut_short_and_gone_on_with_it_is_the_same_set(made: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StopError

    folder = tmp_path / "again"
    with pytest.raises(StopError):
        generate(TINY, folder, stop)
    assert not (folder / "Train.json").exists()
    generate(TINY, folder, silent)
    names = sorted(p.relative_to(made) for p in made.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    for name in names:
        assert (folder / name).read_bytes() == (made / name).read_bytes(), name


def test_other_sets_are_left_alone(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds another data set"):
        generate(replace(TINY, seed=4), made, silent)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(InputError, match="is not an empty folder"):
        generate(TINY, tmp_path, silent)


def test_a_clip_that_is_too_short_leaves_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "short.txt"
    turn = [1.0, 0, 0, 0]
    leg_and_arm = [*turn, 0.0, *turn, *turn, 0.0]
    frame = [0.1, 0, 0.9, 0, *turn * 3, *leg_and_arm * 2]
    clip.write_text(json.dumps({"Loop": "none", "Frames": [frame] * 3}))
    with pytest.raises(InputError, match=r"short\.txt: is too short"):
        generate(replace(TINY, frames=40, motions=(str(clip),)), tmp_path / "a", silent)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--sequences", "1"], "--sequences: is out of range; got 1"),
        (["--speeds", "5"], "--speeds: does not divide the radar's loops; got 5"),
        (["--through-wall", "2"], "--through-wall: is out of range"),
        (["--bodies", "giants"], "kind of body: is unknown; got giants"),
        (["--motion", "none.bvh"], "none.bvh"),
    ],
)
def test_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], told: str
) -> None:
    assert main(["radar", "dataset", "-o", str(tmp_path / "a"), "-q", *args]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert not (tmp_path / "a").exists()
