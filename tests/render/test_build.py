"""Scenes from files to Mitsuba: resources, replacements, film, defaults, readable errors."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.image import write_png
from etendue.render.build import BuiltScene, build
from etendue.scene.scene import load_scene

ROOT = Path(__file__).parents[2]
DATA = ROOT / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared test data is absent")


def xml(tmp_path: Path, body: str, version: str = "3.0.0") -> Path:
    path = tmp_path / "scene.xml"
    path.write_text(f'<scene version="{version}">\n{body}\n</scene>')
    return path


def render(built: BuiltScene, spp: int = 4) -> np.ndarray:
    import mitsuba as mi

    return np.array(mi.render(built.mi_scene, spp=spp, seed=1))


def test_an_empty_scene_gets_camera_light_and_size(tmp_path: Path) -> None:
    built = build(load_scene(xml(tmp_path, '<shape type="sphere" id="S"/>')))
    assert built.shapes == ("S",) and built.size == (640, 480)
    assert (built.max_depth, built.spp) == (8, 64)
    assert len(built.notes) == 2
    small = build(load_scene(xml(tmp_path, '<shape type="sphere"/>')), size=(32, 24))
    image = render(small, 16)
    assert image.shape[:2] == (24, 32)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    middle = image[8:16, 12:20].reshape(-1, image.shape[2])
    assert border.mean() > 0.05 and abs(middle.mean() - border.mean()) > 0.02


def test_the_film_follows_size_crop_and_box(tmp_path: Path) -> None:
    body = """<shape type="sphere"/><sensor type="perspective" id="a"/>
    <sensor type="perspective" id="b"><film type="hdrfilm"><integer name="width" value="50"/>
    <integer name="height" value="40"/><integer name="crop_width" value="10"/>
    <rfilter type="gaussian"/></film></sensor>"""
    scene = load_scene(xml(tmp_path, body))
    assert build(scene).size == (768, 576)
    built = build(scene, camera="b")
    film = built.mi_scene.sensors()[0].film()
    assert len(built.mi_scene.sensors()) == 1
    assert built.size == (10, 40) and tuple(film.crop_size()) == (10, 40)
    assert film.rfilter().is_box_filter()
    built = build(scene, camera="1", size=(64, 32), crop=(8, 4, 16, 20))
    film = built.mi_scene.sensors()[0].film()
    assert built.size == (16, 20) and tuple(film.crop_size()) == (16, 20)
    assert tuple(film.crop_offset()) == (8, 4) and tuple(film.size()) == (64, 32)
    for bad in (
        {"crop": (0, 0, 800, 1)},
        {"crop": (0, 0, 0, 1)},
        {"size": (0, 0)},
        {"size": (-1, 5)},
        {"size": (10**6, 10)},
        {"camera": "c"},
        {"camera": "2"},
    ):
        with pytest.raises(InputError):
            build(scene, **bad)


def test_the_files_own_depth_and_samples_are_used_unless_told(tmp_path: Path) -> None:
    body = """<shape type="sphere"/><integrator type="path"><integer name="max_depth" value="3"/>
    <boolean name="hide_emitters" value="true"/></integrator>
    <sensor type="perspective"><sampler type="independent">
    <integer name="sample_count" value="$n"/></sampler></sensor>"""
    scene = load_scene(xml(tmp_path, body), parameters={"n": "7"})
    built = build(scene)
    assert (built.max_depth, built.spp, built.hide_emitters) == (3, 7, True)
    built = build(scene, max_depth=5, spp=2)
    assert (built.max_depth, built.spp) == (5, 2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('<bsdf type="nosuch"/>', ["line 2", '"nosuch"', "not found"]),
        ('<shape type="sphere"><float name="radios" value="1"/></shape>', ["radios", "sphere"]),
        ('<shape type="sphere"><ref id="gone"/></shape>', ['"gone"']),
        ('<shape type="sphere"><float name="radius" value="1x"/></shape>', ["1x"]),
        ('<shape type="sphere"><float name="radius" value="$r"/></shape>', ["$r"]),
        (
            '<shape type="obj" id="O"><string name="filename" value="o.obj"/></shape>',
            ["shape O (obj)", "o.obj"],
        ),
        (
            '<shape type="sphere"><bsdf type="neural"><string name="filename" value="n.eta"/>'
            "</bsdf></shape>",
            ["bsdf (neural)", "n.eta"],
        ),
        ("<nonsense/>", ["<nonsense>"]),
        ('<shape type="sphere" id="a"/><shape type="sphere" id="a"/>', ["a"]),
    ],
)
def test_mitsubas_complaints_become_one_line(tmp_path: Path, body: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build(load_scene(xml(tmp_path, body)))
    message = str(caught.value)
    assert all(word in message for word in ["scene.xml", *words]), message
    assert "\n" not in message and ".cpp" not in message and "Traceback" not in message


def test_an_unknown_parameter_is_an_error(tmp_path: Path) -> None:
    scene = load_scene(xml(tmp_path, '<shape type="sphere"/>'), parameters={"spq": "4"})
    with pytest.raises(InputError, match="spq"):
        build(scene)


def test_a_broken_artifact_in_a_scene_is_reported_by_its_reader(tmp_path: Path) -> None:
    (tmp_path / "n.eta").write_bytes(b"not an artifact")
    body = """<shape type="sphere"><bsdf type="neural"><string name="filename" value="n.eta"/>
    </bsdf></shape>"""
    try:
        build(load_scene(xml(tmp_path, body)))
    except InputError as error:
        message = str(error)
    else:
        message = ""
    gc.collect()  # nothing half-made may stay among the scene objects that later tests call
    assert "n.eta" in message and "artifact" in message and "Traceback" not in message


def test_resources_are_found_beside_the_file_and_in_search_folders(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write_png(tmp_path / "parts" / "red.png", np.tile(np.float32([1, 0, 0]), (2, 2, 1)))
    body = """{}<emitter type="constant"/><shape type="sphere"><bsdf type="diffuse">
    <texture type="bitmap" name="reflectance"><string name="filename" value="red.png"/></texture>
    </bsdf></shape>"""
    for declared, search in (('<path value="parts"/>', ()), ("", (tmp_path / "parts",))):
        scene = load_scene(xml(tmp_path, body.format(declared)), search=search)
        centre = render(build(scene, size=(9, 9)), 16)[4, 4]
        assert centre[0] > 0.5 and centre[1] < 0.01
    with pytest.raises(InputError, match=r"red\.png"):
        build(load_scene(xml(tmp_path, body.format(""))))


def test_scenes_of_older_versions_are_upgraded(tmp_path: Path) -> None:
    body = """<shape type="sphere" id="S"><transform name="toWorld">
    <lookAt origin="0,0,1" target="0,0,0" up="0,1,0"/></transform></shape>"""
    assert build(load_scene(xml(tmp_path, body, "0.6.0"))).shapes == ("S",)


def test_replacements_must_name_shapes_and_known_files(tmp_path: Path) -> None:
    scene = load_scene(xml(tmp_path, '<shape type="sphere" id="A"/><shape type="disk"/>'))
    (tmp_path / "m.mtlx").write_text("<materialx version='1.39'/>")
    cases: list[tuple[dict[str, Path], str]] = [
        ({"B": tmp_path / "m.mtlx"}, "has no shape 'B'. Shapes: A, disk1"),
        ({"A": tmp_path / "m.png"}, "unknown kind of material file"),
        ({"A": tmp_path / "gone.eta"}, "no such file"),
    ]
    for materials, words in cases:
        with pytest.raises(InputError, match=words):
            build(scene, materials=materials)


@needs_data
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("matpreview/matpreview.xml", 3),
        ("cbox/cbox.xml", 8),
        ("cbox/cbox-rgb.xml", 8),
        ("cbox/cbox-spectral.xml", 8),
    ],
)
def test_scenes_written_by_others_load_and_render(name: str, shapes: int) -> None:
    built = build(load_scene(DATA / "mitsuba/scenes" / name), size=(32, 32))
    assert len(built.shapes) == shapes
    image = render(built)
    assert np.isfinite(image).all() and image.mean() > 0.05


@needs_data
def test_hello_needs_to_be_told_where_its_mesh_is() -> None:
    path = DATA / "mitsuba/scenes/hello.xml"
    with pytest.raises(InputError, match=r"hello\.xml: shape \(ply\) names .* meshes/teapot\.ply"):
        build(load_scene(path))
    built = build(load_scene(path, search=(DATA / "mitsuba",)), size=(32, 24))
    assert built.shapes == ("teapot",) and built.max_depth == 2


@pytest.mark.parametrize("name", ["showcase/showcase.xml", "sphere.xml"])
def test_own_scenes_render(name: str) -> None:
    built = build(load_scene(ROOT / "assets/scenes" / name), size=(40, 30))
    assert not built.notes
    image = render(built, 8)
    assert np.isfinite(image).all() and 0.1 < image.mean() < 0.6
