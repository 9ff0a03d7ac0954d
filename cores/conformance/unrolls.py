"""Rules about what an unroll returns. Each is a function of a factory that returns a complaint, or None.

Source: `cores.core.RecurrentCore`, the contract.
"""

from itertools import pairwise

import torch

from cores.conformance.trial import (
    B,
    Make,
    T,
    difference,
    floating,
    prepare,
    resets,
    rows,
    some_inputs,
    state_difference,
    trial,
)
from cores.core import RecurrentCore, State


def initial_state(make: Make) -> str | None:
    """Checks the state in which episodes start: [B, ...], by `state_shapes`, finite, the same for all."""
    core = prepare(make)
    like = next(core.parameters(), torch.empty(0))
    for num_envs in (B, 1):
        state = core.initial_state(num_envs)
        if not isinstance(state, tuple):
            return f"initial_state returns a {type(state).__name__}, not a tuple of tensors"
        if complaint := _wrong_state(core, state, num_envs, like.dtype):
            return f"initial_state({num_envs}) {complaint}"
        for tensor in state:
            if not bool(tensor.isfinite().all()):
                return f"initial_state({num_envs}) is not finite"
            if bool((tensor != tensor[:1]).any()):
                return f"initial_state({num_envs}) differs between environments"
    if words := state_difference(core.initial_state(1), rows(core.initial_state(B), slice(1))):
        return f"initial_state(1) and initial_state({B}) differ {words}"
    return None


def shapes(make: Make) -> str | None:
    """Checks shapes and dtypes of all that comes out, for several numbers of steps and environments."""
    core = prepare(make)
    dtype = next(core.parameters(), torch.empty(0)).dtype
    for num_steps, num_envs in ((T, B), (1, B), (T, 1), (2, 7)):
        inputs = some_inputs(core, num_steps, num_envs)
        where = f"of T={num_steps}, B={num_envs}"
        state = core.initial_state(num_envs)
        for name in ("step", "forward"):
            if name == "step":
                found, after = core.step(core.project(inputs[0]), state)
                wanted = [num_envs, core.output_size]
            else:
                found, after = core(inputs, state, resets(inputs))
                wanted = [num_steps, num_envs, core.output_size]
            if list(found.shape) != wanted:
                return f"{name}: out {where} has shape {list(found.shape)}, not {wanted}"
            if found.dtype != dtype:
                return f"{name}: out {where} is {found.dtype}, the parameters are {dtype}"
            if not isinstance(after, tuple):
                return f"{name}: the state is a {type(after).__name__}, not a tuple of tensors"
            if complaint := _wrong_state(core, after, num_envs, dtype):
                return f"{name}: the state {where} {complaint}"
    return None


def _wrong_state(core: RecurrentCore, state: State, num_envs: int, dtype: torch.dtype) -> str | None:
    found = [list(tensor.shape) for tensor in state]
    wanted = [[num_envs, *shape] for shape in core.state_shapes]
    if found != wanted:
        return f"has shapes {found}, not {wanted}"
    strange = [tensor.dtype for tensor in state if tensor.is_floating_point() and tensor.dtype != dtype]
    return f"is {strange[0]}, the parameters are {dtype}" if strange else None


def finite(make: Make) -> str | None:
    """Checks that a hundred steps of ordinary and of large inputs give finite numbers."""
    core = prepare(make)
    for size in (1, 10):
        inputs = size * some_inputs(core, 100)
        with torch.no_grad():
            out, last = core(inputs, core.initial_state(B), resets(inputs))
        for t, row in enumerate(out):
            if not bool(row.isfinite().all()):
                return f"out is not finite from step {t} on, with inputs of size {size}"
        if not all(bool(tensor.isfinite().all()) for tensor in last):
            return f"the state is not finite after 100 steps, with inputs of size {size}"
    return None


def steps(make: Make) -> str | None:
    """Checks that `forward` is `project` and `step`, one after the other; with and without gradients."""
    core, inputs, state = trial(make)
    for with_gradient in (True, False):
        for num_steps in (
            T,
            1,
        ):  # a single step without gradients is acting, which may have a path of its own
            with torch.set_grad_enabled(with_gradient):
                out, last = core(inputs[:num_steps], state, resets(inputs[:num_steps]))
                now = state
                for t in range(num_steps):
                    stepped, now = core.step(core.project(inputs[t]), now)
                    if words := difference(out[t], stepped):
                        return f"forward and step {t} of {num_steps} differ {words}"
                if words := state_difference(last, now):
                    return f"the states after {num_steps} steps differ {words}"
    return None


