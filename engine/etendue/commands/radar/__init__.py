"""People before a radar: make data sets, train networks, judge them."""

ORDER = ("dataset", "train", "eval")
EXAMPLES = (
    "etendue radar dataset -o people/ --sequences 40 --seed 1",
    "etendue radar train people/ -o pose.eta",
    "etendue radar eval people/ pose.eta",
)
