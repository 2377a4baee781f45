"""`etendue render` of several frames, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from etendue.commands._render_run import Manner, render_to
from etendue.render.frames import Wish, shots
from etendue.render.job import Options
from etendue.scene.scene import Scene


def render_frames(
    scene: Scene, output: Path, options: Options, manner: Manner, wish: Wish
) -> tuple[dict[str, Any], bool]:
    """Render frame after frame; with `resume` those that are there already are left alone.

    Ctrl-C drops the frame that it falls into, or leaves its checkpoint.
    """
    rows: list[Mapping[str, Any]] = []
    skipped = 0
    for shot in shots(scene, output, options, wish):
        if shot.done:
            skipped += 1
            continue
        own = replace(
            manner, label=f"frame {shot.number}", keep_partial=False, identity=shot.identity
        )
        figures, interrupted = render_to(shot.scene, shot.path, options, own)
        if interrupted:
            return {"frames": rows, "skipped": skipped, "interrupted_at": shot.number}, True
        rows.append({"frame": shot.number, **figures})
        manner = replace(manner, late=0.0)
        spent = f"{figures['spp']} spp in {figures['render_s']:.1f} s"
        if not manner.quiet:
            print(f"{shot.path}: {spent}", file=sys.stderr)
    return {"frames": rows, "skipped": skipped}, False
