"""Offline fitting of a neural material to the layered reference."""
