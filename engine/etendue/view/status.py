"""The line that says how far a picture is."""

from __future__ import annotations

from etendue.view.worker import Frame


def status(frame: Frame) -> str:
    """Samples, time, what is left, size and speed."""
    height, width = frame.images[0].shape[:2]
    size = f"{width} x {height}" + (f" (1/{frame.divisor})" if frame.divisor > 1 else "")
    if frame.layer != "rgb":
        return f"{frame.layer} | {size}"
    words = [f"{frame.spp}/{frame.wanted} spp", f"{frame.seconds:.1f} s"]
    if frame.divisor == 1 and not frame.moving and 0 < frame.spp < frame.wanted:
        left = (frame.wanted - frame.spp) * frame.seconds / frame.spp
        words.append(f"ETA {left:.0f} s")
    return " | ".join([*words, size, f"{frame.rate / 1e6:.2f} M paths/s"])
