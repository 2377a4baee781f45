"""Networks split over processes: tensor, pipeline, data and sequence parallel.

`order` and `simulate` say in which order the ranks of a pipeline work and how long that takes;
`plan` picks a split from it, and `frames` uses the same orders for tiles and passes. These load no
torch. `launch` starts ranks, `groups` and `wire` connect them, `tensor`, `pipeline` and `ring` are
the three ways to split, and `partition` puts them together.
"""
