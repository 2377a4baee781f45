"""FMCW radar: the sensor, its signal, and what is made of it."""
