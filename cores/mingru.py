"""The minGRU: a GRU whose gate and candidate look at the input alone.

Source: Feng et al. 2024, "Were RNNs All We Needed?" (arXiv 2410.01201), section 3.1.
"""

import torch
from torch import nn
from torch.nn.functional import linear

from cores.core import RecurrentCore, State
from cores.gates import FORGET_BIAS, GATE_GAIN, standard_bias
from cores.kernels import fusable, fused_mingru_unroll, mingru_scan


class MinGRU(RecurrentCore):
    """The minGRU of Feng et al. 2024, in its plain form.

        z = sigma(W_z x_t + b_z)      u = W_u x_t + b_u      h = (1-z)*h + z*u

    It has a quarter of an LSTM's weights where I = H, and no matrix product waits for the step before. What
    it gives up: what is written cannot depend on what is remembered, so that one layer cannot even count; the
    paper uses two or three (`layers`). The output is h itself.

    The paper adds a form in logarithms, whose candidates are positive, for half-precision scans on GPUs; here
    steps are taken one after the other, and there is no need of it.

    Weights at the start: the candidate's rows are uniform within 1/sqrt(I), the gate's within half of that,
    as in `cores.lstm.GatedLSTM`. The paper's biases start near zero, so that a memory halves at every step;
    here b_z starts at -forget_bias, so that all cores begin alike.

    The state is (h,), [B, H].

    Attributes:
        weight_ih: [2 H, I]: input weights, rows z, u.
        bias: [2 H]: biases.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, units.
        forget_bias: minus the bias of z; 0 gives the paper's z = 1/2.

    Raises:
        ValueError: if a size is below one, or forget_bias is not a finite number.
    """

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = FORGET_BIAS) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = forget_bias
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))  # [2 H, I]
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))  # [2 H]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all weights anew, as the class describes, from torch's global generator."""
        H, bound = self.hidden_size, self.input_size**-0.5
        self.weight_ih.uniform_(-bound, bound)
        self.weight_ih[:H] *= GATE_GAIN
        self.bias.zero_()
        self.bias[:H] = -standard_bias(H, forget_bias=self.forget_bias)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Computes W x + b.

        Args:
            x: [..., I]: inputs.

        Returns:
            [..., 2 H]: the gate's pre-activations, and the candidates.
        """
        return linear(x, self.weight_ih, self.bias)

    def step(self, projected: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Reads one input per environment, by the equations of the class.

        Args:
            projected: [B, 2 H]: the projected inputs.
            state: (h,), [B, H].

        Returns:
            h [B, H] and the new (h,).
        """
        pre_z, u = projected.chunk(2, dim=1)
        h = torch.lerp(state[0], u, pre_z.sigmoid())
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
        weights = (self.weight_ih, self.bias)
        if type(self) is MinGRU and fusable(inputs, *state, *weights):  # a subclass may step otherwise
            scan = mingru_scan(inputs.device.type)
            if scan is not None:
                out, h = fused_mingru_unroll(scan, inputs, state[0], reset, *weights)
                return out, (h,)
        return super().forward(inputs, state, reset)

    def gates(self, projected: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        """Tells how far the gate stands open in the step that `step` would take.

        Args:
            projected: [B, 2 H]: the projected inputs.
            state: (h,), [B, H].

        Returns:
            [B, H] by name: "forget" and "input", 1 - z and z: the factors in
            h_new = forget * h + input * candidate; "candidate", u.
        """
        pre_z, u = projected.chunk(2, dim=1)
        z = pre_z.sigmoid()
        return {"forget": 1.0 - z, "input": z, "candidate": u}

    def extra_repr(self) -> str:
        """Returns what `print(core)` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}"
