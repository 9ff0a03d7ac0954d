"""What the Triton kernels of the recurrent cores share: products of a step, activations, waiting.

Sources: the kernels' plan, all steps in one launch, is that of Diamos et al. 2016, "Persistent RNNs"; the
barrier between programs is that of torch's own cooperative reductions (`torch._inductor`).

A program owns the steps of a block of environments, alone or with SHARING - 1 others. A step is a few
phases, each of which writes to global memory what the next one reads; `meet` stands between them. Two rules
keep a phase free of races: of shared numbers, only the lane that stores one loads it; and where a number is
replaced, a barrier stands between load and store, for Triton may have several threads load what one of them
stores.
"""

import triton
import triton.language as tl


@triton.jit
def meet(counter, visit, SHARING: tl.constexpr):
    """Waits until all programs of a block have stored what they had to store before.

    Args:
        counter: int32: visits so far, of all programs of the block; zero at the launch.
        visit: how often this program comes by, this time included.
        SHARING: programs of the block. They wait for each other, so all of them must be on the device: the
            launch must be cooperative.
    """
    tl.debug_barrier()
    if SHARING > 1:
        tl.atomic_add(counter, 1, sem="release")
        arrived = tl.atomic_add(counter, 0, sem="acquire")
        while arrived < visit * SHARING:
            arrived = tl.atomic_add(counter, 0, sem="acquire")
        tl.debug_barrier()


@triton.constexpr_function
def column_block(outer, sharing):
    """Decides how many columns of a product are taken at once: a program's part, of 16 to 128.

    Args:
        outer: columns.
        sharing: programs that share them.

    Returns:
        A power of two.
    """
    return max(16, min(128, 1 << (-(-outer // sharing) - 1).bit_length()))


@triton.jit
def product(
    target, target_width, left, left_width, weight, first, B, share,
    INNER: tl.constexpr, OUTER: tl.constexpr, INNER_STRIDE: tl.constexpr, OUTER_STRIDE: tl.constexpr,
    ADD: tl.constexpr, PRECISION: tl.constexpr, SHARING: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Multiplies a block of rows with weights; the programs of the block share the columns.

    Args:
        target: [B, OUTER]: becomes, or with ADD grows by, left @ weight.
        target_width: entries from one of its rows to the next.
        left: [B, INNER]: the factor.
        left_width: entries from one of its rows to the next.
        weight: [INNER, OUTER], of the strides INNER_STRIDE and OUTER_STRIDE.
        first: the first row of the block.
        B: number of rows.
        share: which of the programs this is.
        INNER: see above.
        OUTER: see above.
        INNER_STRIDE: see above.
        OUTER_STRIDE: see above.
        ADD: whether to add to what is there.
        PRECISION: of the products, as `tl.dot` has it.
        SHARING: programs of the block.
        BLOCK_B: rows of a block.
        BLOCK_K: entries of the sum taken at once.
    """
    BLOCK_N: tl.constexpr = column_block(OUTER, SHARING)
    b = (first + tl.arange(0, BLOCK_B))[:, None].to(tl.int64)
    for start in range(share * BLOCK_N, OUTER, SHARING * BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)[None, :]
        inside = (b < B) & (n < OUTER)
        place = target + b * target_width + n
        if ADD:
            total = tl.load(place, mask=inside, other=0.0)
        else:
            total = tl.zeros((BLOCK_B, BLOCK_N), dtype=target.dtype.element_ty)
        for begin in range(0, INNER, BLOCK_K):
            across = begin + tl.arange(0, BLOCK_K)[None, :]
            down = begin + tl.arange(0, BLOCK_K)[:, None]
            rows = tl.load(left + b * left_width + across, mask=(b < B) & (across < INNER), other=0.0)
            columns = tl.load(
                weight + down * INNER_STRIDE + n * OUTER_STRIDE,
                mask=(down < INNER) & (n < OUTER),
                other=0.0,
            )
            total = tl.dot(rows, columns, total, input_precision=PRECISION, out_dtype=total.dtype)
        if ADD:
            tl.debug_barrier()
        tl.store(place, total, mask=inside)


@triton.jit
def sigmoid(x):
    """Sigmoid; NaN stays NaN."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):
    """Hyperbolic tangent, within a rounding of 1 in absolute terms; NaN stays NaN."""
    small = tl.exp(-2.0 * tl.abs(x))  # in (0, 1]: no overflow
    size = (1.0 - small) / (1.0 + small)
    return tl.where(x < 0.0, -size, size)


@triton.jit
def softmax(pre, counts):
    """Softmax of the rows of a tile over the entries that count; zero elsewhere."""
    largest = tl.max(tl.where(counts, pre, -float("inf")), axis=1)[:, None]
    share = tl.where(counts, tl.exp(tl.where(counts, pre - largest, 0.0)), 0.0)
    return share / tl.sum(share, axis=1)[:, None]


@triton.jit
def cumax_backward(share, d_gate, counts):
    """Turns the gradient by a cumax gate into the one by its pre-activations, where they count.

    The running sums' transpose runs from the right; then comes the softmax's: s_k (d_k - sum_j s_j d_j). A
    d_gate that is zero outside the row and a share that is zero where nothing counts leave all else out.
    """
    total = tl.cumsum(d_gate, axis=1, reverse=True)
    mean = tl.sum(share * total, axis=1)[:, None]
    return tl.where(counts, share * (total - mean), 0.0)


@triton.jit
def refine(f, r):
    """The refined gate, as `cores.gates.refine`."""
    return f * f + 2.0 * r * (f - f * f)


@triton.jit
def d_refined(f, r):
    """What `refine`'s gradient by f is multiplied with: 2 f + 2 r (1 - 2 f)."""
    return 2.0 * (f + r * (1.0 - 2.0 * f))
