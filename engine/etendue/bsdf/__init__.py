"""Scattering models on Dr.Jit, one convention for all (see `base`)."""
