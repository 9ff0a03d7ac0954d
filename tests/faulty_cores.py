"""Cores with one planted fault each: what the conformance kit must find, and the rule it must name."""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cores.core import RecurrentCore, restart


class Sound(RecurrentCore):
    """A leaky network of tanh units, without a fault: h = 0.7 h + 0.3 tanh(W x + U h + b)."""

    def __init__(self, input_size, hidden_size, **keywords):
        super().__init__(input_size, hidden_size, **keywords)
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size, False)

    def project(self, x):
        return self.read(x)

    def step(self, projected, state):
        h = 0.7 * state[0] + 0.3 * torch.tanh(projected + self.recur(state[0]))
        return h, (h,)


class NumberedStart(Sound):
    """Starts each environment at its own number."""

    def initial_state(self, batch_size):
        return (
            torch.arange(batch_size).to(self.read.weight).unsqueeze(1).expand(batch_size, self.hidden_size),
        )


class BatchLast(Sound):
    """Keeps its state [H, B]."""

    def initial_state(self, batch_size):
        return (super().initial_state(batch_size)[0].T,)

    def step(self, projected, state):
        out, (h,) = super().step(projected, (state[0].T,))
        return out, (h.T,)


class WrongOutput(Sound):
    """Gives twice as many outputs as it says."""

    def step(self, projected, state):
        out, state = super().step(projected, state)
        return torch.cat([out, out], 1), state


class GrowingState(Sound):
    """Appends to its state."""

    def step(self, projected, state):
        out, (h,) = super().step(projected, (state[0][:, -self.hidden_size :],))
        return out, (torch.cat([state[0], h], 1),)


class Unseeded(Sound):
    """Draws weights from a generator that no seed of torch's decides."""

    generator = np.random.default_rng(0)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        drawn = self.generator.normal(size=(hidden_size, hidden_size))
        self.recur.weight.data = torch.from_numpy(drawn).float()


class AlwaysDropout(Sound):
    """Drops units in eval mode too."""

    def step(self, projected, state):
        out, state = super().step(projected, state)
        return functional.dropout(out, 0.1, training=True), state


class HiddenOnModule(Sound):
    """Remembers on the module what it should hand out as its state."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, state_shapes=())
        self.h = None

    def step(self, projected, state):
        if self.h is None or self.h.shape != projected.shape:
            self.h = torch.zeros_like(projected)
        out, (h,) = super().step(projected, (self.h,))
        self.h = h.detach()
        return out, ()


class WritesIntoState(Sound):
    """Updates the state it was given in place."""

    def step(self, projected, state):
        out, (h,) = super().step(projected, state)
        state[0].data.copy_(h.detach())
        return out, (h,)


class NotANumber(Sound):
    """Takes the root of what may be negative."""

    def step(self, projected, state):
        out, state = super().step(projected, state)
        return out.sqrt(), state


class Overflows(Sound):
    """Multiplies its state by more than one."""

    def step(self, projected, state):
        h = 3.0 * state[0] + torch.tanh(projected + self.recur(state[0]))
        return h, (h,)


class OtherInEvaluation(Sound):
    """Does something else in eval mode."""

    def step(self, projected, state):
        out, state = super().step(projected, state)
        return out if self.training else 0.9 * out, state


class StaleForward(Sound):
    """Overrides forward, and follows an older version of its step."""

    def forward(self, inputs, state, reset):
        outs = []
        for projected, first in zip(self.project(inputs), reset, strict=True):
            (h,) = restart(first, self.initial_state(inputs.shape[1]), state)
            h = 0.6 * h + 0.4 * torch.tanh(projected + self.recur(h))
            outs, state = [*outs, h], (h,)
        return torch.stack(outs), state


class StaleActing(Sound):
    """Has a faster path for acting, in which a weight is missing."""

    def forward(self, inputs, state, reset):
        if torch.is_grad_enabled() or len(inputs) > 1:
            return super().forward(inputs, state, reset)
        (h,) = restart(reset[0], self.initial_state(inputs.shape[1]), state)
        h = 0.7 * h + 0.3 * torch.tanh(self.project(inputs[0]))
        return h[None], (h,)


class FadesBetweenUnrolls(Sound):
    """Hands out a state that has faded once more than it should."""

    def forward(self, inputs, state, reset):
        out, last = super().forward(inputs, state, reset)
        return out, (0.9 * last[0],)


class NormalisesBatch(Sound):
    """Subtracts the mean over the environments."""

    def step(self, projected, state):
        return super().step(projected - projected.mean(0), state)


class RunsAlongBatch(Sound):
    """Sums along the batch."""

    def project(self, x):
        return super().project(x).cumsum(-2)


class ForgetsReset(Sound):
    """Ignores the reset."""

    def forward(self, inputs, state, reset):
        return super().forward(inputs, state, torch.zeros_like(reset))


class ResetsAfterwards(Sound):
    """Resets after the step instead of before it."""

    def forward(self, inputs, state, reset):
        outs = []
        for projected, first in zip(self.project(inputs), reset, strict=True):
            out, state = self.step(projected, state)
            state, outs = restart(first, self.initial_state(inputs.shape[1]), state), [*outs, out]
        return torch.stack(outs), state


class ResetsEverybody(Sound):
    """Resets all environments as soon as one begins an episode."""

    def forward(self, inputs, state, reset):
        return super().forward(inputs, state, reset.any(1, keepdim=True).expand_as(reset))


class _Multiplying(Sound):
    """Applies the reset by `masked`, a function of the kept share [B, 1] and the state."""

    def forward(self, inputs, state, reset):
        outs = []
        for projected, first in zip(self.project(inputs), reset, strict=True):
            state = (self.masked((~first).to(inputs.dtype).unsqueeze(1), state[0]),)
            out, state = self.step(projected, state)
            outs.append(out)
        return torch.stack(outs), state


class MultipliesReset(_Multiplying):
    """Resets by a product with a mask."""

    def masked(self, keep, h):
        return keep * h


class LeakyReset(_Multiplying):
    """Resets the numbers and lets the gradient through."""

    def masked(self, keep, h):
        return h - ((1 - keep) * h).detach()


class DetachedParameter(Sound):
    """Never learns its input weights' bias."""

    def project(self, x):
        return functional.linear(x, self.read.weight, self.read.bias.detach())


