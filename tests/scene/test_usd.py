"""USD stages: geometry, materials, lights and cameras as the renderer sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.image import write_bytes_image
from etendue.scene.scene import Scene, load_scene

pytest.importorskip("pxr", reason="usd-core is not installed: the extra `usd`")

HEAD = '#usda 1.0\n(\n    upAxis = "%s"\n)\n'
QUAD = """
def Mesh "Quad" (prepend apiSchemas = ["MaterialBindingAPI"]) {
    point3f[] points = [(0, 0, 0), (2, 0, 0), (2, 1, 0), (0, 1, 0)]
    int[] faceVertexCounts = [4]
    int[] faceVertexIndices = [0, 1, 2, 3]
    uniform token subdivisionScheme = "none"
    %s
}
"""
LOOK = """
def Material "Look" {
    token outputs:surface.connect = </Look/S.outputs:surface>
    def Shader "S" {
        uniform token info:id = "UsdPreviewSurface"
        %s
        token outputs:surface
    }
    def Shader "T" {
        uniform token info:id = "UsdUVTexture"
        asset inputs:file = @picture.png@
        %s
        float3 outputs:rgb
        float outputs:r
        float outputs:g
        float outputs:a
    }
}
"""
BOUND = "rel material:binding = </Look>"
ST = 'texCoord2f[] primvars:st = [(0, 0), (1, 0), (1, 1), (0, 1)] (interpolation = "%s")'


def stage(folder: Path, body: str, up: str = "Y") -> Scene:
    file = folder / "a.usda"
    file.write_text(HEAD % up + body)
    return load_scene(file)


def flat(scene: Scene, name: str) -> np.ndarray:
    return np.asarray(scene.shapes[0].surface.flat[name])


def test_a_quad_becomes_two_triangles_with_texture_coordinates_downwards(tmp_path: Path) -> None:
    (shape,) = stage(tmp_path, QUAD % (ST % "vertex")).shapes
    mesh = shape.mesh
    assert mesh.faces.shape == (2, 3) and mesh.uv is not None and mesh.normals is None
    for p, uv in zip(mesh.positions, mesh.uv, strict=True):
        np.testing.assert_allclose(uv, [p[0] / 2, 1 - p[1]], atol=1e-6)
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    assert (area[:, 2] > 0).all() and area[:, 2].sum() == pytest.approx(4.0)


def test_left_handed_faces_are_turned(tmp_path: Path) -> None:
    mesh = stage(tmp_path, QUAD % 'uniform token orientation = "leftHanded"').shapes[0].mesh
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] < 0).all()


def test_seams_split_vertices_and_equal_corners_are_shared(tmp_path: Path) -> None:
    """Two squares side by side: with coordinates per corner the edge between them is a seam."""
    text = """
def Mesh "Two" {
    point3f[] points = [(0,0,0), (1,0,0), (2,0,0), (0,1,0), (1,1,0), (2,1,0)]
    int[] faceVertexCounts = [4, 4]
    int[] faceVertexIndices = [0, 1, 4, 3, 1, 2, 5, 4]
    uniform token subdivisionScheme = "none"
    %s
}
"""
    seam = (
        "texCoord2f[] primvars:st = [(0,0),(1,0),(1,1),(0,1),(0,0),(1,0),(1,1),(0,1)] "
        '(interpolation = "faceVarying")'
    )
    assert len(stage(tmp_path, text % "").shapes[0].mesh.positions) == 6
    assert len(stage(tmp_path, text % seam).shapes[0].mesh.positions) == 8


def test_cages_of_subdivision_are_smooth_and_it_is_said(tmp_path: Path) -> None:
    text = QUAD.replace('uniform token subdivisionScheme = "none"', "") % ""
    scene = stage(tmp_path, text)
    normals = scene.shapes[0].mesh.normals
    assert normals is not None
    np.testing.assert_allclose(normals, [[0, 0, 1]] * 4, atol=1e-6)
    assert any("subdivision is not applied" in note for note in scene.notes)


def test_z_up_stages_are_turned_and_transforms_nest(tmp_path: Path) -> None:
    body = """
