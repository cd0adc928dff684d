"""The LSTM cell in Numba, one kernel a step (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

  a = projected[t] + (input[t] input_weight^T + hidden[t-1] weight^T), in four parts of U: i, f, o = sigmoid(a), g = tanh(a)
  cell[t] = f cell[t-1] + i g;  hidden[t] = o tanh(cell[t])

One thread a sample and unit: it computes its four gates, so that the state stays in registers from the products to the output. Bound
by reading the weights, which are too many for a step's arithmetic to hide.

The way back, one kernel a step again: with h' = grad_hidden[t] + change[t+1] weight and c' = h' o (1 - tanh(cell[t])^2) + f[t+1] c'[t+1],

  change[t] = (c' g i (1 - i), c' cell[t-1] f (1 - f), c' i (1 - g^2), h' tanh(cell[t]) o (1 - o))
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


@cache
def step_back(dtype):
    number = from_dtype(dtype)

    @cuda.jit
    def kernel(change, carried, gates, cell, cell_before, weight, grad_hidden, after, grad_final_hidden, grad_final_cell):
        u, n = cuda.grid(2)
        samples, units = cell.shape
        if n < samples and u < units:
            i, f, g, o = gates[n, u], gates[n, units + u], gates[n, 2 * units + u], gates[n, 3 * units + u]
            for_hidden, for_cell = number(0), number(0)
            if after is not None:  # the sample goes on: what the step after this one sends back
                for gate in range(4 * units):
                    for_hidden += after[n, gate] * weight[gate, u]
                for_cell = carried[n, u]
            else:
                if grad_final_hidden is not None:
                    for_hidden = grad_final_hidden[n, u]
                if grad_final_cell is not None:
                    for_cell = grad_final_cell[n, u]
            if grad_hidden is not None:
                for_hidden += grad_hidden[n, u]
            t = number(math.tanh(cell[n, u]))
            for_cell += for_hidden * o * (1 - t * t)
            change[n, u] = for_cell * g * i * (1 - i)
            change[n, units + u] = for_cell * cell_before[n, u] * f * (1 - f)
            change[n, 2 * units + u] = for_cell * i * (1 - g * g)
            change[n, 3 * units + u] = for_hidden * t * o * (1 - o)
            carried[n, u] = f * for_cell

    return kernel


@cache
def to_initial(dtype):
    number = from_dtype(dtype)

    @cuda.jit
    def kernel(grad_hidden, change, weight):
        u, n = cuda.grid(2)
        samples, units = grad_hidden.shape
        if n < samples and u < units:
            total = number(0)
            for gate in range(4 * units):
                total += change[n, gate] * weight[gate, u]
            grad_hidden[n, u] = total

    return kernel


class Walk:
    """The steps in the order in which a call takes them, and which rows of its arrays each has."""

    def __init__(self, rows, samples, batch_sizes, reverse):
        self.sizes = [samples] * (rows // max(samples, 1)) if batch_sizes is None else batch_sizes.tolist()
        self.starts = np.cumsum([0, *self.sizes]).tolist()
        self.steps = list(range(len(self.sizes)))[:: -1 if reverse else 1]

    def rows(self, t, first, last):
        return slice(self.starts[t] + first, self.starts[t] + last)

    def neighbour(self, position):
        """A step by its position, and how many samples it has; (None, 0) before the first and after the last."""
        inside = 0 <= position < len(self.steps)
        return (self.steps[position], self.sizes[self.steps[position]]) if inside else (None, 0)


def part(array, rows):
    return None if array is None else array[rows]


@variant("lstm_forward")
def lstm_forward(hidden, cell, gates, final_hidden, final_cell, projected, weight, initial_hidden, initial_cell, batch_sizes=None,
                 input=None, input_weight=None, reverse=False):  # fmt: skip
    walk = Walk(len(hidden), len(final_hidden), batch_sizes, reverse)
    for position, t in enumerate(walk.steps):
        size = walk.sizes[t]
        before, known = walk.neighbour(position - 1)
        known = min(size, known)
        _, after = walk.neighbour(position + 1)
        # Samples that were in the step before go on from there; those that begin here, from their initial states.
        for first, last in ((0, known), (known, size)):
            rows = walk.rows(t, first, last)
            old = slice(first, last) if first == known else walk.rows(before, first, last)
            states = (initial_hidden, initial_cell) if first == known else (hidden, cell)
            launch(step(hidden.dtype), (hidden.shape[1], last - first), BLOCK, hidden[rows], cell[rows], gates[rows],
                   projected[rows], weight, states[0][old], states[1][old], part(input, rows), input_weight)  # fmt: skip
        if after < size:  # samples that end here
            ends = walk.rows(t, after, size)
            final_hidden[after:size], final_cell[after:size] = hidden[ends], cell[ends]
    if not walk.steps:
        final_hidden[...], final_cell[...] = initial_hidden, initial_cell


@variant("lstm_backward")
def lstm_backward(grad_projected, grad_initial_hidden, grad_initial_cell, grad_hidden, grad_final_hidden, grad_final_cell, gates, cell,
                  weight, initial_cell, batch_sizes=None, reverse=False):  # fmt: skip
    change, carried = (
        grad_projected,
        grad_initial_cell,
    )  # what the first step sends back of the cell is its initial state's gradient
    walk = Walk(len(cell), len(initial_cell), batch_sizes, reverse)
    across = cell.shape[1]
    for position, t in reversed(list(enumerate(walk.steps))):
        size = walk.sizes[t]
        before, known = walk.neighbour(position - 1)
        known = min(size, known)
        after, going_on = walk.neighbour(position + 1)
        going_on = min(size, going_on)
        edges = sorted({0, known, going_on, size})
        for first, last in zip(edges, edges[1:]):
            rows, own = walk.rows(t, first, last), slice(first, last)
            here = (change[rows], carried[own], gates[rows], cell[rows])
            old = cell[walk.rows(before, first, last)] if last <= known else initial_cell[own]
            ahead = change[walk.rows(after, first, last)] if last <= going_on else None
            launch(step_back(cell.dtype), (across, last - first), BLOCK, *here, old, weight, part(grad_hidden, rows), ahead,
                   part(grad_final_hidden, own), part(grad_final_cell, own))  # fmt: skip
        if known < size:  # samples that begin here
            begins = slice(known, size)
            launch(to_initial(cell.dtype), (across, size - known), BLOCK, grad_initial_hidden[begins],
                   change[walk.rows(t, known, size)], weight)  # fmt: skip
    if not walk.steps:
        for made, given in ((grad_initial_hidden, grad_final_hidden), (grad_initial_cell, grad_final_cell)):
            made[...] = 0 if given is None else given