class DetachedState(Sound):
    """Truncates the gradient at every step."""

    def step(self, projected, state):
        return super().step(projected, (state[0].detach(),))


class NeverReads(Sound):
    """Writes a state and does not read it."""

    def step(self, projected, state):
        out, state = super().step(projected, (torch.full_like(state[0], 0.1),))
        return out, state


class HardFloat32(Sound):
    """Makes its initial state in float32 whatever it computes in."""

    def initial_state(self, batch_size):
        return (torch.zeros(batch_size, self.hidden_size),)


class RoundsOnTheWay(Sound):
    """Computes in float32 and hands out float64."""

    def step(self, projected, state):
        h = 0.7 * state[0] + 0.3 * torch.tanh((projected + self.recur(state[0])).float()).to(projected.dtype)
        return h, (h,)


class _WrongTanh(torch.autograd.Function):
    """A tanh whose backward forgets the square."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.tanh())
        return x.tanh()

    @staticmethod
    def backward(ctx, d_out):
        return d_out * (1 - ctx.saved_tensors[0])


class WrongBackward(Sound):
    """Has a backward of its own, with a mistake."""

    def step(self, projected, state):
        h = 0.7 * state[0] + 0.3 * _WrongTanh.apply(projected + self.recur(state[0]))
        return h, (h,)


class CachesWeights(Sound):
    """Copies a weight on its first step, and goes on with the copy when acting."""

    kept = None

    def step(self, projected, state):
        if torch.is_grad_enabled():
            return super().step(projected, state)
        if self.kept is None or self.kept.dtype != projected.dtype:
            self.kept = self.recur.weight.detach().clone()
        h = 0.7 * state[0] + 0.3 * torch.tanh(projected + functional.linear(state[0], self.kept))
        return h, (h,)


class StaleStepper(Sound):
    """Acts with the weights of its stepper's first day."""

    def stepper(self, batch_size):
        return super(StaleStepper, copy.deepcopy(self)).stepper(batch_size)


class UnsavedConstant(Sound):
    """Keeps a drawn constant outside its state_dict."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.decay = torch.rand(hidden_size).tolist()

    def step(self, projected, state):
        h = projected.new_tensor(self.decay) * state[0] + torch.tanh(projected + self.recur(state[0]))
        return h, (h,)


class SharedCopies(Sound):
    """Is its own copy."""

    def __deepcopy__(self, memo):
        return self


class WrongGates(Sound):
    """Names its gates in a way of its own."""

    def gates(self, projected, state):
        return {"keep": torch.full_like(projected, 0.7)}


FAULTS = {
    NumberedStart: "initial-state",
    BatchLast: "initial-state",
    WrongOutput: "shapes",
    GrowingState: "shapes",
    Unseeded: "seed",
    AlwaysDropout: "no-randomness",
    HiddenOnModule: "nothing-kept",
    WritesIntoState: "arguments",
    NotANumber: "finite",
    Overflows: "finite",
    OtherInEvaluation: "modes",
    StaleForward: "steps",
    StaleActing: "steps",
    FadesBetweenUnrolls: "split",
    NormalisesBatch: "environments",
    RunsAlongBatch: "environments",
    ForgetsReset: "resets",
    ResetsAfterwards: "resets",
    ResetsEverybody: "resets",
    LeakyReset: "reset-gradient",
    MultipliesReset: "broken-state",
    DetachedParameter: "parameters",
    DetachedState: "through-time",
    NeverReads: "through-time",
    HardFloat32: "float64",
    RoundsOnTheWay: "float64",
    WrongBackward: "gradients",
    CachesWeights: "updates",
    StaleStepper: "stepper",
    UnsavedConstant: "save-load",
    SharedCopies: "deep-copy",
    WrongGates: "gates",
}
"""Each fault, and the first rule that it breaks."""
