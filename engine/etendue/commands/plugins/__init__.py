"""Look at the plugins, run one, measure one."""

ORDER = ("list", "info", "run", "bench")
EXAMPLES = (
    "etendue plugins list",
    "etendue plugins info denoise",
    "etendue plugins run denoise --in noisy.exr --out color=clean.exr",
    "etendue plugins bench marching_cubes --json",
)
