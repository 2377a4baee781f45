"""Image reading and writing: round trips, determinism, one clear error per kind of damage."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from etendue.core.color import (
    ACESCG,
    REC709,
    convert_primaries,
    linear_to_srgb,
    rgb_to_xyz,
)
from etendue.core.errors import InputError
from etendue.core.image import (
    read_image,
    read_linear,
    read_metadata,
    read_parts,
    require_finite,
    write_bytes_image,
    write_exr,
    write_png,
)


def _rgb(height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(height, width, 3)).astype(np.float32)


def test_exr_parts_round_trip_bit_exact(tmp_path: Path) -> None:
    parts = {"rgb": _rgb(), "depth": _rgb()[..., 0], "uv": _rgb()[..., :2]}
    write_exr(tmp_path / "a.exr", parts, {"spp": 16, "note": "x"})
    back = read_parts(tmp_path / "a.exr")
    assert list(back) == ["rgb", "depth", "uv"]
    np.testing.assert_array_equal(back["rgb"], parts["rgb"])
    np.testing.assert_array_equal(back["depth"][..., 0], parts["depth"])
    np.testing.assert_array_equal(back["uv"], parts["uv"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.exr"), parts["rgb"])


def test_exr_bytes_carry_no_clock(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", {"rgb": _rgb()})
    assert b"1970:01:01 00:00:00" in (tmp_path / "a.exr").read_bytes()


def test_row_zero_is_the_top(tmp_path: Path) -> None:
    """A hand-made PNG stores its top row first; so must the array."""
    rows = b"\x00\xff\xff\x00" + b"\x00\x00\x00\xff"  # filter byte, then three grey values
    (tmp_path / "a.png").write_bytes(_png(3, 2, 0, zlib.compress(rows)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], [[1, 1, 0], [0, 0, 1]])


def test_png_is_srgb_encoded_and_alpha_is_not(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).random((8, 9, 4)).astype(np.float32)
    write_png(tmp_path / "a.png", pixels)
    back = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(
        back[..., :3], linear_to_srgb(pixels[..., :3]), atol=0.5 / 255 + 1e-6
    )
    np.testing.assert_allclose(back[..., 3], pixels[..., 3], atol=0.5 / 255 + 1e-6)
    write_png(tmp_path / "b.png", pixels[..., :1], encode=False)
    np.testing.assert_allclose(
        read_image(tmp_path / "b.png"), pixels[..., :1], atol=0.5 / 255 + 1e-6
    )


def test_png_clips_and_rejects_nan(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.array([[[-1.0, 0.0, 9.0]]]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[0, 0, 1]]])
    with pytest.raises(InputError, match="NaN"):
        write_png(tmp_path / "b.png", np.array([[[np.nan, 0.0, 0.0]]]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


def test_jpeg(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (64, 1, 3))
    write_bytes_image(tmp_path / "a.jpg", ramp, 95)
    assert np.abs(read_image(tmp_path / "a.jpg") - ramp / 255.0).max() < 0.02


def test_require_finite_counts() -> None:
    array = np.zeros((2, 3), np.float32)
    assert require_finite("x", array) is array
    array[1, 2] = np.inf
    with pytest.raises(InputError, match=r"got 1 of 6, the first at \(1, 2\)"):
        require_finite("x", array)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4, 5), (4,)])
def test_unstorable_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="cannot store"):
        write_exr(tmp_path / "a.exr", {"rgb": np.zeros(shape)})
    with pytest.raises(InputError, match="cannot store"):
        write_png(tmp_path / "a.png", np.zeros(shape))
    assert not list(tmp_path.iterdir())


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, colour: int, data: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.exr", b""),
        ("noise.png", b"\x89PNG\r\n\x1a\n" + b"x" * 60),
        ("text.jpg", b"hello"),
        ("zero.png", _png(0, 0, 2, zlib.compress(b""))),
        ("huge.png", _png(60000, 60000, 2, zlib.compress(b""))),
        ("short.png", _png(3, 2, 0, zlib.compress(b"\x00\xff"))),
    ],
)
def test_damaged_images(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_image(tmp_path / name)


def test_truncated_exr(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", {"rgb": _rgb(64, 64)})
    data = (tmp_path / "a.exr").read_bytes()
    (tmp_path / "b.exr").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"b\.exr"):
        read_image(tmp_path / "b.exr")


@pytest.mark.parametrize("byte", [0x80, 0xFF, 0xC3])
def test_names_in_a_file_that_are_no_text(tmp_path: Path, byte: int) -> None:
    """Wherever such a byte stands in the header, the file is read or refused."""
    path = tmp_path / "a.exr"
    write_exr(path, {"rgb": np.ones((2, 3, 3), np.float32)}, {"etendue:name": "abc"})
    whole = path.read_bytes()
    header = min(len(whole), 600)
    for at in range(8, header):
        path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        with suppress(InputError):
            read_parts(path)
        assert isinstance(read_metadata(path), dict)


def test_missing_image_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such image file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(InputError):
        write_exr(tmp_path, {"rgb": _rgb()})


def test_other_primaries_are_converted_when_read_as_linear(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.exr", np.abs(_rgb())
    write_exr(path, {"rgb": convert_primaries(pixels, REC709, ACESCG)}, primaries=ACESCG)
    stated = read_metadata(path, "chromaticities")[""]
    np.testing.assert_allclose(stated, ACESCG, rtol=1e-6)
    np.testing.assert_allclose(read_linear(path), pixels, atol=1e-5)
    assert not np.allclose(read_image(path), pixels, atol=0.01)  # values as stored
    write_exr(tmp_path / "plain.exr", {"rgb": pixels})
    assert read_metadata(tmp_path / "plain.exr", "chromaticities") == {}
    np.testing.assert_array_equal(read_linear(tmp_path / "plain.exr"), pixels)


def test_mitsuba_reads_the_same_colours(tmp_path: Path) -> None:
    """Its reader of EXR files converts as well, but does not adapt to the white point."""
    import mitsuba as mi

    mi.set_variant("scalar_rgb")
    path, pixels = tmp_path / "a.exr", np.abs(_rgb())
    write_exr(path, {"rgb": pixels}, primaries=ACESCG)
    expected = pixels @ (np.linalg.inv(rgb_to_xyz(REC709)) @ rgb_to_xyz(ACESCG)).T
    np.testing.assert_allclose(np.array(mi.Bitmap(str(path))), expected, atol=5e-3)


def test_impossible_chromaticities_are_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    write_exr(path, {"rgb": _rgb()}, primaries=(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3))
    with pytest.raises(InputError, match="impossible chromaticities"):
        read_linear(path)
