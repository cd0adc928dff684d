"""Seeded bugs in recurrent nets, attention, normalisation, embedding and sums into places, for seeded_kernels.py, with their probes."""

from __future__ import annotations

PERSISTENT, CELL, TILE, STEPS = "lstm/persistent.cu", "lstm/cell.cuh", "common/product_tile.cuh", "common/recurrent.cuh"
GRU, RNN, ATTENTION, SCATTER = "gru/step.cu", "rnn/step.cu", "attention/warp_rows.cu", "gather/scatter_add.cu"
LAYER, CHANNEL, RESPONSE = "norm/layer_norm.cu", "norm/channel_norm.cu", "norm/local_response_norm.cu"

# Name, file, text, what takes its place, and the probe that must fail.
SEEDS = (
    ("lstm: no barrier between the blocks", PERSISTENT, "if (p + 1 < steps.count) grid_barrier(flag, static_cast<uint32_t>(p + 1));", "", "lstm persistent"),
    ("lstm: barrier of the round before", PERSISTENT, "grid_barrier(flag, static_cast<uint32_t>(p + 1));", "grid_barrier(flag, static_cast<uint32_t>(p));", "lstm persistent"),
    ("lstm: no barrier on the way back", PERSISTENT, "if (p >= 0) grid_barrier(flag, static_cast<uint32_t>(steps.count - p));", "", "lstm persistent"),
    ("lstm: flag not cleared", PERSISTENT, "launch<clear_flag>({1, 32}, flag);", "", "lstm persistent"),
    ("lstm: states overwritten while they are read", PERSISTENT, "            }\n            __syncthreads();", "            }", "lstm persistent"),
    ("lstm: weights read before they are there", PERSISTENT, "            __syncthreads();\n            const int used", "            const int used", "lstm persistent"),
    ("lstm: stale state", PERSISTENT, "p > 0 ? element<T>(v.hidden, before.begin + n, l)", "p > 1 ? element<T>(v.hidden, before.begin + n, l)", "lstm persistent"),
    ("lstm: wrong gate", CELL, "g == 2 ? std::tanh(sum)", "g == 3 ? std::tanh(sum)", "lstm step"),
    ("lstm: samples that end keep no state", CELL, "if (n >= after.size) element<T>(v.final_hidden", "if (n > after.size) element<T>(v.final_hidden", "lstm step"),
    ("lstm: the cell's gradient past the forget gate", CELL, "element<T>(v.grad_cell, n, u) = c * a[1];", "element<T>(v.grad_cell, n, u) = c;", "lstm step"),
    ("steps: nothing sent from a tile that is not full", STEPS, "if (n0 < after.size)\n", "if (n0 + kProductTile <= after.size)\n", "lstm step"),
    ("steps: states of the samples before", STEPS, "element<T>(states, before.begin + n, u)", "element<T>(states, before.begin + n / 2, u)", "gru"),
    ("product: no first barrier", TILE, "__syncthreads();\n            const int used", "const int used", "lstm step"),
    ("product: k edge", TILE, "k - l0 < kProductTile ? k - l0 : kProductTile", "kProductTile", "lstm step"),
    ("gru: reset before the product", GRU, "std::tanh(a[2] + r * b[2])", "std::tanh(a[2] + b[2])", "gru"),
    ("gru: what the update gate lets pass", GRU, "element<T>(v.grad_initial, n, u) = h * z;", "element<T>(v.grad_initial, n, u) = h;", "gru"),
    ("rnn: slope at zero", RNN, "y <= 0 ? T(0) : h", "y < 0 ? T(0) : h", "rnn"),
    ("attention: weights read before they are there", ATTENTION, "weights[lane] = weight(r + lane);\n            __syncwarp();", "weights[lane] = weight(r + lane);", "attention"),
    ("attention: the last key", ATTENTION, "for (int64_t j = at.lane; j < keys; j += 32)", "for (int64_t j = at.lane; j + 1 < keys; j += 32)", "attention"),
    ("attention: earlier sums not scaled", ATTENTION, "sum = sum * std::exp(top - larger)", "sum = sum", "attention"),
    ("attention: all masked", ATTENTION, "if (larger == low) return;", "", "attention"),
    ("layer norm: level of the gradient", LAYER, "(g(i) - z(i) * along - level) * rstd", "(g(i) - z(i) * along) * rstd", "layer norm"),
    ("channel norm: strides swapped", CHANNEL, "r / length * n_step + r % length * l_step", "r / length * l_step + r % length * n_step", "channel norm"),
    ("response norm: window past the last channel", RESPONSE, "c + (after < room ? after : room)", "c + after", "response norm"),
    ("scatter: every thread adds", SCATTER, "if (place % kOwners == owner) ", "", "scatter"),
    ("embedding: padding is read", "embedding/rows.cu", "row == skip ? T(0) : ", "", "embedding"),
)  # fmt: skip

