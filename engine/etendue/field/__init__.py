"""Radiance fields: `query(x, d) -> (rgb, log sigma)` in the unit cube, and their marcher."""
