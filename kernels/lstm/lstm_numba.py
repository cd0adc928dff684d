"""The LSTM cell in Numba, one kernel a step (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

  a = projected[t] + (input[t] input_weight^T + hidden[t-1] weight^T), in four parts of U: i, f, o = sigmoid(a), g = tanh(a)
  cell[t] = f cell[t-1] + i g;  hidden[t] = o tanh(cell[t])

One thread a sample and unit: it computes its four gates, so that the state stays in registers from the products to the output. Bound
by reading the weights, which are too many for a step's arithmetic to hide.
"""

import math
from functools import cache

import numpy as np
from numba import cuda, from_dtype
from whitewolf.numba_cuda import activation, launch, on_device, variant

BLOCK = on_device(32, 4), on_device(4, 2)  # units, samples: neighbours read neighbouring gates


@cache
def step(dtype):
    number = from_dtype(dtype)
    sigmoid, tanh = activation("sigmoid", number), activation("tanh", number)

    @cuda.jit
    def kernel(hidden, cell, gates, projected, weight, hidden_before, cell_before, input, input_weight):
        u, n = cuda.grid(2)
        samples, units = hidden.shape
        if n < samples and u < units:
            for gate in range(4):
                at = gate * units + u
                product, total = number(0), number(0)
                if input is not None:
                    for d in range(input.shape[1]):
                        product += input[n, d] * input_weight[at, d]
                for other in range(units):
                    total += hidden_before[n, other] * weight[at, other]
                a = projected[n, at] + (product + total)
                gates[n, at] = tanh(a) if gate == 2 else sigmoid(a)
            i, f, g, o = gates[n, u], gates[n, units + u], gates[n, 2 * units + u], gates[n, 3 * units + u]
            c = f * cell_before[n, u] + i * g
            cell[n, u] = c
            hidden[n, u] = o * number(math.tanh(c))

    return kernel


@variant("lstm_forward")
def lstm_forward(hidden, cell, gates, final_hidden, final_cell, projected, weight, initial_hidden, initial_cell, batch_sizes=None,
                 input=None, input_weight=None, reverse=False):  # fmt: skip
    samples = len(final_hidden)
    sizes = [samples] * (len(hidden) // max(samples, 1)) if batch_sizes is None else batch_sizes.tolist()
    starts = np.cumsum([0, *sizes]).tolist()
    walk = list(range(len(sizes)))[:: -1 if reverse else 1]
    for position, t in enumerate(walk):
        here = slice(starts[t], starts[t] + sizes[t])
        before = walk[position - 1] if position else None
        after = sizes[walk[position + 1]] if position + 1 < len(walk) else 0
        known = min(sizes[t], sizes[before]) if before is not None else 0
        # Samples that were in the step before go on from there; those that begin here, from their initial states.
        for first, last, states, offset in ((0, known, (hidden, cell), starts[before] if before is not None else 0),
                                            (known, sizes[t], (initial_hidden, initial_cell), 0)):  # fmt: skip
            rows = slice(here.start + first, here.start + last)
            old = slice(offset + first, offset + last)
            launch(step(hidden.dtype), (hidden.shape[1], last - first), BLOCK, hidden[rows], cell[rows], gates[rows],
                   projected[rows], weight, states[0][old], states[1][old], None if input is None else input[rows],
                   input_weight)  # fmt: skip
        if after < sizes[t]:  # samples that end here
            final_hidden[after : sizes[t]] = hidden[here.start + after : here.stop]
            final_cell[after : sizes[t]] = cell[here.start + after : here.stop]
    if not sizes:
        final_hidden[...], final_cell[...] = initial_hidden, initial_cell
