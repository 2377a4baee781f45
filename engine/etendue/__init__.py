"""Étendue: neural materials, path tracing, radiance fields and perception on one core."""

__version__ = "0.1.0"
