"""People that move: motions from files, bodies, rooms, and stages that put them together.

Everything is in metres and in one frame: x forward (away from the sensor), y left, z up, the floor
at z = 0. A rotation of a bone is relative to its parent, and in the rest pose the axes of all bones
are those of that frame; so G_b = G_parent R_b and p_b = p_parent + G_parent (h_b - h_parent), where
h are the rest positions of the bones' heads.
"""
