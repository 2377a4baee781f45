"""`etendue compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etendue.cli_support import print_json
from etendue.core.errors import InputError

EXAMPLES = (
    "etendue compare reference.exr neural.exr",
    "etendue compare reference.exr neural.exr --json -o flip.png",
)
LABELS = {
    "flip": "LDR-FLIP, mean (0 = equal)",
    "flip_hdr": "HDR-FLIP, mean (0 = equal)",
    "rel_mse": "relative MSE",
    "mse": "MSE",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM (1 = equal)",
    "max_difference": "largest difference",
    "mean_difference": "mean difference",
}


def run(
    reference: Annotated[Path, typer.Argument(help="The picture that counts as right.")],
    test: Annotated[Path, typer.Argument(help="The picture that is judged.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the FLIP map as .png here.")
    ] = None,
    exposure: Annotated[
        float, typer.Option(help="Stops by which both are brightened before display.")
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how far one picture is from another: FLIP, relative MSE, PSNR, SSIM."""
    from etendue.core.image import read_linear, write_png
    from etendue.core.metrics import all_metrics, difference_picture, flip_ldr, paired

    if not -64.0 <= exposure <= 64.0:
        raise InputError("--exposure", "is out of range", got=exposure, expected="-64..64")
    if output is not None and output.suffix.lower() != ".png":
        raise InputError(
            output, "unknown kind of picture", got=output.suffix or "no suffix", expected=".png"
        )
    pictures = [read_linear(path) for path in (reference, test)]
    a, b = paired(pictures[0], pictures[1], (reference, test))
    figures = all_metrics(a, b, exposure)
    if output is not None:
        write_png(output, difference_picture(flip_ldr(a, b, exposure)))
    if json:
        print_json(
            {
                "reference": str(reference),
                "test": str(test),
                "width": a.shape[1],
                "height": a.shape[0],
                "exposure": exposure,
                **figures,
                "picture": None if output is None else str(output),
            }
        )
        return
    for name, label in LABELS.items():
        value = figures[name]
        print(f"{label:<28} {'-' if value is None else format(value, '.6g')}")
