"""Scenes to pictures: building, path tracing, films."""
