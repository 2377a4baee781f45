"""The early end of a bake: a small held-out picture against the layered reference."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from etendue.artifact import Artifact, write_artifact
from etendue.scene.material import LayeredMaterial

SIZE, SPP = (120, 90), 256


def flip_judge(
    material: LayeredMaterial, target: float, tell: Callable[[float], None]
) -> Callable[[Artifact], bool]:
    """For `bake.material.bake`: whether the mean LDR-FLIP of the first view is at most `target`.

    The noise of both pictures counts as error. The reference is rendered once.
    """
    from etendue.bsdf.layered import Layered
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.core.metrics import flip_ldr
    from etendue.report.views import VIEWS, Stage

    stages: list[Stage] = []
    truth = []

    def judge(artifact: Artifact) -> bool:
        if not stages:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "material.eta")
                write_artifact(path, artifact)
                stages.append(Stage(VIEWS[0], path, SIZE))
            truth.append(stages[0].shoot(Layered(material), SPP, 1).rgb)
        picture = stages[0].shoot(NeuralBSDF(artifact), SPP, 2).rgb
        flip = float(flip_ldr(truth[0], picture).mean())
        tell(flip)
        return flip <= target

    return judge
