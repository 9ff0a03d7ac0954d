"""Rules about what a core keeps and draws. Each is a function of a factory that returns a complaint, or None.

Source: none. Agents copy cores, save them, move them between processes, and must get the same numbers.
"""

import copy

import torch

from cores.conformance.trial import (
    B,
    Make,
    T,
    difference,
    has_dropout,
    prepare,
    resets,
    some_inputs,
    state_difference,
    trial,
)

SEED, OTHER_SEED = 3, 4


def seed(make: Make) -> str | None:
    """Checks that torch's seed, and nothing else, decides the parameters."""
    drawn = []
    for _ in range(2):
        torch.manual_seed(SEED)
        drawn.append(make().state_dict())
    if list(drawn[0]) != list(drawn[1]):
        return "two cores of one factory have different parameters"
    for name, value in drawn[0].items():
        if words := difference(value, drawn[1][name]):
            return f"after the same torch.manual_seed, {name} differs {words}"
    return None


def no_randomness(make: Make) -> str | None:
    """Checks that an unroll draws nothing; dropout modules are in eval mode."""
    results = []
    for run_seed in (SEED, OTHER_SEED):
        torch.manual_seed(SEED)
        core, inputs, state = trial(make)
        torch.manual_seed(run_seed)
        results.append(core(inputs, state, resets(inputs)))
    words = difference(results[0][0], results[1][0]) or state_difference(results[0][1], results[1][1])
    return f"the same unroll under another random seed differs {words}" if words else None


def nothing_kept(make: Make) -> str | None:
    """Checks that an unroll leaves nothing behind that the next one feels: all memory is in the state."""
    core, inputs, state = trial(make)
    reset = resets(inputs)
    between = some_inputs(core, T, B + 1)
    results = []
    for run in range(2):
        torch.manual_seed(SEED)
        results.append(core(inputs, state, reset))
        if run == 0:
            core(between, core.initial_state(B + 1), resets(between))
    words = difference(results[0][0], results[1][0]) or state_difference(results[0][1], results[1][1])
    return f"the same unroll, repeated after another one, differs {words}" if words else None


def modes(make: Make) -> str | None:
    """Checks that train and eval mode agree, where there is no dropout."""
    core, inputs, state = trial(make)
    if has_dropout(core):
        return None
    reset = resets(inputs, (2, 0))
    trained, evaluated = core.train()(inputs, state, reset), core.eval()(inputs, state, reset)
    words = difference(trained[0], evaluated[0]) or state_difference(trained[1], evaluated[1])
    return f"train and eval mode differ {words}" if words else None


def arguments(make: Make) -> str | None:
    """Checks that neither an unroll nor a step writes into what it is given."""
    core, inputs, state = trial(make)
    reset = resets(inputs, (2, 0))
    with torch.no_grad():
        projected = core.project(inputs[0]).clone()
        given = {"inputs": inputs, "reset": reset, "projected": projected}
        given |= {f"state {k}": tensor for k, tensor in enumerate(state)}
        before = {name: tensor.clone() for name, tensor in given.items()}
        for name, call in (
            ("forward", lambda: core(inputs, state, reset)),
            ("step", lambda: core.step(projected, state)),
            ("gates", lambda: core.gates(projected, state)),
        ):
            call()
            for argument, tensor in given.items():
                if not torch.equal(tensor, before[argument]):
                    return f"{name} writes into {argument}"
    return None


def save_load(make: Make) -> str | None:
    """Checks that a state_dict holds all that decides a core's results."""
    core, inputs, state = trial(make)
    reset = resets(inputs, (2, 0))
    torch.manual_seed(OTHER_SEED)
    twin = prepare(make)
    loaded = twin.load_state_dict(core.state_dict(), strict=False)
    if loaded.missing_keys or loaded.unexpected_keys:
        return f"the state_dict does not fit another core of its kind: {loaded}"
    (out, last), (found, found_last) = core(inputs, state, reset), twin(inputs, state, reset)
    words = difference(found, out) or state_difference(found_last, last)
    return f"a core that loaded another's state_dict differs from it {words}" if words else None


def updated_weights(make: Make) -> str | None:
    """Checks that a step of the optimiser is felt at once, by acting and by learning."""
    core, inputs, state = trial(make)
    reset = resets(inputs)
    with torch.no_grad():
        core(inputs[:1], state, reset[:1])
        core(inputs, state, reset)
        for parameter in core.parameters():
            parameter.mul_(0.5).add_(0.1)
        twin = prepare(make)
        twin.load_state_dict(core.state_dict())
        for num_steps in (1, T):
            found, wanted = (one(inputs[:num_steps], state, reset[:num_steps])[0] for one in (core, twin))
            if words := difference(found, wanted):
                return f"after its weights changed in place, an unroll of {num_steps} steps differs {words}"
    return None


def deep_copy(make: Make) -> str | None:
    """Checks that a deep copy gives the same results, and goes its own way when it learns."""
    core, inputs, state = trial(make)
    reset = resets(inputs, (2, 0))
    out, _ = core(inputs, state, reset)
    twin = copy.deepcopy(core)
    if words := difference(twin(inputs, state, reset)[0], out):
        return f"a deep copy differs {words}"
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    if words := difference(core(inputs, state, reset)[0], out):
        return f"when a deep copy learns, the core itself changes {words}"
    return None
