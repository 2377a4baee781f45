"""Frames of a radar on disk: HDF5 with all of them, npy with the samples, or a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError, InputError
from etendue.core.files import atomic_path
from etendue.render.radar.frame import Frame
from etendue.render.radar.grid import REGION, beamformer, form
from etendue.render.radar.link import Link
from etendue.render.radar.process import require_frame, tensor
from etendue.render.radar.reference import reference_tensor
from etendue.render.radar.sensor import Array, Radar, Waveform

SUFFIXES = (".h5", ".npy", ".png")
PARTS = ("adc", "points", "tensor", "grid", "reference")
KIND = "etendue radar frame 1"


def write_frame(path: Path, frame: Frame, parts: tuple[str, ...] = ("adc", "points")) -> None:
    """Write a frame; `parts` are those of an .h5 file, see `PARTS`.

    Raises `InputError` for unknown parts and suffixes, `DeviceError` without h5py.
    """
    check_parts(path, parts)
    if path.suffix.lower() == ".npy":
        with atomic_path(path) as temporary:
            np.save(temporary, frame.adc, allow_pickle=False)
    elif path.suffix.lower() == ".png":
        from etendue.render.radar.picture import draw

        draw(path, frame.radar, frame.adc)
    else:
        _write_h5(path, frame, parts)


def check_parts(path: Path, parts: tuple[str, ...]) -> None:
    """Find out before simulating whether a frame can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(path, "takes no radar frame",
                         got=path.suffix or "none", expected=" or ".join(SUFFIXES))  # fmt: skip
    for part in parts:
        if part not in PARTS:
            raise InputError("--aov", "is no part of a radar frame", got=part,
                             expected=", ".join(PARTS))  # fmt: skip
    if path.suffix.lower() == ".h5":
        _h5py()


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise DeviceError("h5py", "is not installed", fix="pip install 'etendue[radar]'") from None
    return h5py


def _write_h5(path: Path, frame: Frame, parts: tuple[str, ...]) -> None:
    with atomic_path(path) as temporary, _h5py().File(temporary, "w") as file:
        file.attrs["kind"] = KIND
        file.attrs["radar"] = json.dumps(asdict(frame.radar))
        for part in parts:
            values, names, more = _part(part, frame)
            for name, value in values.items():
                file.create_dataset(f"{part}/{name}" if name else part, data=value)
            if names:
                file[part].attrs["axes"] = names
            for name, value in more.items():
                file.create_dataset(f"axes/{part}/{name}", data=value)


Part = tuple[Mapping[str, np.ndarray], tuple[str, ...], Mapping[str, np.ndarray]]


def _part(name: str, frame: Frame) -> Part:
    """Data sets, names of the axes, and what these mean."""
    if name == "adc":
        return {"": frame.adc}, ("loop", "transmitter", "receiver", "sample"), {}
    if name == "points":
        points = frame.points
        back = points.back or points.there
        values = {"places": points.there.places, "velocities": points.there.velocities,
                  "accelerations": points.there.accelerations, "amplitudes": points.amplitudes,
                  "places_back": back.places}  # fmt: skip
        return values, (), {}
    if name == "tensor":
        made = tensor(frame.radar, frame.adc)
        more = {"speed": made.speeds, "range": made.ranges, "u": made.u, "v": made.v,
                "azimuth": made.azimuth(), "elevation": made.elevation()}  # fmt: skip
        return {"": made.values}, ("speed", "range", "u", "v"), more
    if name == "grid":
        values = form(beamformer(frame.radar, REGION), frame.adc)
        return {"": values}, ("speed", "z", "y", "x"), dict(zip("zyx", REGION.axes(), strict=True))
    made = reference_tensor(frame.radar, frame.adc)
    return {"": made}, ("speed", "range", "azimuth", "elevation"), {}


def read_adc(path: Path) -> tuple[Radar, np.ndarray]:
    """Radar and samples of an .h5 file; `InputError` for what is damaged or no frame."""
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("kind") != KIND:
                raise InputError(path, "is no radar frame", got=file.attrs.get("kind"))
            radar = _radar(json.loads(file.attrs["radar"]))
            adc = np.asarray(file["adc"])
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(path, f"is no sound radar frame ({error})") from None
    require_frame(radar, adc)
    return radar, adc


def _radar(record: dict[str, Any]) -> Radar:
    array = record["array"]
    tx, rx = (tuple((y, z) for y, z in array[key]) for key in ("transmitters", "receivers"))
    return Radar(
        Waveform(**record["waveform"]), Array(tx, rx, array["spacing"]), Link(**record["link"])
    )
