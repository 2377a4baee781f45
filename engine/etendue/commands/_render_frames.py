"""`etendue render` of several frames: one is cleaned and saved while the next is sampled."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from etendue.commands._render_run import Drawn, Manner, draw, finish
from etendue.commands._schedule import scheduled
from etendue.render.frames import Shot, Wish, shots
from etendue.render.job import Options
from etendue.render.sequence import DEVICES, SAVING, FrameInterruptedError, sequence
from etendue.scene.scene import Scene


def render_frames(
    scene: Scene, output: Path, options: Options, manner: Manner, wish: Wish
) -> tuple[dict[str, Any], bool]:
    """Render all frames; with `resume` those that are there already are left alone.

    Ctrl-C drops the frame that it falls into, or leaves its checkpoint.
    """
    rows: list[dict[str, Any]] = []
    skipped, late = 0, [manner.late]  # of the first frame

    def sample(shot: Shot) -> Drawn:
        own = replace(
            manner,
            label=f"frame {shot.number}",
            identity=shot.identity,
            late=late.pop() if late else 0.0,
        )
        drawn = draw(shot.scene, shot.path, options, own, lambda task: task.run())
        if drawn.picture.interrupted:
            raise FrameInterruptedError(shot.number)
        return drawn

    def save(shot: Shot, drawn: Drawn) -> dict[str, Any]:
        return finish(drawn, shot.path, options, keep_partial=False)

    every = shots(scene, output, options, wish)
    with scheduled(manner.trace, manner.metrics, DEVICES, (SAVING,)) as scheduler:
        try:
            for shot, figures in sequence(scheduler, every, sample, save):
                if figures is None:
                    skipped += 1
                    continue
                rows.append({"frame": shot.number, **figures})
                if not manner.quiet:
                    spent = f"{figures['spp']} spp in {figures['render_s']:.1f} s"
                    print(f"{shot.path}: {spent}", file=sys.stderr)
        except FrameInterruptedError as error:
            at = {"interrupted_at": error.frame}
            return {"frames": rows, "skipped": skipped, **at}, True
    return {"frames": rows, "skipped": skipped}, False
