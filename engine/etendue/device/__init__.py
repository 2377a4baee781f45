"""Devices opened once, with their capabilities and what to do when one is missing."""
