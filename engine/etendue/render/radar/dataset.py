"""Data sets of people before a radar, in the folders of RT-Pose (Ho et al. 2024).

    Train.json, Test.json          {sequence: {frame: [{"Radar_frameID": .., "pose": [15][3]}]}}
    grid.json                      where the voxels are, what the values mean
    sequences/ID/radar/npy_DZYX_f16/000000.npy       float16 (speeds, z, y, x)
    sequences/ID/radar/npy_DZYX_complex/000000.npy   complex64, where asked for
    sequences/ID/camera/left/000000.png              where asked for
    sequences/ID/lidar/000000.npy                    float32 (points, 3), where asked for

Values are decibels above the thermal noise of a voxel, at least 0, the strongest of the speeds that
share a bin. Poses are in metres in the radar's frame (x ahead, y left, z up), of the middle of the
frame. No subject, clip or room is in both parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.render.job import Options, Watching, build_scene, prepare, sampled
from etendue.render.radar.cast import Pose, beams, cast
from etendue.render.radar.grid import Beamformer, Grid, beamformer, form
from etendue.render.radar.presets import LOOK, ROOM, SMALL
from etendue.render.radar.process import copies
from etendue.render.radar.sensor import Radar
from etendue.render.radar.setup import Setup
from etendue.render.radar.stage import Rig, frame_of, rig, stage_scene
from etendue.scene.people.body import KINDS, make_body
from etendue.scene.people.motion import Motion
from etendue.scene.people.sequences import Recording, divide
from etendue.scene.people.stage import Stage, make_stage

NOTE = "dataset.json"
RATE = 10.0  # frames per second
SHARE = 0.2  # of the sequences that are for testing
CLIPS = 4  # of curves for each kind of gesture
LIDAR = (512, 64)  # rays
PICTURE_SPP = 16
BLANK = 0.2  # s at the beginning and end of clips that frames keep away from
Progress = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """What a data set has in it."""

    sequences: int = 40
    frames: int = 16
    seed: int = 0
    speeds: int = 16  # bins that are kept
    motions: tuple[str, ...] = ()  # files, beside gestures from curves
    through_wall: float = 0.0  # share of the rooms with a wall before the radar
    bodies: str = "auto"
    complex_too: bool = False
    lidar: bool = False
    camera: tuple[int, int] | None = None  # pixels
    setup: Setup = field(default_factory=lambda: Setup(SMALL, LOOK))
    grid: Grid = ROOM

    def check(self) -> None:
        """Raise `InputError` for what cannot be."""
        for name, value, least in (
            ("--sequences", self.sequences, 2),
            ("--frames", self.frames, 1),
        ):
            if not least <= value <= 100_000:
                raise InputError(name, "is out of range", got=value, expected=f"{least}..100000")
        if not 0 <= self.through_wall <= 1:
            raise InputError("--through-wall", "is out of range", got=self.through_wall,
                             expected="0..1")  # fmt: skip
        if self.bodies not in KINDS:
            raise InputError("kind of body", "is unknown", got=self.bodies,
                             expected=", ".join(KINDS))  # fmt: skip
        loops = self.setup.radar.waveform.loops
        if self.speeds < 1 or loops % self.speeds:
            raise InputError("--speeds", "does not divide the radar's loops", got=self.speeds,
                             expected=f"a divisor of {loops}")  # fmt: skip

    def identity(self) -> str:
        """Of what is made; equal for equal data sets."""
        files = [hashlib.sha256(_bytes(m)).hexdigest() for m in self.motions]
        text = json.dumps([asdict(replace(self, motions=())), files], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _bytes(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InputError(file, f"cannot be read ({error.strerror})") from None


def generate(wish: Wish, folder: Path, progress: Progress) -> dict[str, Any]:
    """Make every frame that is not there yet; returns figures.

    A folder that holds another data set is an `InputError`. Interrupted, it goes on where it was,
    and ends with the same files.
    """
    wish.check()
    for clip in wish.motions:  # before anything is written
        _motion(wish, clip)
    _begin(wish, folder)
    beams_ = beamformer(wish.setup.radar, wish.grid)
    parts = recordings(wish)
    done, total = 0, sum(map(len, parts.values())) * wish.frames
    for name, part in parts.items():
        poses: dict[str, Any] = {}
        for recording in part:
            key = f"{recording.seed:04d}"
            stage = _stage(wish, recording)
            poses[key] = {}
            made: Rig | None = None
            for k in range(wish.frames):
                files = _files(wish, folder / "sequences" / key, k)
                if not all(file.is_file() for file in files.values()):
                    made = made or rig(stage, wish.setup)
                    _write(wish, made, beams_, k, recording.seed, files)
                joints = stage.joints(k / RATE) - stage.sensor
                poses[key][f"{k:06d}"] = [
                    {"Radar_frameID": f"{k:06d}", "pose": np.round(joints, 5).tolist()}
                ]
                done += 1
                progress(done, total)
        _json(folder / f"{name}.json", poses)
    _json(folder / "grid.json", describe(wish))
    return {"frames": total, **{name.lower(): len(part) for name, part in parts.items()}}


def recordings(wish: Wish) -> dict[str, list[Recording]]:
    """Who does what where: `Train` and `Test`, which share no subject, clip or room."""
    test = min(max(round(SHARE * wish.sequences), 1), wish.sequences - 1)
    pool = max(4, wish.sequences // 3)
    subjects, rooms = (divide(wish.seed + k, range(pool), SHARE) for k in (0, 2))
    clips = divide(wish.seed + 1, _clips(wish), SHARE)
    found: dict[str, list[Recording]] = {"Train": [], "Test": []}
    for number in range(wish.sequences):
        rng = np.random.default_rng([wish.seed, number])
        part = "Test" if number >= wish.sequences - test else "Train"
        subject, room = (_one(side[part == "Test"], rng) for side in (subjects, rooms))
        clip = _one(clips[part == "Test"], rng)
        found[part].append(
            Recording(number, subject, clip, room, float(rng.uniform()), _seconds(wish))
        )  # fmt: skip
    return found


def _one(items: list[T], rng: np.random.Generator) -> T:
    return items[int(rng.integers(len(items)))]


def _clips(wish: Wish) -> Sequence[str]:
    from etendue.scene.people import gestures

    return (*wish.motions, *(f"{kind}:{k}" for kind in gestures.KINDS for k in range(CLIPS)))


def _seconds(wish: Wish) -> float:
    """How much of a clip a recording needs."""
    return (wish.frames - 1) / RATE + 2 * BLANK


def _motion(wish: Wish, clip: str) -> Motion:
    from etendue.scene.people.gestures import gesture
    from etendue.scene.people.motion import load_motion

    if clip in wish.motions:
        motion = load_motion(clip)
    else:
        kind, _, number = clip.partition(":")
        motion = gesture(kind, wish.seed * CLIPS + int(number), _seconds(wish) + 2.0)
    needed = _seconds(wish)
    if motion.duration < needed:
        raise InputError(clip, "is too short", got=f"{motion.duration:.2f} s",
                         expected=f"{needed:.2f} s", fix="Ask for fewer --frames")  # fmt: skip
    return motion


def _stage(wish: Wish, recording: Recording) -> Stage:
    """`recording.start` is the part of the clip's free time that passes before."""
    seconds, motion = recording.seconds, _motion(wish, recording.clip)
    body = make_body(wish.seed * 100_003 + recording.subject, wish.bodies)
    free = motion.duration - seconds
    walled = np.random.default_rng([wish.seed, recording.room]).uniform() < wish.through_wall
    stage = make_stage(
        wish.seed * 100_003 + recording.seed, body, motion, recording.room,
        start=recording.start * free, seconds=seconds, through_wall=bool(walled),
    )  # fmt: skip
    return replace(stage, start=stage.start + BLANK)