def Xform "Up" {
    double3 xformOp:translate = (0, 0, 5)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    %s
}
""" % (QUAD % "")
    mesh = stage(tmp_path, body, up="Z").shapes[0].mesh
    np.testing.assert_allclose(mesh.positions[:, 1], 5, atol=1e-6)  # z was up
    assert mesh.positions[:, 2].min() == pytest.approx(-1)  # and y away from the viewer


def test_hidden_and_auxiliary_prims_are_left_out(tmp_path: Path) -> None:
    hidden = QUAD.replace('"Quad"', '"Hidden"') % 'token visibility = "invisible"'
    guide = QUAD.replace('"Quad"', '"Guide"') % 'uniform token purpose = "guide"'
    names = [s.name for s in stage(tmp_path, QUAD % "" + hidden + guide).shapes]
    assert names == ["Quad"]


def test_subsets_have_materials_of_their_own(tmp_path: Path) -> None:
    body = """
def Mesh "Two" (prepend apiSchemas = ["MaterialBindingAPI"]) {
    point3f[] points = [(0,0,0), (1,0,0), (2,0,0), (0,1,0), (1,1,0), (2,1,0)]
    int[] faceVertexCounts = [4, 4]
    int[] faceVertexIndices = [0, 1, 4, 3, 1, 2, 5, 4]
    uniform token subdivisionScheme = "none"
    color3f[] primvars:displayColor = [(0.2, 0.3, 0.4)]
    def GeomSubset "Right" (prepend apiSchemas = ["MaterialBindingAPI"]) {
        uniform token elementType = "face"
        uniform token familyName = "materialBind"
        int[] indices = [1]
        rel material:binding = </Look>
    }
}
"""
    look = LOOK % ("color3f inputs:diffuseColor = (0.9, 0.1, 0.1)", "")
    right, left = stage(tmp_path, body + look).shapes
    assert right.mesh.positions[:, 0].min() == 1 and left.mesh.positions[:, 0].max() == 1
    np.testing.assert_allclose(np.ravel(right.surface.flat["base"]), [0.9, 0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose(np.ravel(left.surface.flat["base"]), [0.2, 0.3, 0.4], atol=1e-6)


def test_constants_of_the_preview_surface(tmp_path: Path) -> None:
    wanted = """
        color3f inputs:diffuseColor = (0.5, 0.25, 0.125)
        float inputs:metallic = 0.75
        float inputs:roughness = 0.3
        float inputs:clearcoat = 0.5
    """
    scene = stage(tmp_path, QUAD % BOUND + LOOK % (wanted, ""))
    np.testing.assert_allclose(np.ravel(flat(scene, "base")), [0.5, 0.25, 0.125], atol=1e-6)
    assert float(np.ravel(flat(scene, "metallic"))[0]) == pytest.approx(0.75)
    assert float(np.ravel(flat(scene, "roughness"))[0]) == pytest.approx(0.3)
    assert float(np.ravel(flat(scene, "coat"))[0]) == pytest.approx(0.5)


def test_textures_with_scale_and_packed_channels(tmp_path: Path) -> None:
    """Colour from rgb with a scale, roughness from g and metalness from r of another use of it."""
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0], pixels[:2, :, 1], pixels[..., 3] = 255, 128, 255
    write_bytes_image(tmp_path / "picture.png", pixels)
    wanted = """
        color3f inputs:diffuseColor.connect = </Look/T.outputs:rgb>
        float inputs:roughness.connect = </Look/T.outputs:g>
        float inputs:metallic = 0.25
    """
    extra = 'token inputs:sourceColorSpace = "raw"\n float4 inputs:scale = (0.5, 1, 1, 1)'
    scene = stage(tmp_path, QUAD % (f"{BOUND}\n{ST % 'vertex'}") + LOOK % (wanted, extra))
    base, rough = flat(scene, "base"), flat(scene, "roughness")
    np.testing.assert_allclose(base[..., 0], 0.5, atol=3e-3)
    np.testing.assert_allclose(rough[:2].reshape(-1), 128 / 255, atol=1e-3)
    assert float(np.abs(rough[2:]).max()) < 0.1
    np.testing.assert_allclose(np.ravel(flat(scene, "metallic"))[0], 0.25, atol=2e-3)


def test_emission_and_opacity(tmp_path: Path) -> None:
    wanted = """
        color3f inputs:emissiveColor = (8, 4, 2)
        float inputs:opacity = 0.25
    """
    surface = stage(tmp_path, QUAD % BOUND + LOOK % (wanted, "")).shapes[0].surface
    assert surface.emission is not None and surface.opacity is not None
    np.testing.assert_allclose(np.ravel(surface.emission), [8, 4, 2], rtol=1e-5)
    np.testing.assert_allclose(np.ravel(surface.opacity), 0.25)


def test_cameras_and_distant_lights(tmp_path: Path) -> None:
    body = """
