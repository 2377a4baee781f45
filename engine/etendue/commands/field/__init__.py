"""Radiance fields: capture a scene, train on photos, look at one."""

ORDER = ("capture", "train", "show")
EXAMPLES = (
    "etendue field capture scene.xml -o photos/",
    "etendue field train photos/ --model hashgrid -o f.eta",
    "etendue field show f.eta -o f.png",
    "etendue convert f.eta --to mlp -o g.eta",
)