def _files(wish: Wish, folder: Path, k: int) -> dict[str, Path]:
    name = f"{k:06d}"
    found = {"radar": folder / "radar" / "npy_DZYX_f16" / f"{name}.npy"}
    if wish.complex_too:
        found["complex"] = folder / "radar" / "npy_DZYX_complex" / f"{name}.npy"
    if wish.lidar:
        found["lidar"] = folder / "lidar" / f"{name}.npy"
    if wish.camera:
        found["camera"] = folder / "camera" / "left" / f"{name}.png"
    return found


def _write(
    wish: Wish, rigged: Rig, beams_: Beamformer, k: int, number: int, files: dict[str, Path]
) -> None:
    seed = int(np.random.SeedSequence([wish.seed, number, k]).generate_state(1)[0])
    frame = frame_of(rigged, k / RATE, seed)
    values = form(beams_, frame.adc)
    for name, path in files.items():
        if name == "camera":
            _photograph(rigged.stage, k / RATE, wish.camera or (0, 0), path, seed % (1 << 31))
            continue
        with atomic_path(path) as temporary:
            if name == "radar":
                np.save(temporary, decibels(wish.setup.radar, values, wish.speeds))
            elif name == "complex":
                np.save(temporary, values)
            else:
                np.save(temporary, _points(rigged, k / RATE))


