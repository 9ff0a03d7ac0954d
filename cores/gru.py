"""The GRU, and the UR-GRU: the same core with a refined update gate that starts uniform.

Sources: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder" (arXiv 1406.1078),
equations 5 to 8; Gu et al. 2020, "Improving the Gating Mechanism of Recurrent Neural Networks" (arXiv
1910.09890) for the update gate of the UR-GRU.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from cores.core import RecurrentCore, State, Stepper
from cores.gates import (
    GATE_GAIN,
    STARTS,
    effective_options,
    refine,
    require_choice,
    require_flag,
)
from cores.kernels import Weights, fusable, fused_gru_unroll, gated_gru_cell, gru_stepper
from cores.norm import initial_gain, normalise


class GatedGRU(RecurrentCore):
    """A GRU whose update gate starts in one of two ways and is refined or not.

    With P_x = W_x x_t + U_x h_{t-1} + b_x for the gates:

        z = sigma(P_z)      s = sigma(P_s)      u = tanh(W_u x_t + U_u (s*h_{t-1}) + b_u)
        none      g = z
        refine    r = sigma(P_r)  g = refine(z, r)  (Gu et al. 2020, equations 9, 10)
        h = (1-g)*h + g*u

    s is the reset gate. It acts on h before the product with U_u, as Cho et al. have it; torch.nn.GRU applies
    it to the product, and so is not the same function. z is one minus theirs: the factor of what is written.

    Biases at the start: b_z = -forget_bias with "standard": 1-g is what an LSTM's forget gate is. With
    "uniform" b_z is drawn by uniform gate initialisation, and the refine gate's is -b_z, so that r = 1 - z.
    The direction is of no account: where z is uniform so is 1 - z, and 1 - refine(z, r) equals
    refine(1 - z, 1 - r). So 1 - g is spread at the start as the forget gate of a UR-LSTM is; the slow units,
    of up to H / 2 steps, are those whose b_z is far below zero. Every other bias is zero. All are ordinary
    parameters, drawn once.

    Weights at the start are as in `cores.lstm.GatedLSTM`, and so is layer_norm; in the candidate it takes
    W_u x_t + U_u (s*h_{t-1}). The state is (h,), [B, H].

    Attributes:
        start: how the update gate starts: "standard" or "uniform".
        help: what helps it: "none" or "refine".
        weight_ih: [G, I]: input weights, G = 3 H, or 4 H with refine. The rows are, in order, z, (r), s, u.
        weight_hh: [G, H]: recurrent weights.
        bias: [G]: biases.
        gain: [G]: with layer_norm, the factors behind the norm; else None.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, units.
        start: as above.
        help: as above.
        forget_bias: with start="standard": minus the bias of z; 1 if not given.
        refine_bias: with help="refine" and start="uniform": "mirrored", so that r = 1 - z at the start, as in
            the paper, or "zero", so that r = 1/2 and g = z; "mirrored" if not given.
        layer_norm: whether pre-activations are normalised.

    Raises:
        ValueError: if a value is out of range, or an option is given where it would have no effect.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        start: str = "standard",
        help: str = "none",
        forget_bias: float | None = None,
        refine_bias: str | None = None,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        require_choice("start", start, ("standard", "uniform"))
        require_choice("help", help, ("none", "refine"))
        effective = effective_options(start, help)
        for name, value in (("forget_bias", forget_bias), ("refine_bias", refine_bias)):
            if value is not None and name not in effective:
                raise ValueError(f"{name} has no effect with start={start!r}, help={help!r}: leave it out")
        self.start, self.help = start, help
        self.refine_bias = "mirrored" if refine_bias is None else refine_bias
        require_choice("refine_bias", self.refine_bias, ("mirrored", "zero"))
        self._bias_options = {} if forget_bias is None else {"forget_bias": forget_bias}
        self._num_gates = 3 if help == "refine" else 2
        self._gates_width = self._num_gates * hidden_size

        rows = self._gates_width + hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))  # [G, I]
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))  # [G, H]
        self.bias = nn.Parameter(torch.empty(rows))  # [G]
        self.gain: nn.Parameter | None = None
        if require_flag("layer_norm", layer_norm):
            self.gain = nn.Parameter(self._initial_gain())  # [G]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all weights and biases anew, as the class describes, from torch's global generator."""
        H = self.hidden_size
        for weight in (self.weight_ih, self.weight_hh):
            bound = weight.shape[1] ** -0.5
            weight.uniform_(-bound, bound)
            weight[: self._gates_width] *= GATE_GAIN
        forget_bias = STARTS[self.start](H, **self._bias_options)
        self.bias.zero_()
        self.bias[:H] = -forget_bias
        if self.help == "refine" and self.start == "uniform" and self.refine_bias == "mirrored":
            self.bias[H : 2 * H] = forget_bias
        if self.gain is not None:
            self.gain.copy_(self._initial_gain())

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Computes W x + b for all gates and the candidate at once; with layer_norm b comes later.

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
            state: (h,), [B, H].

        Returns:
            h [B, H] and the new (h,).
        """
        (h,) = state
        update, _, u, _ = self._activate(projected, h)
        h = torch.lerp(h, u, update)
        return h, (h,)

    def forward(self, inputs: torch.Tensor, state: State, reset: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Reads T inputs per environment, fused where that is possible; `RecurrentCore.forward` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: (h,), [B, H]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode.

        Returns:
            out [T, B, H] and (h,) after inputs[T-1].

        Raises:
            ValueError: if a shape or a dtype is not as above.

        Note:
            Fused, it can be differentiated once; `RecurrentCore.forward(core, ...)` as often as one likes.
        """
        self.require_unroll(inputs, state, reset)
        cell = self._cell(inputs, *state)
        if cell is None:
            return super().forward(inputs, state, reset)
        out, h = fused_gru_unroll(cell, inputs, state[0], reset, self._weights())
        return out, (h,)

    def stepper(self, batch_size: int) -> Stepper:
        """Makes what takes this core's steps one at a time; see `RecurrentCore.stepper`.

        Args:
            batch_size: B, number of environments.
        """
        cell = self._cell() if self.weight_hh.is_cpu else None
        if cell is None:
            return super().stepper(batch_size)
        return gru_stepper(cell, self._weights(), batch_size)

    def _weights(self) -> Weights:
        return Weights(self.weight_ih, self.weight_hh, self.bias)

    def _cell(self, *tensors: torch.Tensor) -> Any:
        """The fused cell for these tensors and the weights; None where the unroll can't be fused."""
        plain = type(self) is GatedGRU and self.gain is None  # a subclass may step otherwise
        if not plain or not fusable(*tensors, *self._weights()):
            return None
        return gated_gru_cell(self.help, self.weight_hh.device.type)

    def gates(self, projected: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        """Tells how far each gate stands open in the step that `step` would take.

        Args:
            projected: [B, G]: the projected inputs.
            state: (h,), [B, H].

        Returns:
            [B, H] by name: "forget" and "input", 1 - g and g: the factors in
            h_new = forget * h + input * candidate; "primary", 1 - z, the first before it is refined;
            "reset", s; "candidate", u.
        """
        update, reset_gate, u, z = self._activate(projected, state[0])
        gates = {"forget": 1.0 - update, "primary": 1.0 - z, "input": update}
        return gates | {"reset": reset_gate, "candidate": u}

    @torch.no_grad()
    def unroll_gates(
        self, inputs: torch.Tensor, state: State, reset: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Records the gates along an unroll, all at once; `RecurrentCore.unroll_gates` defines it.

        Args:
            inputs: [T, B, I]: inputs.
            state: (h,), [B, H]: the state before inputs[0].
            reset: [T, B] bool: inputs[t, b] is the first of an episode.

        Returns:
            Tensors [T, B, H] by the names of `gates`.

        Raises:
            ValueError: as `forward`.
        """
        if type(self) is not GatedGRU:  # its gates may read anything
            return super().unroll_gates(inputs, state, reset)
        return self._gates_by_outputs(inputs, state, reset)

    def _activate(
        self, projected: torch.Tensor, h: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the effective update gate g, the reset gate s, the candidate u, and z, each [B, H]."""
        sizes = [self._gates_width, self.hidden_size]
        pre_gates, pre_u = projected.split(sizes, dim=1)
        weight_gates, weight_u = self.weight_hh.split(sizes)
        pre_gates = torch.addmm(pre_gates, h, weight_gates.t())
        if self.gain is not None:
            gain, bias = self.gain[: sizes[0]], self.bias[: sizes[0]]
            pre_gates = normalise(pre_gates, sizes[1:] * self._num_gates, gain, bias)
        z, *refiner, reset_gate = pre_gates.sigmoid().split(self.hidden_size, dim=1)
        pre_u = torch.addmm(pre_u, reset_gate * h, weight_u.t())
        if self.gain is not None:
            pre_u = normalise(pre_u, sizes[1:], self.gain[sizes[0] :], self.bias[sizes[0] :])
        return refine(z, *refiner) if refiner else z, reset_gate, pre_u.tanh(), z

    def _initial_gain(self) -> torch.Tensor:
        return initial_gain([self.hidden_size] * (self._num_gates + 1), candidate=self._num_gates)

    def extra_repr(self) -> str:
        """Returns what `print(core)` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}, start={self.start!r}, help={self.help!r}"
