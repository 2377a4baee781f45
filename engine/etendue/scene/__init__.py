"""Immutable description of what is to be rendered: scenes, cameras, materials. No device types."""
