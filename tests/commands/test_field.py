"""`etendue field` and `etendue convert`: from a scene to two kinds of field, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import trimesh

from etendue.cli import main
from etendue.core.image import read_image
from etendue.field.file import Field, make_model, write_field
from etendue.field.march import STEP
from etendue.field.occupancy import survey
from etendue.field.rays import Cube

Output = pytest.CaptureFixture[str]
SCENE = """<scene version="3.0.0">
  <sensor type="perspective"><float name="fov" value="30"/></sensor>
  <emitter type="constant"/>
  <shape type="sphere" id="Ball"><bsdf type="diffuse"/></shape>
</scene>"""


def test_from_a_scene_to_two_fields(tmp_path: Path, capsys: Output) -> None:
    scene, photos = tmp_path / "ball.xml", tmp_path / "photos"
    scene.write_text(SCENE)
    capturing = ["field", "capture", str(scene), "-o", str(photos), "--views", "4"]
    assert main([*capturing, "--tests", "1", "--size", "12x12", "--spp", "2"]) == 0
    assert "4 pictures to train on, 1 to judge by" in capsys.readouterr().out
    first, second = tmp_path / "f.eta", tmp_path / "g.eta"
    sizes = ["--size", "levels=2", "--size", "log2_table=8", "--size", "finest=16"]
    training = ["field", "train", str(photos), "-o", str(first), "--steps", "16", "--rays", "64"]
    assert main([*training, *sizes, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["model"] == "hashgrid" and made["photos"] == 4 and made["psnr_test_db"] > 0
    turning = ["convert", str(first), "--to", "grid", "--size", "size=8", "-o", str(second)]
    assert main([*turning, "--steps", "16", "--rays", "64"]) == 0
    assert "16 steps" in capsys.readouterr().out
    assert main(["field", "show", str(second), "-o", str(tmp_path / "g.png"), "--size", "9"]) == 0
    assert read_image(tmp_path / "g.png").shape == (9, 36, 3)
    demanding = [*turning[:-1], str(tmp_path / "h.eta"), "--steps", "2", "--min-psnr", "90"]
    assert main(demanding) == 1
    assert "is too far from its teacher and was not written" in capsys.readouterr().err
    assert not (tmp_path / "h.eta").exists()


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a red ball about the origin."""
    model = make_model("grid", {"size": 24})
    axis = torch.linspace(0, 1, 24)
    p = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = torch.zeros(24**3, 28)
    values[:, 0] = 60 * (0.3 - (p - 0.5).norm(dim=-1))
    values[:, [1, 10, 19]] = torch.tensor([8.0, -8.0, -8.0])
    found = survey(lambda x: model.log_density({"values": values}, x), STEP, 0)
    out = tmp_path_factory.mktemp("ball") / "ball.eta"
    write_field(out, Field(model, {"values": values}, Cube((0.0, 0.0, 0.0), 2.0), found, "b", 1.5))
    return out


def test_fields_are_rendered_cut_and_exported(ball: Path, tmp_path: Path, capsys: Output) -> None:
    scene = tmp_path / "s.xml"
    away = '/><transform name="to_world"><translate z="-9"/></transform></shape>'
    scene.write_text(SCENE.replace("<sensor", '<sensor id="c"').replace("/></shape>", away))
    picture = tmp_path / "p.exr"
    rendering = ["render", str(scene), "-o", str(picture), "--size", "16x16", "--spp", "8"]
    rendering += ["--set", "camera.origin=0,0,6", "--set", "camera.target=0,0,0"]
    assert main([*rendering, "--field", str(ball)]) == 0
    red, green, _ = read_image(picture)[8, 8, :3]
    assert red > 0.7 and green < 0.05
    assert main([*rendering, "--field", str(ball), "--backend", "mitsuba"]) == 3
    assert "radiance fields: need --backend drjit" in capsys.readouterr().err
    half = tmp_path / "half.eta"
    turning = ["convert", str(ball), "--to", "grid", "--size", "size=24", "-o", str(half)]
    report = ["--report", str(tmp_path / "r.png"), "--steps", "16", "--rays", "64"]
    assert main([*turning, *report, "--edit", "keep:0,-1,-1,1,1,1"]) == 0
    assert read_image(tmp_path / "r.png").shape == (3 * 192, 4 * 192, 3)
    for name, more, said in (
        ("m.ply", ["--size", "32"], "closed"),
        ("p.ply", ["--points", "200"], "points"),
        ("t.glb", ["--size", "24", "--texture", "128"], "closed"),
        ("v.vol", ["--size", "16"], "16^3 voxels"),
    ):
        assert main(["field", "export", str(half), "-o", str(tmp_path / name), *more]) == 0
        assert said in capsys.readouterr().out and (tmp_path / name).stat().st_size > 500
    assert trimesh.load(tmp_path / "m.ply").vertices[:, 0].min() > -0.1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("field train {0} -o x.eta", "holds no transforms.json"),
        ("field train {0} -o x.png", "is no field's name"),
        ("field train {0} -o x.eta --model nerf", "model: is unknown; got nerf"),
        ("field train {0} -o x.eta --size levels", "--size: cannot be read"),
        ("field train {0} -o x.eta --size levels=x", "--size: cannot be read"),
        ("field train {0} -o x.eta --box=1,2,3", "--box: cannot be read"),
        ("field train {0} -o x.eta --box=0,0,0,1,1,-1", "--box: cannot be read"),
        ("field train {0} -o x.eta --steps 0", "--steps: is out of range"),
        ("convert {0}/none.eta --to mlp -o x.eta", "none.eta: cannot be read"),
        ("field show {0}/none.eta -o x.exr", "unknown kind of picture"),
        ("field export {0}/none.eta -o x.doc", "unknown kind of file"),
        ("field export {0}/none.eta -o x.glb --points 5", "unknown kind of file"),
        ("field export {0}/none.eta -o x.glb --size 0", "--size: is out of range"),
        ("field export {0}/none.eta -o x.ply --texture 64", "--texture: needs a mesh as .glb"),
        ("field export {0}/none.eta -o x.glb --texture 0", "--texture: is out of range"),
        ("convert {0}/none.eta --to mlp -o x.eta --report r.jpg", "unknown kind of picture"),
        ("field capture {0}/none.xml -o x --views 0", "--views: is out of range"),
    ],
)
def test_refusals(command: str, message: str, tmp_path: Path, capsys: Output) -> None:
    assert main(command.format(tmp_path).split()) != 0
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())
