"""NumPy's default random generator inside compiled code, bit for bit.

A native environment draws what ``numpy.random.Generator(PCG64(seed)).integers`` draws, so a plain NumPy
program, or a Gymnasium environment with the same seed, can retrace its episodes. Generator: PCG64
(XSL-RR 128/64) of O'Neill 2014, "PCG: A family of simple fast space-efficient statistically good
algorithms for random number generation"; bounded integers: Lemire 2019, "Fast random integer generation
in an interval".
"""

from collections.abc import Sequence

import numpy as np

from envs.checks import whole_number
from envs.compiled import part

RNG_FIELD = ("rng", np.uint64, (5,))
"""One stream: state high, state low, increment high, increment low, and the unused half of the last draw.

NumPy cuts a 64-bit draw into two 32-bit ones. The second half waits in the last word, marked by bit 32.
"""

_MULTIPLIER_HIGH = np.uint64(0x2360ED051FC65DA4)
_MULTIPLIER_LOW = np.uint64(0x4385DF649FCCF645)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_WAITING = np.uint64(1 << 32)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_32, _58, _63, _64 = np.uint64(32), np.uint64(58), np.uint64(63), np.uint64(64)


def environment_seeds(seed: int, first_index: int, num_envs: int) -> list[int]:
    """Give each environment of a run its own seed, from the run's seed and the environment's index alone.

    The indices count up from a hash of the seed: no two environments of a run share a stream, and
    neighbouring seeds have no environment in common (``seed + index``, the usual rule, has all but one).

    Args:
        seed: the run's seed, not negative.
        first_index: index of the first of these environments in the whole run.
        num_envs: how many.

    Returns:
        ``num_envs`` seeds in [0, 2**31), which any environment accepts.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    start = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return [(start + first_index + i) % 2**31 for i in range(num_envs)]


def chosen_seeds(
    seed: int | Sequence[int | None], first_index: int, num_envs: int, mask: np.ndarray | None
) -> tuple[list[int], list[int]]:
    """Read what ``reset`` takes as its seed.

    Args:
        seed: one for all, or one an environment with None where the stream runs on.
        first_index: index of environment 0 in the whole run, for one seed.
        num_envs: N.
        mask: [N] bool: which environments may be seeded; None for all.

    Returns:
        Which environments are seeded, and their seeds.

    Raises:
        ValueError: a negative seed, or a sequence of another length than N.
    """
    seeds: Sequence[int | None]
    if isinstance(seed, Sequence | np.ndarray):
        seeds = seed
        if len(seeds) != num_envs:
            raise ValueError(f"a sequence of seeds must have length {num_envs}, got {len(seeds)}")
    else:
        seeds = environment_seeds(whole_number("seed", seed, 0, None), first_index, num_envs)
    chosen = [i for i, s in enumerate(seeds) if s is not None and (mask is None or mask[i])]
    return chosen, [whole_number("seed", seeds[i], 0, None) for i in chosen]


def seeded_streams(seeds: Sequence[int]) -> np.ndarray:
    """Return the streams of NumPy's generators with these seeds, [n, 5] uint64 in RNG_FIELD's layout."""
    streams = np.zeros((len(seeds), 5), np.uint64)
    for stream, seed in zip(streams, seeds, strict=True):
        words = np.random.PCG64(np.random.SeedSequence(seed)).state["state"]
        stream[:4] = [
            word >> shift & (2**64 - 1) for word in (words["state"], words["inc"]) for shift in (64, 0)
        ]
    return streams


@part
def _high_product(a, b):
    """Return the upper 64 bits of a 64 × 64-bit product."""
    a_low, a_high, b_low, b_high = a & _LOW_HALF, a >> _32, b & _LOW_HALF, b >> _32
    cross_1, cross_2 = a_low * b_high, a_high * b_low
    middle = (a_low * b_low >> _32) + (cross_1 & _LOW_HALF) + (cross_2 & _LOW_HALF)
    return a_high * b_high + (cross_1 >> _32) + (cross_2 >> _32) + (middle >> _32)


@part
def next_uint64(rng):
    """Advance the stream and return 64 random bits: state = state · multiplier + increment, then XSL-RR."""
    high, low = rng[0], rng[1]
    product_low = low * _MULTIPLIER_LOW
    product_high = _high_product(low, _MULTIPLIER_LOW) + high * _MULTIPLIER_LOW + low * _MULTIPLIER_HIGH
    new_low = product_low + rng[3]
    carry = _ONE if new_low < product_low else _ZERO
    new_high = product_high + rng[2] + carry
    rng[0] = new_high
    rng[1] = new_low
    mixed, turn = new_high ^ new_low, new_high >> _58
    return (mixed >> turn) | (mixed << ((_64 - turn) & _63))


@part
def next_uint32(rng):
    """Return 32 random bits: the lower half of a fresh draw, or the upper half that waits from the last."""
    if rng[4] & _WAITING:
        half = rng[4] & _LOW_HALF
        rng[4] = _ZERO
        return half
    draw = next_uint64(rng)
    rng[4] = (draw >> _32) | _WAITING
    return draw & _LOW_HALF


@part
def integers(rng, high):
    """Draw uniformly and without bias from 0 … high - 1, high below 2**32; with high 1 nothing is drawn."""
    if high <= 1:
        return np.int64(0)
    count = np.uint64(high)
    product = next_uint32(rng) * count
    if product & _LOW_HALF < count:
        # 2**32 is no multiple of count: the surplus products would make some numbers likelier, so draw again.
        surplus = (_WAITING - count) % count
        while product & _LOW_HALF < surplus:
            product = next_uint32(rng) * count
    return np.int64(product >> _32)


@part
def shuffle(rng, items):
    """Shuffle a one-dimensional array as NumPy's generators shuffle a list."""
    for i in range(len(items) - 1, 0, -1):
        mask = np.uint64(i)
        for shift in (1, 2, 4, 8, 16):
            mask |= mask >> np.uint64(shift)
        j = next_uint32(rng) & mask
        while j > np.uint64(i):
            j = next_uint32(rng) & mask
        items[i], items[j] = items[j], items[i]