def Camera "Cam" {
    float focalLength = 50
    float horizontalAperture = 36
    float verticalAperture = 24
    float2 clippingRange = (0.5, 80)
    double3 xformOp:translate = (1, 2, 3)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
def DistantLight "Sun" {
    float inputs:intensity = 3
    float inputs:exposure = 1
    color3f inputs:color = (1, 0.5, 0.25)
    float3 xformOp:rotateXYZ = (-90, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:rotateXYZ"]
}
"""
    scene = stage(tmp_path, QUAD % "" + body)
    (camera,) = scene.cameras
    assert camera.origin == (1, 2, 3) and camera.near == pytest.approx(0.5)
    assert camera.fov_deg == pytest.approx(np.degrees(2 * np.arctan(12 / 50)), rel=1e-5)
    assert camera.aspect == pytest.approx(1.5)
    (sun,) = scene.lights
    np.testing.assert_allclose(sun.direction, [0, -1, 0], atol=1e-6)  # lights shine along -z
    np.testing.assert_allclose(sun.intensity, [6, 3, 1.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "size", "area"),
    [
        ("RectLight", "float inputs:width = 2\n float inputs:height = 3", 6.0),
        ("DiskLight", "float inputs:radius = 2", 4 * np.pi),
        ("SphereLight", "float inputs:radius = 2", 16 * np.pi),
        ("CylinderLight", "float inputs:radius = 0.5\n float inputs:length = 4", 4 * np.pi),
    ],
)
def test_lights_with_a_surface(tmp_path: Path, kind: str, size: str, area: float) -> None:
    """Their meshes have the right size and face, and `normalize` divides by the area."""
    plain = f'def {kind} "L" {{ \n{size}\n float inputs:intensity = 10\n}}\n'
    even = plain.replace('"L"', '"N"').replace(
        "intensity", "normalize = 1\n float inputs:intensity"
    )
    even = even.replace("float inputs:normalize", "bool inputs:normalize")
    shapes = {s.name: s for s in stage(tmp_path, plain + even).shapes}
    mesh = shapes["L"].mesh
    a, b, c = (mesh.positions[mesh.faces[:, k]].astype(float) for k in range(3))
    across = np.cross(b - a, c - a)
    assert np.linalg.norm(across, axis=1).sum() / 2 == pytest.approx(area, rel=0.01)
    if kind in ("RectLight", "DiskLight"):
        assert (across[:, 2] < 0).all()
    else:
        assert ((a + b + c) * across).sum(1).min() > 0  # outwards
    bright, dim = (np.ravel(shapes[n].surface.emission)[0] for n in ("L", "N"))  # type: ignore[arg-type]
    assert bright == pytest.approx(10) and dim == pytest.approx(10 / area, rel=1e-5)


def test_a_dome_lights_what_is_built(tmp_path: Path) -> None:
    """A white diffuse quad in a dome of radiance L looks as bright as the glTF model says."""
    from etendue.device.drjit import activate
    from etendue.render.build import build
    from etendue.render.path.drjit import render

    body = """
def DomeLight "Sky" {
    float inputs:intensity = 3
    color3f inputs:color = (1, 0.5, 0.25)
}
def Camera "Cam" {
    double3 xformOp:translate = (1, 0.5, 2)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
"""
    look = LOOK % ("color3f inputs:diffuseColor = (0, 0, 0)\n float inputs:roughness = 0.2", "")
    scene = stage(tmp_path, QUAD % BOUND + look + body)
    assert scene.environment is not None and scene.environment.scale == (3, 1.5, 0.75)
    built = build(scene, size=(8, 8), variant=activate().variant())
    seen = render(built.mi_scene, spp=64, max_depth=4).rgb.reshape(-1, 3).mean(0)
    np.testing.assert_allclose(seen / seen[0], [1, 0.5, 0.25], rtol=0.02)
    assert 0.035 < seen[0] / 3 < 0.05  # the interface: 4 % at normal incidence


def test_lights_brighter_than_one_can_be_built(tmp_path: Path) -> None:
    from etendue.device.drjit import activate
    from etendue.render.build import build

    body = 'def RectLight "L" {\n float inputs:intensity = 40\n}\n'
    body += 'def DistantLight "D" {\n float inputs:intensity = 5\n}\n'
    built = build(stage(tmp_path, QUAD % "" + body), size=(4, 4), variant=activate().variant())
    assert len(built.mi_scene.emitters()) == 2


def test_a_package_is_read_with_its_pictures(tmp_path: Path) -> None:
    from pxr import Sdf, UsdUtils

    pixels = np.full((2, 2, 3), (255, 0, 128), np.uint8)
    write_bytes_image(tmp_path / "picture.png", pixels)
    look = LOOK % ("color3f inputs:diffuseColor.connect = </Look/T.outputs:rgb>", "")
    (tmp_path / "a.usda").write_text(HEAD % "Y" + QUAD % BOUND + look)
    package = tmp_path / "there" / "a.usdz"
    package.parent.mkdir()
    asset = Sdf.AssetPath(str(tmp_path / "a.usda"))
    assert UsdUtils.CreateNewUsdzPackage(asset, str(package))
    (tmp_path / "picture.png").unlink()
    base = flat(load_scene(package), "base").reshape(-1, 3)
    np.testing.assert_allclose(base.mean(0), [1, 0, 0.2158], atol=2e-3)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def Mesh {", "cannot be read as USD"),
        ("", "has no triangles to show"),
        ('def Camera "C" {\n float focalLength = 0\n}\n', "is damaged .ZeroDivisionError"),
        (
            QUAD % 'def GeomSubset "S" {\n uniform token elementType = "face"\n'
            'uniform token familyName = "materialBind"\n int[] indices = [7]\n}',
            "is damaged .Index",
        ),
        (QUAD.replace("[0, 1, 2, 3]", "[0, 1, 2, 9]") % "", "vertex index out of range; got 9"),
        (QUAD.replace("Counts = [4]", "Counts = [3]") % "", "do not fit their corners; got 4"),
        (
            QUAD % BOUND
            + LOOK % ("color3f inputs:diffuseColor.connect = </Look/T.outputs:rgb>", ""),
            "names a picture that is not there; got picture.png",
        ),
    ],
)
def test_one_clear_error(tmp_path: Path, body: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        stage(tmp_path, body)


def test_missing_files_and_foreign_content(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_scene(tmp_path / "none.usdc")
    (tmp_path / "a.usdc").write_bytes(b"PXR-USDC" + bytes(100))
    with pytest.raises(InputError, match="cannot be read as USD"):
        load_scene(tmp_path / "a.usdc")
    with pytest.raises(InputError, match="a USD stage has no parameters"):
        load_scene(tmp_path / "a.usdc", parameters={"x": "1"})
