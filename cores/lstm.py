"""The LSTM family: how the forget gate starts, times what helps it, makes twelve cores in one class.

Source: Gu et al. 2020, "Improving the Gating Mechanism of Recurrent Neural Networks" (arXiv 1910.09890),
whose ablation is this grid; Hochreiter & Schmidhuber 1997 and Gers et al. 2000 for the LSTM itself.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from cores.core import RecurrentCore, State, Stepper, require_size
from cores.gates import (
    CHUNK,
    GATE_GAIN,
    HELPS,
    SPREAD,
    STARTS,
    cumax,
    effective_options,
    require_choice,
    require_flag,
)
from cores.kernels import Weights, fusable, fused_unroll, gated_lstm_cell, lstm_stepper
from cores.norm import initial_gain, normalise


class GatedLSTM(RecurrentCore):
    """An LSTM whose forget gate starts in one of four ways and is helped in one of three.

    With P_x = W_x x_t + U_x h_{t-1} + b_x:

        f = sigma(P_f), or cumax(P_f)      u = tanh(P_u)      o = sigma(P_o)
        none      i = sigma(P_i)                                     c = f*c + i*u
        refine    r = sigma(P_r)  g = refine(f, r)  (eqs. 9, 10)     c = g*c + (1-g)*u  (eq. 11)
        master    i = sigma(P_i)  f_hat, i_hat = master(f, i, ...)   c = f_hat*c + i_hat*u
        h = o * tanh(c)

    Biases at the start: f's is what `start` says. Beside it the input gate's is -b_f with "chrono" (Tallec &
    Ollivier 2018), and the refine gate's is -b_f with "chrono" and "uniform" (Gu et al. 2020: r = 1 - f).
    Every other is zero. All are ordinary parameters, drawn once.

    Weights at the start: the candidate's rows are uniform within 1/sqrt(fan-in), the gates' rows within half
    of that, whatever the start and the help, so that a difference between two cores is one of their gates.
    Uniform and not orthogonal: what a seed gives should not depend on the machine, and a QR routine does.

    With layer_norm, W_x x_t + U_x h_{t-1} is normalised, each gate apart, before b_x is added (`cores.norm`),
    and the unroll is not fused. The state is (h, c), both [B, H].

    Attributes:
        start: how the forget gate starts: "standard", "chrono", "cumax" or "uniform".
        help: what helps it: "none", "refine" or "master".
        chunk: C, units that share one entry of a master gate.
        weight_ih: [G, I]: input weights, G = 4 H, or 4 H + 2 H / C with master gates. The rows are, in order,
            f, i (with refine: r), o, u, and the master gates' P_F and P_I.
        weight_hh: [G, H]: recurrent weights.
        bias: [G]: biases.
        gain: [G]: with layer_norm, the factors behind the norm: 1/2 for the gates and 1 for the candidate at
            the start; else None.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, units.
        start: as above.
        help: as above.
        forget_bias: with start="standard": the bias of f; 1 if not given.
        t_max: with start="chrono": the longest dependency, in steps, at least 3; 100 if not given.
        refine_bias: with help="refine" and start="chrono" or "uniform": "mirrored", so that r = 1 - f at the
            start, as in the paper, or "zero", so that r = 1/2 and g = f; "mirrored" if not given.
        chunk: with help="master": C, a divisor of H; 1 if not given.
        layer_norm: whether pre-activations are normalised.

    Raises:
        ValueError: if a value is out of range, or an option is given where it would have no effect.
    """

    _redefined = False

    def __init_subclass__(cls, **keywords: object) -> None:
        """Notices a subclass with a step, an input product or a start of its own: it must not be fused."""
        super().__init_subclass__(**keywords)
        parts = ("initial_state", "project", "step", "_activate")
        cls._redefined = any(getattr(cls, name) is not getattr(GatedLSTM, name) for name in parts)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        start: str = "standard",
        help: str = "none",
        forget_bias: float | None = None,
        t_max: float | None = None,
        refine_bias: str | None = None,
        chunk: int | None = None,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, state_shapes=((hidden_size,), (hidden_size,)))
        options = {"forget_bias": forget_bias, "t_max": t_max, "refine_bias": refine_bias, "chunk": chunk}
        given = {name: value for name, value in options.items() if value is not None}
        effective = effective_options(start, help)
        for name in given:
            if name not in effective:
                raise ValueError(f"{name} has no effect with start={start!r}, help={help!r}: leave it out")
        self.start, self.help = start, help
        self.refine_bias = "mirrored" if refine_bias is None else refine_bias
        require_choice("refine_bias", self.refine_bias, ("mirrored", "zero"))
        self.chunk = CHUNK if chunk is None else require_size("chunk", chunk)
        if hidden_size % self.chunk:
            raise ValueError(f"chunk must divide hidden_size, and {self.chunk} does not divide {hidden_size}")
        self._bias_options = {name: given[name] for name in ("forget_bias", "t_max") if name in given}
        self._master_widths = [hidden_size // self.chunk] * 2 if help == "master" else []
        self._widths = [hidden_size] * 4 + self._master_widths

        rows = sum(self._widths)
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))  # [G, I]
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))  # [G, H]
        self.bias = nn.Parameter(torch.empty(rows))  # [G]
        self.gain: nn.Parameter | None = None
        if require_flag("layer_norm", layer_norm):
            self.gain = nn.Parameter(initial_gain(self._widths, candidate=3))  # [G]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all weights and biases anew, as the class describes, from torch's global generator."""
        H = self.hidden_size
        for weight in (self.weight_ih, self.weight_hh):
            bound = weight.shape[1] ** -0.5
            weight.uniform_(-bound, bound)
            weight[: 3 * H] *= GATE_GAIN
            weight[4 * H :] *= GATE_GAIN
        forget_bias = STARTS[self.start](H, **self._bias_options)
        if self.help == "refine":
            mirrored = self.start in SPREAD and self.refine_bias == "mirrored"
        else:
            mirrored = self.start == "chrono"
        self.bias.zero_()
        self.bias[:H] = forget_bias
        if mirrored:
            self.bias[H : 2 * H] = -forget_bias
        if self.gain is not None:
            self.gain.copy_(initial_gain(self._widths, candidate=3))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Computes W x + b for all gates at once; with layer_norm b comes later.

        Args:
            x: [..., I]: inputs.

        Returns:
            [..., G]: the inputs' share of the pre-activations.
        """
        return linear(x, self.weight_ih, self.bias if self.gain is None else None)

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Reads one input per environment, by the equations of the class.

        Args:
            projected: [B, G]: the projected inputs.
            state: (h, c), both [B, H].

        Returns:
            h [B, H] and the new (h, c).
        """
        h, c = state
        forget, write, out, u, _ = self._activate(projected, h)
        # The tied gate as an interpolation: one operation, and nothing lost to 1 - g where g is close to 1.
        c = torch.lerp(u, c, forget) if write is None else torch.addcmul(forget * c, write, u)
        h = out * torch.tanh(c)
        return h, (h, c)

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Reads T inputs per environment, fused where that is possible; `RecurrentCore.forward` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: (h, c), both [B, H]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode.

        Returns:
            out [T, B, H] and (h, c) after inputs[T-1].

        Raises:
            ValueError: if a shape or a dtype is not as above.

        Note:
            Fused, it can be differentiated once; `RecurrentCore.forward(core, ...)` as often as one likes.
        """
        self.require_unroll(inputs, state, reset)
        cell = self._cell(inputs, *state)
        if cell is None:
            return super().forward(inputs, state, reset)
        h, c = state
        out, h, c = fused_unroll(cell, inputs, h, c, reset, self._weights())
        return out, (h, c)

    def stepper(self, batch_size: int) -> Stepper:
        """Makes what takes this core's steps one at a time; see `RecurrentCore.stepper`.

        Args:
            batch_size: B, number of environments.
        """
        plain = type(self).forward is GatedLSTM.forward  # a subclass may unroll otherwise
        cell = self._cell() if plain and self.weight_hh.is_cpu else None
        if cell is None:
            return super().stepper(batch_size)
        return lstm_stepper(cell, self._weights(), batch_size)

    def _weights(self) -> Weights:
        return Weights(self.weight_ih, self.weight_hh, self.bias)

    def _cell(self, *tensors: torch.Tensor) -> Any:
        """The fused cell for these tensors and the weights; None where the unroll can't be fused."""
        if self._redefined or self.gain is not None or not fusable(*tensors, *self._weights()):
            return None
        return gated_lstm_cell(self.start == "cumax", self.help, self.chunk, self.weight_hh.device.type)

    def gates(self, projected: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        """Tells how far each gate stands open in the step that `step` would take.

        Args:
            projected: [B, G]: the projected inputs.
            state: (h, c), both [B, H].

        Returns:
            [B, H] by name: "forget" and "input", the factors in c_new = forget * c + input * candidate;
            "primary", the forget gate before it is helped; "output", the factor of tanh(c_new); "candidate",
            u.
        """
        forget, write, out, u, primary = self._activate(projected, state[0])
        write = 1.0 - forget if write is None else write
        return {"forget": forget, "primary": primary, "input": write, "output": out, "candidate": u}

    @torch.no_grad()
    def unroll_gates(
        self, inputs: torch.Tensor, state: State, reset: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Records the gates along an unroll, all at once; `RecurrentCore.unroll_gates` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: (h, c), both [B, H]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode.

        Returns:
            Tensors [T, B, H] by the names of `gates`.

        Raises:
            ValueError: as `forward`.
        """
        if self._redefined:  # its gates may read anything
            return super().unroll_gates(inputs, state, reset)
        return self._gates_by_outputs(inputs, state, reset)

    def _activate(
        self, projected: torch.Tensor, h: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the effective forget gate, the input gate (None: one minus it), o, u and f, each [B, H]."""
        H = self.hidden_size
        pre = torch.addmm(projected, h, self.weight_hh.t())  # [B, G]
        if self.gain is not None:
            pre = normalise(pre, self._widths, self.gain, self.bias)
        # The backward of a split is one concatenation; that of slices would be a sum of zero-padded copies.
        if self.start == "cumax":
            pre_f, pre_gates, pre_u, *pre_master = pre.split([H, 2 * H, H, *self._master_widths], dim=1)
            beside, out = pre_gates.sigmoid().chunk(2, dim=1)
            f = cumax(pre_f)
        else:
            pre_gates, pre_u, *pre_master = pre.split([3 * H, H, *self._master_widths], dim=1)
            f, beside, out = pre_gates.sigmoid().chunk(3, dim=1)
        forget, write = HELPS[self.help](f, beside, *pre_master)
        return forget, write, out, pre_u.tanh(), f

    def extra_repr(self) -> str:
        """Returns what `print(core)` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}, start={self.start!r}, help={self.help!r}"
