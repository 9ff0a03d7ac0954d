"""The two ends of an actor's step: from what is seen to what a core reads, and from its output to an action.

The draw is the Gumbel-max trick: the largest sum of logit and Gumbel noise is a draw from the softmax.

A step of a few environments is little arithmetic: as single operations of torch it takes several times as
long. Arrays are whole unrolls, of which a call takes step t, since views cost as much as the work.
"""

from typing import Any

from cores.kernels.compiled import compiled
from cores.kernels.products import add_matrix_product
from cores.kernels.rows import ONE, ZERO, copy_row, fill_zero, product


@compiled
def add_linear(t: int, rows: Any, packed: Any, bias: Any, sums: Any) -> None:
    """Writes a linear layer's outputs.

    Args:
        t: the row, in [0, R).
        rows: [R, B, K]: inputs.
        packed: the weights' transpose, [K, N], by `cores.kernels.products.panels`.
        bias: [N].
        sums: [B, N]: becomes rows[t] @ weights + bias.
    """
    for b in range(sums.shape[0]):
        copy_row(bias, sums[b])
    add_matrix_product(rows[t], packed, sums)


@compiled
def write_inputs(
    t: int, sums: Any, resets: Any, prev_actions: Any, prev_rewards: Any, remembers: bool, inputs: Any
) -> None:
    """Writes what a core reads: the observation, encoded, and what was done and paid before.

    Args:
        t: the row, in [0, R).
        sums: [B, E]: the encoded observations before their rectifier.
        resets: [R, B] bool: nothing was done or paid before.
        prev_actions: [R, B] int64: in 0 ... A - 1; another is left out.
        prev_rewards: [R, B].
        remembers: whether the core is to be told of the past at all.
        inputs: [B, E + A + 1]: overwritten with relu(sums), the action's one-hot code and the reward.
    """
    E, last = sums.shape[1], inputs.shape[1] - 1
    for b in range(sums.shape[0]):
        row = inputs[b]
        for e in range(E):
            row[e] = ZERO if sums[b, e] < ZERO else sums[b, e]  # NaN is not less: it stays
        fill_zero(row[E:])
        if remembers and not resets[t, b]:
            action = prev_actions[t, b]
            if 0 <= action < last - E:
                row[E + action] = ONE
            row[last] = prev_rewards[t, b]


@compiled
def write_products(output: Any, inputs: Any, of_memory: Any, of_inputs: Any, seen: Any, read: Any) -> None:
    """Writes a core's output, and products of what it remembers and sees: `agents.network.Products`.

    Args:
        output: [B, H]: the core's output.
        inputs: [B, I]: the core's inputs.
        of_memory: the transpose of the weights of what is remembered, [H, P], by
            `cores.kernels.products.panels`.
        of_inputs: likewise of what is seen, [I, P].
        seen: [B, P]: scratch.
        read: [B, H + P]: overwritten with the output and (output @ of_memory) * (inputs @ of_inputs).
    """
    H = output.shape[1]
    products = read[:, H:]
    for b in range(output.shape[0]):
        copy_row(output[b], read[b, :H])
        fill_zero(products[b])
        fill_zero(seen[b])
    add_matrix_product(output, of_memory, products)
    add_matrix_product(inputs, of_inputs, seen)
    for b in range(output.shape[0]):
        product(seen[b], products[b], products[b])


@compiled
def choose(t: int, read: Any, packed: Any, bias: Any, gumbel: Any, logits: Any, actions: Any) -> None:
    """Draws actions.

    Args:
        t: the step, in [0, T).
        read: [B, K]: what the policy reads.
        packed: the policy's weights' transpose, [K, A], by `cores.kernels.products.panels`.
        bias: [A].
        gumbel: [T, B, A]: Gumbel noise; with zeros the most probable action is taken.
        logits: [T, B, A]: row t becomes the policy's.
        actions: [T, B] int64: row t becomes the actions.
    """
    for b in range(read.shape[0]):
        copy_row(bias, logits[t, b])
    add_matrix_product(read, packed, logits[t])
    for b in range(read.shape[0]):
        best, chosen = logits[t, b, 0] + gumbel[t, b, 0], 0
        for a in range(1, bias.size):
            score = logits[t, b, a] + gumbel[t, b, a]
            if score > best:
                best, chosen = score, a
        actions[t, b] = chosen