def noise_floor(radar: Radar) -> float:
    """Root mean square of a voxel's value when there is thermal noise alone."""
    wave = radar.waveform
    hann = 3 / 8
    antennas = float(np.square(copies(radar.array.virtual().reshape(-1, 2))).sum())
    return radar.link.noise(wave.rate) * np.sqrt(hann**2 / wave.samples / wave.loops * antennas)


def decibels(radar: Radar, values: np.ndarray, speeds: int) -> np.ndarray:
    """float16 (speeds, z, y, x): dB above noise, at least 0; the strongest of several speeds."""
    power = np.square(np.abs(values))
    power = power.reshape(speeds, -1, *power.shape[1:]).max(1)
    level = 10 * np.log10(np.maximum(power, 1e-60)) - 20 * np.log10(noise_floor(radar))
    return np.maximum(level, 0).astype(np.float16)


def _points(rigged: Rig, time: float) -> np.ndarray:
    """What a lidar in the radar's place sees (n, 3), without noise, in its frame."""
    stage = rigged.stage
    rays = beams(LIDAR, 60.0, 35.0).directions
    pose = Pose(np.array(stage.sensor, float))
    hits = cast(stage_scene(rigged, stage.person(time)), pose, np.zeros_like(rays), rays, {})
    return hits.track.places[np.isfinite(hits.distance)].astype(np.float32)


def _photograph(stage: Stage, time: float, size: tuple[int, int], path: Path, seed: int) -> None:
    options = Options(spp=PICTURE_SPP, seed=seed, size=size, backend="drjit")
    variant, _ = prepare(options, lambda text: None)
    scene = stage.scene(time)
    built = build_scene(scene, options, variant, lambda text: None)
    film = sampled("drjit", scene, built, options, Watching())
    if film.interrupted:
        raise KeyboardInterrupt
    film.save(path)


def describe(wish: Wish) -> dict[str, Any]:
    """`grid.json`."""
    wave, grid = wish.setup.radar.waveform, wish.grid
    return {
        "minimum": list(grid.minimum), "voxel": list(grid.voxel),
        "shape": [wish.speeds, *grid.shape], "axes": ["speed", "z", "y", "x"],
        "speed": wish.setup.radar.speed_bin * wave.loops / wish.speeds,
        "unit": "dB above thermal noise",
    }  # fmt: skip


def _begin(wish: Wish, folder: Path) -> None:
    """Leave a note in the folder, unless there is one that says the same."""
    note, identity = folder / NOTE, wish.identity()
    if note.is_file():
        try:
            before = json.loads(note.read_text(encoding="utf-8")).get("identity")
        except (ValueError, AttributeError):
            before = None
        if before != identity:
            raise InputError(folder, "holds another data set", fix="Choose a new folder")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, "is not an empty folder", fix="Choose a new folder")
    record = asdict(replace(wish, motions=tuple(Path(m).name for m in wish.motions)))
    _json(note, {"identity": identity, "wish": record})


def _json(path: Path, value: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")