def stepper(make: Make) -> str | None:
    """Checks that a stepper does what `forward` does: in a state it is given, with resets and new weights."""
    core, inputs, state = trial(make)
    reset = resets(inputs, (2, 0), (3, 0), (1, 2))
    with torch.no_grad():
        stepping = core.stepper(B)
        if words := state_difference(stepping.state, core.initial_state(B)):
            return f"a new stepper's state differs from the initial one {words}"
        for weights in ("first", "changed"):
            out, last = core(inputs, state, reset)
            stepping.refresh()
            stepping.state = state
            before, row = stepping.state, torch.empty_like(inputs[0])  # one row for all steps, as in acting
            for t in range(T):
                if words := difference(stepping.step(row.copy_(inputs[t]), reset[t]), out[t]):
                    return f"step {t} with {weights} weights differs {words}"
            if words := state_difference(stepping.state, last):
                return f"the state after {T} steps with {weights} weights differs {words}"
            if words := state_difference(before, state):
                return f"a step changes the state that was told before {words}"
            for parameter in core.parameters():
                parameter.mul_(0.5)
    return None


def split(make: Make) -> str | None:
    """Checks that an unroll cut in two, at any place, equals the whole."""
    core, inputs, state = trial(make)
    reset = resets(inputs, (2, 0), (1, 2))
    out, last = core(inputs, state, reset)
    for cut in range(1, T):
        first, between = core(inputs[:cut], state, reset[:cut])
        second, end = core(inputs[cut:], between, reset[cut:])
        if words := difference(torch.cat([first, second]), out):
            return f"cut before step {cut}, out differs {words}"
        if words := state_difference(end, last):
            return f"cut before step {cut}, the last state differs {words}"
    return None


def environments(make: Make) -> str | None:
    """Checks that an environment's results depend neither on the others nor on its place among them."""
    core, inputs, state = trial(make)
    reset = resets(inputs)
    out, last = core(inputs, state, reset)
    places = {f"environment {b} alone": [b] for b in range(B)}
    for name, place in {**places, "in another order": [2, 0, 1]}.items():
        chosen = torch.tensor(place, device=inputs.device)
        found, found_last = core(inputs[:, chosen], rows(state, chosen), reset[:, chosen])
        if words := difference(found, out[:, chosen]):
            return f"{name}: out differs {words}"
        if words := state_difference(found_last, rows(last, chosen)):
            return f"{name}: the last state differs {words}"
    return None


def reset_starts_anew(make: Make) -> str | None:
    """Checks that episodes in one unroll equal episodes run apart: one reset anywhere, and several."""
    core, inputs, state = trial(make)
    patterns = [resets(inputs, (t, b)) for t in range(T) for b in range(B)]
    patterns.append(resets(inputs, (0, 1), (2, 0), (3, 0), (T - 1, 2)))
    patterns.append(~resets(inputs))
    for reset in patterns:
        out, last = core(inputs, state, reset)
        for b in range(B):
            starts = [t for t in range(T) if reset[t, b]]
            for begin, end in pairwise(sorted({0, *starts, T})):
                before = core.initial_state(B) if begin in starts else state
                apart = inputs[begin:end]
                wanted, after = core(apart, before, resets(apart))
                if words := difference(out[begin:end, b], wanted[:, b]):
                    begun = "a reset" if begin in starts else "no reset yet"
                    return f"out of environment {b} from step {begin} ({begun}) differs {words}"
            if words := state_difference(rows(last, slice(b, b + 1)), rows(after, slice(b, b + 1))):
                return f"the last state of environment {b}, reset at steps {starts}, differs {words}"
    return None


def broken_state(make: Make) -> str | None:
    """Checks that a state of NaN or infinity ends with its episode, forward and backward."""
    core, inputs, state = trial(make)
    learnt = [parameter for parameter in core.parameters() if parameter.requires_grad]
    reset = resets(inputs, (0, 0))
    for bad in (float("nan"), float("inf")):
        broken = tuple(
            torch.cat([torch.full_like(old[:1], bad), old[1:]]) if old.is_floating_point() else old
            for old in state
        )
        leaves = [tensor.requires_grad_() for tensor in floating(broken)]
        out, last = core(inputs, broken, reset)
        wanted, wanted_last = core(inputs, state, reset)
        if words := difference(out, wanted) or state_difference(last, wanted_last):
            return f"after a state of {bad} and a reset, the results differ {words}"
        total = out.sum() + sum(tensor.sum() for tensor in floating(last))
        gradients = torch.autograd.grad(total, (*leaves, *learnt), allow_unused=True)
        if not all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients):
            return f"after a state of {bad} and a reset, a gradient is not finite"
    nan_inputs = inputs.clone()
    nan_inputs[1, 0] = float("nan")
    reset = resets(inputs, (3, 0))
    words = difference(core(nan_inputs, state, reset)[0][3:], core(inputs, state, reset)[0][3:])
    return f"after an input of NaN and a reset, out differs {words}" if words else None


def gates(make: Make) -> str | None:
    """Checks what a core says of its gates, where it says anything: "forget" and "input", [B, H]."""
    core, inputs, state = trial(make)
    told = core.gates(core.project(inputs[0]), state)
    if told and not {"forget", "input"} <= set(told):
        return f'gates must have "forget" and "input", or be empty; it has {", ".join(told)}'
    for name, gate in told.items():
        if gate.shape != (B, core.hidden_size):
            return f"gate {name!r} has shape {list(gate.shape)}, not {[B, core.hidden_size]}"
        if not bool(gate.isfinite().all()):
            return f"gate {name!r} is not finite"
    return None
