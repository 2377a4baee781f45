"""Frames of a radar on disk, and the whole way from a scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.device.drjit import activate
from etendue.render.radar.cast import Pose
from etendue.render.radar.file import read_adc, write_frame
from etendue.render.radar.frame import Frame, look_from, simulate
from etendue.render.radar.picture import maps
from etendue.render.radar.process import range_doppler
from etendue.render.radar.scatter import Casting
from etendue.render.radar.sensor import Radar, Waveform
from etendue.render.radar.setup import Setup, load_setup

SMALL = Radar(Waveform(samples=64, loops=8))
SETUP = Setup(SMALL, Casting((120, 60)))


@pytest.fixture(scope="module")
def frame() -> Frame:
    ball = {"type": "sphere", "center": [3, 0.5, 0.2], "radius": 0.2}
    scene = activate().load_dict({"type": "scene", "metal": ball})
    return simulate(look_from(scene, SETUP, Pose()), SETUP, seed=3)


def test_a_frame_shows_the_ball(frame: Frame) -> None:
    seen = np.square(np.abs(range_doppler(SMALL, frame.adc))).mean((1, 2))
    speed, distance = np.unravel_index(np.argmax(seen), seen.shape)
    assert speed == 4, "it stands still"
    nearest = np.linalg.norm([3, 0.5, 0.2]) - 0.2
    assert abs(distance - nearest / SMALL.waveform.range_bin) < 1
    quiet = np.median(seen)
    noise = SMALL.link.noise(SMALL.waveform.rate)
    assert quiet == pytest.approx(noise**2 * (3 / 8) ** 2 / (64 * 8), rel=0.5)


def test_the_same_seed_is_the_same_frame(frame: Frame) -> None:
    ball = {"type": "sphere", "center": [3, 0.5, 0.2], "radius": 0.2}
    scene = activate().load_dict({"type": "scene", "metal": ball})
    again = simulate(look_from(scene, SETUP, Pose()), SETUP, seed=3)
    np.testing.assert_array_equal(again.adc, frame.adc)
    other = simulate(look_from(scene, SETUP, Pose()), SETUP, seed=4)
    assert not np.array_equal(other.adc, frame.adc)
    np.testing.assert_array_equal(other.points.amplitudes, frame.points.amplitudes)


def test_a_moving_ball_is_where_it_is_in_the_middle(frame: Frame) -> None:
    setup = replace(SETUP, motion={})
    ball = {"type": "sphere", "center": [3, 0, 0], "radius": 0.2}
    scene = activate().load_dict({"type": "scene", "metal": ball})
    from etendue.render.radar.cast import Rigid

    fast = replace(setup, motion={"metal": Rigid((1.2, 0, 0))})
    made = simulate(look_from(scene, fast, Pose()), fast)
    seen = np.square(np.abs(range_doppler(SMALL, made.adc))).mean((1, 2)).sum(0)
    k = int(np.argmax(seen))
    a, b, c = np.log(seen[k - 1 : k + 2])
    # A chirp's motion shifts the beat by f0 2 v / c, as radars have it
    shift = 2 * 1.2 * SMALL.waveform.centre / SMALL.waveform.slope / 2
    wanted = (2.8 + shift) / SMALL.waveform.range_bin
    assert k + 0.5 * (a - c) / (a - 2 * b + c) == pytest.approx(wanted, abs=0.2)


def test_round_trip(frame: Frame, tmp_path: Path) -> None:
    path = tmp_path / "frame.h5"
    write_frame(path, frame, ("adc", "points", "tensor"))
    radar, adc = read_adc(path)
    assert radar == SMALL
    np.testing.assert_array_equal(adc, frame.adc)
    with h5py.File(path) as file:
        tensor = file["tensor"]
        assert isinstance(tensor, h5py.Dataset)
        assert tensor.shape == (8, 64, 128, 32)
        assert np.asarray(tensor.attrs["axes"]).tolist() == ["speed", "range", "u", "v"]
        assert np.asarray(file["axes/tensor/azimuth"]).shape == (128, 32)
        assert len(np.asarray(file["points/places"])) == len(frame.points.amplitudes)
    write_frame(tmp_path / "frame.npy", frame)
    np.testing.assert_array_equal(np.load(tmp_path / "frame.npy"), frame.adc)
    write_frame(tmp_path / "frame.png", frame)
    assert (tmp_path / "frame.png").read_bytes()[:4] == b"\x89PNG"
    found, axes = maps(SMALL, frame.adc)
    assert found["floor"].shape == (64, 128) and found["speed"].shape == (8, len(axes["range"]))


def test_damaged_files(frame: Frame, tmp_path: Path) -> None:
    path = tmp_path / "frame.h5"
    write_frame(path, frame, ("adc",))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is no sound radar frame"):
        read_adc(path)
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        file["adc"][0, 0, 0, 0] = np.nan  # type: ignore[index]
    with pytest.raises(InputError, match="frame: holds NaN"):
        read_adc(path)
    with h5py.File(path, "a") as file:
        del file["adc"]
        file["adc"] = frame.adc[:, :5]
    with pytest.raises(InputError, match="frame: has another shape"):
        read_adc(path)
    with h5py.File(path, "a") as file:
        file.attrs["kind"] = "other"
    with pytest.raises(InputError, match="is no radar frame; got other"):
        read_adc(path)
    with pytest.raises(InputError, match=r"takes no radar frame; got \.txt"):
        write_frame(tmp_path / "frame.txt", frame)
    with pytest.raises(InputError, match="is no part of a radar frame; got depth"):
        write_frame(path, frame, ("depth",))


def test_a_set_up_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "radar.toml"
    path.write_text(
        "[link]\npower_dbm = -3\n[cast]\nbounces = 1\nrays = [10, 20]\n"
        "[materials.oak]\npermittivity = 2.1\nroughness = 0.0002\n"
        "[materials.brick]\nroughness = 0.001\n"
        '[shapes]\n"Table*" = "oak"\n[motion.Ball]\nvelocity = [0.5, 0, -1]\n'
    )
    setup = load_setup(path)
    assert setup.radar.link.power_dbm == -3 and setup.casting.rays == (10, 20)
    assert setup.casting.bounces == 1 and setup.motion["Ball"].velocity == (0.5, 0, -1)
    assert setup.materials["oak"].permittivity == 2.1
    assert setup.materials["brick"].permittivity == 3.75
    assert setup.shapes == {"Table*": "oak"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cast]\nbounces = 2", "cast.bounces: is out of range; got 2"),
        ("[cast]\nrays = [0, 5]", "cast.rays: is out of range"),
        ("[materials.oak]\nroughness = 1", "materials.oak: has no permittivity"),
        ("[materials.oak]\npermittivity = 0.5", "permittivity: is out of range; got 0.5"),
        ("[materials.oak]\npermittivity = 2\nopaque = 1", "opaque: is no yes or no"),
        ("[materials.oak]\ncolor = 2", "materials.oak: has no such entry; got color"),
        ('[shapes]\nTable = "oak"', "shapes.Table: is no known material; got oak"),
        ("[motion.Ball]\nvelocity = [1, 2]", "motion.Ball.velocity: is out of range"),
        ("[waveform]\nsamples = 1000", "waveform.period: is shorter than its samples take"),
    ],
)
def test_set_ups_that_are_none(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "radar.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_setup(path)
    assert told in str(caught.value) and "radar.toml" in str(caught.value)
