"""`etendue field` and `etendue convert`: from a scene to two kinds of field, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etendue.cli import main
from etendue.core.image import read_image

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
        ("field capture {0}/none.xml -o x --views 0", "--views: is out of range"),
    ],
)
def test_refusals(command: str, message: str, tmp_path: Path, capsys: Output) -> None:
    assert main(command.format(tmp_path).split()) != 0
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())
