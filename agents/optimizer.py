"""Steps of Adam and RMSProp on named parameters.

Source: Kingma & Ba 2015 (arXiv 1412.6980), Algorithm 1; Tieleman & Hinton 2012, lecture 6.5. The arithmetic
is torch's. Its optimiser objects are not used: they import torch's compiler, which costs a second at the
start of a run and 140 MB as long as it lasts, and they keep their state by position, where a name can be
checked.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop

Moments = dict[str, dict[str, Tensor]]
"""By the parameter's name: "step", [] float32, and running means of the parameter's shape."""

_adam: Any = adam  # their decorators hide their types
_rmsprop: Any = rmsprop

MEANS = {"adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("square_avg",)}
"""Running means that each method keeps; the last one is that of squares."""
ALPHA = 0.99
"""RMSProp's share of the mean square that stays at a step."""


class Optimizer:
    """Adam (beta1 0.9) or RMSProp (alpha 0.99, no momentum)."""

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        method: Literal["adam", "rmsprop"],
        epsilon: float,
        beta2: float = 0.999,
    ):
        """Begins with no steps taken.

        Args:
            parameters: names and parameters, on one device.
            method: whose steps to take.
            epsilon: added to the root of the mean square.
            beta2: Adam's.
        """
        self._parameters = dict(parameters)
        self._method, self._epsilon, self._beta2 = method, epsilon, beta2
        self._moments: Moments = {
            name: {
                "step": torch.zeros((), device=parameter.device),
                **{mean: torch.zeros_like(parameter) for mean in MEANS[method]},
            }
            for name, parameter in self._parameters.items()
        }

    def zero_grad(self) -> None:
        """Drops the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def clip(self, max_norm: float, max_growth: float) -> Tensor:
        """Scales the gradients to a norm that is allowed.

        The first gradient far larger than those before it would make Adam take a leap, and small steps for as
        long as its mean square remembers.

        Args:
            max_norm: the largest.
            max_growth: the largest, as a multiple of `usual_norm`; 0: whatever that is.

        Returns:
            [] their norm as it was, on their device.
        """
        parameters = [parameter for parameter in self._parameters.values() if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        clip_grads_with_norm_(parameters, max_norm, norm)
        if max_growth:
            clip_grads_with_norm_(
                parameters, 1.0, norm.clamp(max=max_norm) / (max_growth * self.usual_norm())
            )
        return norm

    def usual_norm(self) -> Tensor:
        """[]: the gradient's norm so far, by its running mean square; infinite where there was none yet."""
        decay = self._beta2 if self._method == "adam" else ALPHA
        mean_squares = [moments[MEANS[self._method][-1]].sum() for moments in self._moments.values()]
        steps = torch.stack([moments["step"] for moments in self._moments.values()]).max()
        square = torch.stack(mean_squares).sum() / (1 - decay**steps)
        return torch.where(square > 0, square.sqrt(), torch.inf)

    @torch.no_grad()
    def step(self, learning_rate: float, skipped: Tensor | None = None) -> None:
        """Moves every parameter against its gradient; one without a gradient stays.

        Args:
            learning_rate: step size.
            skipped: [] float32: nothing changes if it is 1. It stays on the device.
        """
        moved = [name for name, parameter in self._parameters.items() if parameter.grad is not None]
        parameters: list[Tensor] = [self._parameters[name] for name in moved]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        steps = [self._moments[name]["step"] for name in moved]
        means = [[self._moments[name][mean] for name in moved] for mean in MEANS[self._method]]
        if self._method == "adam":
            _adam(
                parameters, gradients, *means, [], steps, fused=True, amsgrad=False, beta1=0.9,
                beta2=self._beta2, lr=learning_rate, weight_decay=0.0, eps=self._epsilon, maximize=False,
                found_inf=skipped,
            )  # fmt: skip
        elif skipped is None or skipped.is_cuda or not skipped:
            changed = [*parameters, *means[0], *steps]
            unread = skipped is not None and skipped.is_cuda
            with unchanged_where(skipped, changed) if unread else nullcontext():
                _rmsprop(
                    parameters, gradients, *means, [], [], steps, foreach=True, lr=learning_rate, alpha=ALPHA,
                    eps=self._epsilon, weight_decay=0.0, momentum=0.0, centered=False,
                )  # fmt: skip

    def state_dict(self) -> Moments:
        """The steps taken and the running means: the tensors themselves, which the next step changes."""
        return {name: dict(moments) for name, moments in self._moments.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Moments) -> None:
        """Goes on from a state.

        Raises:
            KeyError, RuntimeError: the state belongs to other parameters or to another method; nothing has
                changed then.
        """
        for name, moments in self._moments.items():
            if moments.keys() != state[name].keys():
                raise KeyError(f"{name} has {', '.join(state[name])}, not {', '.join(moments)}")
            for key, tensor in moments.items():
                if tensor.shape != state[name][key].shape:
                    raise RuntimeError(f"{key} of {name} has the shape {tuple(state[name][key].shape)}")
        if state.keys() != self._moments.keys():
            raise KeyError(f"no parameters named {', '.join(state.keys() - self._moments.keys())}")
        for name, moments in self._moments.items():
            for key, tensor in moments.items():
                tensor.copy_(state[name][key])


@contextmanager
def unchanged_where(skipped: Tensor | None, tensors: list[Tensor]) -> Iterator[None]:
    """Undoes what the with block does to tensors where `skipped` [] is 1, without reading it."""
    assert skipped is not None
    before = [tensor.clone() for tensor in tensors]
    yield
    for tensor, old in zip(tensors, before, strict=True):
        tensor.copy_(torch.where(skipped.bool(), old, tensor))  # no product: it must survive NaN
