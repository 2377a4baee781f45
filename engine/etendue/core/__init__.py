"""Pure numpy foundations: errors, files, images, colour, metrics, statistics."""
