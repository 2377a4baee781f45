"""Number formats that spend fewer bits, numpy only: encode, decode, packing and error bounds.

* `packing`: integers of any width in little-endian 32-bit words.
* `blockfloat`: mantissas that share an exponent per block (MX-compatible).
* `codebook`: vectors as sums of rows of a few small tables.
* `artifact`: which of these the latents and weights of a baked material are stored in.

Every format has a `bound`: a proven limit of |x - decode(encode(x))|, value by value. NaN and
infinity are refused with the tensor's name and the index of the value.
"""
