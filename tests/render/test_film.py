"""Statistics of a film and what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.image import read_image, read_linear, read_parts
from etendue.render.film import Accumulator, Film


def made_of(samples: np.ndarray, group: int = 4) -> Film:
    """Film of (pixels, spp, 3) samples, handed over in two passes."""
    pixels, spp, _ = samples.shape
    sums = Accumulator(2, pixels // 2)
    both = np.concatenate([samples, samples**2], -1).reshape(pixels, spp // group, group, 6).sum(2)
    sums.add(0, both[:, :1], group, 0)
    sums.add(0, both[:, 1:], spp - group, 0)
    return sums.film(spp, 7, {"depth": np.ones((2, pixels // 2), np.float32)}, {"max_depth": 5})


@pytest.fixture
def samples() -> np.ndarray:
    """Radiance samples of six pixels."""
    return np.random.default_rng(0).gamma(2.0, size=(6, 16, 3))


def test_mean_and_variance(samples: np.ndarray) -> None:
    film = made_of(samples)
    np.testing.assert_allclose(film.rgb.reshape(6, 3), samples.mean(1), rtol=1e-6)
    expected = samples.var(1, ddof=1) / 16
    np.testing.assert_allclose(film.variance().reshape(6, 3), expected, rtol=1e-5)
    assert film.complete and film.spp == 16 and film.rgb.dtype == np.float32


def test_one_sample_has_unknown_variance() -> None:
    sums = Accumulator(1, 1)
    sums.add(0, np.ones((1, 1, 6)), 1, 0)
    assert np.isinf(sums.film(1, 0).variance()).all()


def test_unfinished_film() -> None:
    sums = Accumulator(1, 2)
    sums.add(0, np.ones((1, 1, 6)), 1, 0)
    film = sums.film(4, 0)
    assert film.interrupted and film.spp == 0
    assert (film.rgb[0, 1] == 0).all() and (film.rgb[0, 0] == 1).all()


def test_exr_holds_parts_and_metadata(samples: np.ndarray, tmp_path: Path) -> None:
    import OpenImageIO

    path, film = tmp_path / "a.exr", made_of(samples)
    film.save(path)
    parts = read_parts(path)
    assert list(parts) == ["rgb", "depth"]
    np.testing.assert_array_equal(parts["rgb"], film.rgb)
    spec = OpenImageIO.ImageInput.open(str(path)).spec()
    assert spec.getattribute("etendue:spp") == 16 and spec.getattribute("etendue:seed") == 7
    assert spec.getattribute("etendue:max_depth") == 5
    film.save(tmp_path / "b.exr")
    assert path.read_bytes() == (tmp_path / "b.exr").read_bytes()


def test_png_is_encoded(samples: np.ndarray, tmp_path: Path) -> None:
    made_of(samples * 0.05).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (2, 3, 3) and image.mean() > samples.mean() * 0.05


def test_other_suffixes_are_refused(samples: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown image format"):
        made_of(samples).save(tmp_path / "a.bmp")
    assert not list(tmp_path.iterdir())


def test_parts_have_the_channels_that_compositors_look_for(tmp_path: Path) -> None:
    import OpenImageIO

    from etendue.render.film import EXR_CHANNELS

    sizes = {name: (4, 6, len(channels)) for name, channels in EXR_CHANNELS.items()}
    aovs = {name: np.full(size, 0.5, np.float32) for name, size in sizes.items()}
    rgb = np.ones((4, 6, 3), np.float32)
    matrix = tuple(float(x) for x in range(16))
    film = Film(
        rgb, rgb.astype(float), np.ones((4, 6), int), 1, 0, aovs,
        place=(3, 2, 20, 10), world_to_camera=matrix,
    )  # fmt: skip
    film.save(tmp_path / "a.exr")
    source, found = OpenImageIO.ImageInput.open(str(tmp_path / "a.exr")), {}
    while source.seek_subimage(len(found), 0):
        spec = source.spec()
        found[spec.get_string_attribute("oiio:subimagename")] = tuple(spec.channelnames)
        assert (spec.x, spec.y, spec.full_width, spec.full_height) == (3, 2, 20, 10)
        assert spec.getattribute("worldToCamera") == pytest.approx(matrix)
    assert found == {"rgb": ("R", "G", "B"), **EXR_CHANNELS}
    np.testing.assert_array_equal(read_parts(tmp_path / "a.exr")["motion"], aovs["motion"])


def test_world_to_camera_puts_depth_on_z() -> None:
    from etendue.device.drjit import activate
    from etendue.render.path.camera_rays import world_to_camera

    mi = activate()
    look = mi.ScalarTransform4f().look_at([1, 2, 5], [0, 0.5, 0], [0, 1, 0])
    sensor = mi.load_dict({"type": "perspective", "to_world": look})
    matrix = np.array(world_to_camera(sensor)).reshape(4, 4)
    forward = np.array([-1, -1.5, -5]) / np.linalg.norm([1, 1.5, 5])
    ahead, aside = (
        np.array([1, 2, 5]) + 3 * forward,
        np.array([1, 2, 5]) + np.cross(forward, [0, 1, 0]),
    )
    np.testing.assert_allclose(np.append(ahead, 1) @ matrix, [0, 0, 3, 1], atol=1e-5)
    assert (np.append(aside, 1) @ matrix)[0] > 0.9  # x points right


def test_colours_in_acescg_are_stated_and_the_rest_is_left_alone(
    samples: np.ndarray, tmp_path: Path
) -> None:
    film = made_of(samples)
    film.save(tmp_path / "plain.exr")
    film.save(tmp_path / "aces.exr", "acescg")
    plain, aces = (read_parts(tmp_path / f"{name}.exr") for name in ("plain", "aces"))
    np.testing.assert_array_equal(aces["depth"], plain["depth"])
    assert np.abs(aces["rgb"] - plain["rgb"]).max() > 0.05
    np.testing.assert_allclose(read_linear(tmp_path / "aces.exr"), plain["rgb"], atol=1e-5)
    film.save(tmp_path / "again.exr", "rec709")
    assert (tmp_path / "again.exr").read_bytes() == (tmp_path / "plain.exr").read_bytes()
