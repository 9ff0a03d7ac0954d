"""The linear recurrent unit: a memory of damped oscillators, which nothing but their inputs move.

Source: Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long Sequences" (arXiv 2303.06349),
sections 3.1 to 3.4 and appendix A; the non-linearity behind it is that of their block (section 2.2).
"""

import math

import torch
from torch import nn
from torch.nn.functional import gelu, glu, linear

from cores.core import RecurrentCore, State
from cores.kernels import fusable, fused_lru_scan, lru_scan

SMALLEST = 1e-6
"""The least that is drawn from [0, 1]: the logarithm of zero could not be trained."""


class LRU(RecurrentCore):
    """The LRU of Orvieto et al. 2023, with the gated linear unit that stands behind it in their block.

        x_t = lambda * x_{t-1} + gamma * (B u_t)          complex; lambda = exp(-exp(nu) + i exp(theta))
        y_t = Re(C x_t) + D u_t
        out = a * sigma(b),   [a, b] = V gelu(y_t) + c

    |lambda| < 1 whatever nu: the memory is stable, and fades by |lambda| a step. Without the last line the
    core would be linear in all that it ever saw, and so would an agent's heads on it.

    At the start: |lambda|^2 uniform in [r_min^2, r_max^2], its phase uniform in [0, max_phase], and
    gamma = sqrt(1 - |lambda|^2), so that white noise gives a state of its own size. B is normal, with a
    variance of 1/(2 I) for real and imaginary part each, C with 1/H, D with 1/I; the paper's D is diagonal,
    as its I = H. V is uniform within 1/sqrt(H), c is zero.

    The state is (Re x, Im x), both [B, H].

    Attributes:
        nu_log: [H]: nu.
        theta_log: [H]: theta.
        gamma_log: [H]: log(gamma).
        weight_ih: [3 H, I]: Re B, Im B, D.
        weight_y: [H, 2 H]: Re C, and minus Im C.
        weight_out: [2 H, H]: V.
        bias: [2 H]: c.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, complex units, and entries of one output.
        r_min: the least |lambda| at the start.
        r_max: the greatest; at most 1. The paper takes [0.9, 0.999] for its longest tasks.
        max_phase: the greatest phase at the start, in radians a step; pi/10 in the paper's longest tasks.

    Raises:
        ValueError: if a size is below one, or not 0 <= r_min < r_max <= 1, or max_phase is not in (0, 2 pi].
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        H = hidden_size
        super().__init__(input_size, H, state_shapes=((H,), (H,)))
        if not 0 <= _number("r_min", r_min) < _number("r_max", r_max) <= 1:
            raise ValueError(f"r_min and r_max must be 0 <= r_min < r_max <= 1, not {r_min!r} and {r_max!r}")
        if not 0 < _number("max_phase", max_phase) <= 2 * math.pi:
            raise ValueError(f"max_phase must lie in (0, 2 pi], not {max_phase!r}")
        self.r_min, self.r_max, self.max_phase = r_min, r_max, max_phase
        self.nu_log = nn.Parameter(torch.empty(H))  # [H]
        self.theta_log = nn.Parameter(torch.empty(H))  # [H]
        self.gamma_log = nn.Parameter(torch.empty(H))  # [H]
        self.weight_ih = nn.Parameter(torch.empty(3 * H, input_size))  # [3 H, I]
        self.weight_y = nn.Parameter(torch.empty(H, 2 * H))  # [H, 2 H]
        self.weight_out = nn.Parameter(torch.empty(2 * H, H))  # [2 H, H]
        self.bias = nn.Parameter(torch.empty(2 * H))  # [2 H]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all weights anew, as the class describes, from torch's global generator."""
        H, low, high = self.hidden_size, self.r_min**2, self.r_max**2
        square = low + (high - low) * torch.empty(H).uniform_(SMALLEST, 1.0 - SMALLEST)  # |lambda|^2
        self.nu_log.copy_((-0.5 * square.log()).log())
        self.theta_log.copy_((self.max_phase * torch.empty(H).uniform_(SMALLEST, 1.0)).log())
        self.gamma_log.copy_(0.5 * torch.log1p(-square))
        self.weight_ih[: 2 * H].normal_(std=(2 * self.input_size) ** -0.5)
        self.weight_ih[2 * H :].normal_(std=self.input_size**-0.5)
        self.weight_y.normal_(std=H**-0.5)
        self.weight_out.uniform_(-(H**-0.5), H**-0.5)
        self.bias.zero_()

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Computes gamma * (B u) and D u.

        Args:
            x: [..., I]: inputs (u in the paper).

        Returns:
            [..., 3 H]: what drives the real parts, the imaginary parts, and the output.
        """
        driving, passing = self._input_weights()
        return linear(x, torch.cat([driving, passing]))

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Reads one input per environment, by the equations of the class.

        Args:
            projected: [B, 3 H]: the projected inputs.
            state: (Re x, Im x), both [B, H].

        Returns:
            out [B, H] and the new (Re x, Im x).
        """
        driven_re, driven_im, passed = projected.chunk(3, dim=1)
        re, im = self._eigenvalues().chunk(2)
        x_re = driven_re + re * state[0] - im * state[1]
        x_im = driven_im + re * state[1] + im * state[0]
        return self._read_out(torch.cat([x_re, x_im], dim=1), passed), (x_re, x_im)

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Reads T inputs per environment, fused where that is possible; `RecurrentCore.forward` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: (Re x, Im x), both [B, H]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode.

        Returns:
            out [T, B, H] and (Re x, Im x) after inputs[T-1].

        Raises:
            ValueError: if a shape or a dtype is not as above.

        Note:
            Fused, it can be differentiated once; `RecurrentCore.forward(core, ...)` as often as one likes.
        """
        self.require_unroll(inputs, state, reset)
        if type(self) is LRU and fusable(inputs, *state, *self.parameters()):  # a subclass may step otherwise
            scan = lru_scan(inputs.device.type)
            if scan is not None:
                driving, passing = self._input_weights()
                rows = inputs.flatten(
                    0, 1
                )  # [T B, I]: of rank 3, sums would differ with and without gradient
                driven = linear(rows, driving).unflatten(0, reset.shape)
                before = torch.cat(state, dim=1)
                states, last = fused_lru_scan(scan, driven, before, self._eigenvalues(), reset)
                out = self._read_out(states.flatten(0, 1), linear(rows, passing))
                x_re, x_im = last.chunk(2, dim=1)
                return out.unflatten(0, reset.shape), (x_re.contiguous(), x_im.contiguous())
        return super().forward(inputs, state, reset)

    def gates(self, projected: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        """Tells how much each unit keeps and writes in a step; it is the same in every step.

        Args:
            projected: [B, 3 H]: the projected inputs.
            state: (Re x, Im x), both [B, H].

        Returns:
            [B, H] by name: "forget", |lambda|, and "input", gamma.
        """
        shape = (len(projected), self.hidden_size)
        forget, write = torch.exp(-self.nu_log.exp()), self.gamma_log.exp()
        return {"forget": forget.expand(shape), "input": write.expand(shape)}

    def _input_weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns gamma * B, real parts first, [2 H, I], and D, [H, I]."""
        weight_b, weight_d = self.weight_ih.split([2 * self.hidden_size, self.hidden_size])
        return weight_b * self.gamma_log.exp().repeat(2).unsqueeze(1), weight_d

    def _eigenvalues(self) -> torch.Tensor:
        """Returns lambda, real parts first, [2 H]."""
        size, phase = torch.exp(-self.nu_log.exp()), self.theta_log.exp()
        return torch.cat([size * phase.cos(), size * phase.sin()])

    def _read_out(self, x: torch.Tensor, passed: torch.Tensor) -> torch.Tensor:
        """Returns out [..., H], of the states [..., 2 H] and D u [..., H]."""
        y = passed + linear(x, self.weight_y)
        return glu(linear(gelu(y), self.weight_out, self.bias), dim=-1)

    def extra_repr(self) -> str:
        """Returns what `print(core)` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}, r_min={self.r_min}, r_max={self.r_max}"


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return value