PROBES = """
def normal(*shape):
    return guarded(rng.standard_normal(shape).astype("f4"))
def near(got, expected):
    return all(np.allclose(g, e, rtol=1e-4, atol=1e-5) for g, e in zip(got, expected))
def outputs(op, variant, shapes, *args, **attrs):
    found = [module.empty(s, np.dtype("f4")) for s in shapes]
    for f in found:
        f[...] = np.nan
    module.get(op, variant)(*found, *args, **attrs)
    return found
def sigmoid(x):
    return 1 / (1 + np.exp(-x))
def walk(sizes):  # step, samples, rows of a sequence
    ends = np.cumsum(sizes)
    return [(t, n, slice(end - n, end)) for t, (n, end) in enumerate(zip(sizes, ends))]
def lstm(variant, sizes, U):
    N, R = sizes[0], sum(sizes)
    x, w, h0, c0 = normal(R, 4 * U), normal(4 * U, U), normal(N, U), normal(N, U)
    h, c, cell, gates, hidden = np.array(h0), np.array(c0), np.empty((R, U), "f4"), np.empty((R, 4 * U), "f4"), np.empty((R, U), "f4")
    before = np.empty((R, U), "f4")
    for t, n, rows in walk(sizes):
        a = np.split(np.asarray(x)[rows] + h[:n] @ np.asarray(w).T, 4, 1)
        i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), np.tanh(a[2]), sigmoid(a[3])
        before[rows] = c[:n]
        c[:n] = f * c[:n] + i * g
        h[:n] = o * np.tanh(c[:n])
        hidden[rows], cell[rows], gates[rows] = h[:n], c[:n], np.concatenate([i, f, g, o], 1)
    equal = len(set(sizes)) == 1
    packed = None if equal else np.array(sizes)
    got = outputs("lstm_forward", variant, [(R, U), (R, U), (R, 4 * U), (N, U), (N, U)], x, w, h0, c0, packed, None, None)
    right = near(got, [hidden, cell, gates, h, c])
    gh, gn, gc = normal(R, U), normal(N, U), normal(N, U)
    dh, dc, grad = np.array(gn), np.array(gc), np.empty((R, 4 * U), "f4")
    for t, n, rows in walk(sizes)[::-1]:
        i, f, g, o = np.split(gates[rows], 4, 1)
        by_h, squashed = dh[:n] + np.asarray(gh)[rows], np.tanh(cell[rows])
        by_c = dc[:n] + by_h * o * (1 - squashed**2)
        parts = [by_c * g * i * (1 - i), by_c * before[rows] * f * (1 - f), by_c * i * (1 - g * g), by_h * squashed * o * (1 - o)]
        grad[rows] = np.concatenate(parts, 1)
        dc[:n], dh[:n] = by_c * f, grad[rows] @ np.asarray(w)
    args = (gh, gn, gc, guarded(gates), guarded(cell), w, c0, packed)
    return right and near(outputs("lstm_backward", variant, [(R, 4 * U), (N, U), (N, U)], *args), [grad, dh, dc])
def gru(sizes=(5, 5, 2), U=19):
    N, R = sizes[0], sum(sizes)
    x, w, b, h0 = normal(R, 3 * U), normal(3 * U, U), normal(3 * U), normal(N, U)
    h, hidden, gates, before = np.array(h0), np.empty((R, U), "f4"), np.empty((R, 4 * U), "f4"), np.empty((R, U), "f4")
    for t, n, rows in walk(sizes):
        a, s = np.split(np.asarray(x)[rows], 3, 1), np.split(h[:n] @ np.asarray(w).T + np.asarray(b), 3, 1)
        r, z = sigmoid(a[0] + s[0]), sigmoid(a[1] + s[1])
        m = np.tanh(a[2] + r * s[2])
        before[rows] = h[:n]
        h[:n] = (1 - z) * m + z * h[:n]
        hidden[rows], gates[rows] = h[:n], np.concatenate([r, z, m, s[2]], 1)
    got = outputs("gru_forward", "step", [(R, U), (R, 4 * U), (N, U)], x, w, b, h0, np.array(sizes))
    right = near(got, [hidden, gates, h])
    dh, grad, sent, gn = None, np.empty((R, 3 * U), "f4"), np.empty((R, 3 * U), "f4"), normal(N, U)
    dh = np.array(gn)
    for t, n, rows in walk(sizes)[::-1]:
        r, z, m, s = np.split(gates[rows], 4, 1)
        by_m = dh[:n] * (1 - z) * (1 - m * m)
        parts = [by_m * s * r * (1 - r), dh[:n] * (before[rows] - m) * z * (1 - z), by_m]
        grad[rows], sent[rows] = np.concatenate(parts, 1), np.concatenate([*parts[:2], by_m * r], 1)
        dh[:n] = dh[:n] * z + sent[rows] @ np.asarray(w)
    args = (None, gn, guarded(gates), guarded(hidden), w, h0, np.array(sizes))
    return right and near(outputs("gru_backward", "step", [(R, 3 * U), (R, 3 * U), (N, U)], *args), [grad, sent, dh])
def rnn(N=3, U=17):  # one step, of which every state is 0
    g, w, h = normal(N, U), normal(U, U), guarded(np.zeros((N, U), "f4"))
    zeros = np.zeros((N, U), "f4")
    return near(outputs("rnn_backward", "step", [(N, U), (N, U)], g, None, h, w, None, activation="relu"), [zeros, zeros])
def attention(L=5, S=70, E=7, F=35):
    q, k, v = normal(2, L, E), normal(2, S, E), normal(2, S, F)
    keep = guarded(np.arange(2 * L * S).reshape(2, L, S) % 3 > 0)
    keep[0, 1] = False
    s = np.where(keep, 2.0 * np.asarray(q) @ np.asarray(k).swapaxes(1, 2), -np.inf)
    top = np.where(np.isinf(s.max(-1)), 0, s.max(-1))[..., None]
    p = np.exp(s - top)
    total = p.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        expected = [np.where(total > 0, p / total, 0) @ np.asarray(v), (top + np.log(total))[..., 0]]
    return near(outputs("attention_forward", "warp_rows", [(2, L, F), (2, L)], q, k, v, None, keep, scale=2.0), expected)
def layer_norm(n=45):
    x, g, w = normal(3, n), normal(3, n), normal(n)
    mean, rstd = np.asarray(x).mean(1), 1 / np.sqrt(np.asarray(x).var(1) + 1e-5)
    z, by = (np.asarray(x) - mean[:, None]) * rstd[:, None], np.asarray(g) * np.asarray(w)
    expected = rstd[:, None] * (by - by.mean(1, keepdims=True) - z * (by * z).mean(1, keepdims=True))
    return near(outputs("layer_norm_backward_x", "groups", [(3, n)], g, guarded(mean), guarded(rstd), x, w), [expected])
def channel_norm():
    x = normal(1, 3, 5, 47)
    expected = [np.asarray(x).mean((1, 3)), np.asarray(x).var((1, 3))]
    return near(outputs("channel_norm_moments", "groups", [(1, 5), (1, 5)], x), expected)
def response_norm(C=7):
    x = normal(2, C, 5)
    squares = np.pad(np.asarray(x) ** 2, [(0, 0), (2, 2), (0, 0)])
    scale = 1 + 0.5 / 5 * sum(squares[:, i : i + C] for i in range(5))
    attrs = dict(size=5, alpha=0.5, beta=0.75, k=1.0)
    return near(outputs("local_response_norm_forward", "windows", [x.shape] * 2, x, **attrs), [np.asarray(x) * scale**-0.75, scale])
def scatter():
    out, src, at = guarded(ints(3, 70)), guarded(ints(3, 99)), guarded(rng.integers(0, 70, (3, 99)))
    expected = np.array(out)
    np.add.at(expected, (np.arange(3)[:, None], np.asarray(at)), np.asarray(src))
    module.get("scatter_add_forward", "owned")(out, src, at)
    return np.array_equal(out, expected)
def embedding():
    at, w = guarded(np.arange(12).reshape(4, 3) % 5), guarded(ints(5, 7) + 9)
    expected = np.where(np.asarray(at)[..., None] == 2, 0, np.asarray(w)[np.asarray(at)])
    return np.array_equal(outputs("embedding_forward", "rows", [(4, 3, 7)], at, w, skip=2)[0], expected)
probes |= {
    "lstm persistent": lambda: lstm("persistent", (35, 35, 35, 35), 19),
    "lstm step": lambda: lstm("step", (20, 20, 5), 19),
    "gru": gru,
    "rnn": rnn,
    "attention": attention,
    "layer norm": layer_norm,
    "channel norm": channel_norm,
    "response norm": response_norm,
    "scatter": scatter,
    "embedding": embedding,
}
"""
