"""People before a radar: make data sets, train networks, judge them."""

ORDER = ("dataset",)
EXAMPLES = ("etendue radar dataset -o people/ --sequences 40 --seed 1",)
