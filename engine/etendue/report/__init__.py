"""Judging a bake: held-out pictures, figures, plots and the HTML page that shows them."""
