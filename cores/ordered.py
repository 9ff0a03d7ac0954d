"""The ON-LSTM: an LSTM whose units are ordered by how long they remember.

Source: Shen, Tan, Sordoni, Courville 2019, "Ordered Neurons: Integrating Tree Structures into Recurrent
Neural Networks" (arXiv 1810.09536), section 4.
"""

from cores.gates import CHUNK
from cores.lstm import GatedLSTM


class OrderedLSTM(GatedLSTM):
    """The ON-LSTM of Shen et al. 2019: sigmoid gates f, i, o, untied, under a pair of master gates.

    With P_x = W_x x_t + U_x h_{t-1} + b_x:

        f = sigma(P_f)   i = sigma(P_i)   o = sigma(P_o)   u = tanh(P_u)      the LSTM, equations 1 to 4
        F = cumax(P_F)   I = 1 - cumax(P_I)   w = F * I                       equations 9 to 11
        f_hat = f*w + (F - w)   i_hat = i*w + (I - w)                         equations 12, 13
        c = f_hat*c + i_hat*u   h = o * tanh(c)                               equation 14

    All biases start at zero: the master gates alone spread the units. Apart from the forget bias this is the
    grid's "m-lstm"; the grid's "om-lstm" has cumax on f as well. Gu et al. 2020 call the ON-LSTM OM.

    Args:
        input_size: I, entries of one input.
        hidden_size: H, units.
        chunk: C, units in a row that share one entry of the master gates; a divisor of H. 1 fits every H and
            has 1.5 times the weights of an LSTM; Shen et al. use 10 in their language models, 1.05 times.
        layer_norm: as in `cores.lstm.GatedLSTM`.

    Raises:
        ValueError: if a size is below one, or chunk does not divide H.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, chunk: int = CHUNK, layer_norm: bool = False
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            start="standard",
            help="master",
            forget_bias=0.0,
            chunk=chunk,
            layer_norm=layer_norm,
        )
