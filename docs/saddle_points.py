"""Where a gradient is zero and yet the loss can fall: a saddle point of a real loss, and the way down, by Hessian-vector products.

LeCun, Bengio and Hinton ("Deep learning", Nature 521, 2015) say of the landscapes of deep networks that poor local minima are rarely a
problem; what a gradient meets is a combinatorially large number of saddle points, where the surface curves up in most directions and
down in a few. This program stands on one of them.

The point. A network of one hidden layer, its weights and biases zero but for those of the outputs, which are the logarithms of how
often each digit occurs. No other constant answer has a smaller cross-entropy, and no single weight changes the answer, since what comes
in and what goes out of each hidden unit are both zero: the gradient vanishes, and a descent started here never leaves. But weights of
both layers together do change it.

The curvature. H v, the product of the Hessian with a vector, takes two walks back and no matrix: it is the gradient of (gradient . v)
(Pearlmutter 1994), which `ww.grad(..., create_graph=True)` records. Power iteration on H finds c, the size of its largest eigenvalue;
on c I - H it finds the lowest eigenvalue and its direction. Here mathematics knows the answer: minus the largest singular value of the
covariance of (probability - label) and pixel. After a small step along the direction, either way, the descent goes on.

    python docs/saddle_points.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import whitewolf as ww
from whitewolf.nn import functional as F

Array = Any
Loss = Callable[[ww.Tensor], ww.Tensor]  # of all parameters, as one vector

CLASSES, PIXELS, HIDDEN = 10, 64, 4


def digits(n: int = 400) -> tuple[ww.Tensor, ww.Tensor]:
    """The first `n` of scikit-learn's handwritten digits, less their mean: float64 [n, 64] and int64 [n]."""
    images, labels = zip(*(ww.data.datasets.digits()[i] for i in range(n)))
    x = np.stack([np.asarray(image, "float64").reshape(-1) for image in images])
    return ww.asarray(x - x.mean(axis=0)), ww.asarray(np.array([int(np.asarray(label)) for label in labels]))


def network_loss(x: ww.Tensor, labels: ww.Tensor) -> Loss:
    """The mean cross-entropy of softmax(v tanh(w x + b) + a), by the vector of w [4, 64], b [4], v [10, 4] and a [10]."""

    def loss(parameters: ww.Tensor) -> ww.Tensor:
        w, b, v, a = ww.split(parameters, (HIDDEN * PIXELS, HIDDEN, CLASSES * HIDDEN, CLASSES))
        units = ww.tanh(F.linear(x, ww.reshape(w, (HIDDEN, PIXELS)), b))
        return F.cross_entropy(F.linear(units, ww.reshape(v, (CLASSES, HIDDEN)), a), labels)

    return loss


def saddle(labels: ww.Tensor) -> Array:
    """All parameters zero, but the outputs' biases: the logarithms of the classes' frequencies."""
    frequency = np.bincount(labels.numpy(), minlength=CLASSES) / labels.size
    return np.concatenate([np.zeros(HIDDEN * PIXELS + HIDDEN + CLASSES * HIDDEN), np.log(frequency)])


def gradient(loss: Loss, at: Array) -> Array:
    x = ww.tensor(at, requires_grad=True)
    return ww.grad(loss(x), x).numpy()


def hessian_vector_product(loss: Loss, at: Array, v: Array) -> Array:
    """H v at the point `at`, by two walks back."""
    x = ww.tensor(at, requires_grad=True)
    slope = ww.grad(loss(x), x, create_graph=True)
    return ww.grad((slope * ww.asarray(v)).sum(), x).numpy()


def lowest_curvature(loss: Loss, at: Array, iterations: int = 60, seed: int = 0) -> tuple[float, Array]:
    """The lowest eigenvalue of the Hessian and its direction, by power iteration on H, then on c I - H."""
    rng = np.random.default_rng(seed)

    def power(shift: float, sign: float) -> tuple[float, Array]:
        v = rng.standard_normal(len(at))
        for _ in range(iterations):
            v = v / np.linalg.norm(v)
            product = hessian_vector_product(loss, at, v)
            curvature, v_next = float(v @ product), shift * v + sign * product
            v, direction = v_next, v
        return curvature, direction

    largest, _ = power(0.0, 1.0)
    return power(abs(largest), -1.0)


def known_curvature(x: ww.Tensor, labels: ww.Tensor) -> float:
    """What the lowest curvature at the saddle is, by the covariance of (probability - label) and pixel."""
    one_hot = np.eye(CLASSES)[labels.numpy()]
    covariance = (one_hot.mean(axis=0) - one_hot).T @ x.numpy() / labels.size
    return -float(np.linalg.norm(covariance, 2))


def descend(loss: Loss, at: Array, rate: float = 0.2, steps: int = 100) -> Array:
    """Gradient descent."""
    for _ in range(steps):
        at = at - rate * gradient(loss, at)
    return at


def main() -> None:
    x, labels = digits()
    loss, start = network_loss(x, labels), saddle(labels)
    print(f"the saddle: loss {loss(ww.asarray(start)).item():.6f}, largest slope {np.abs(gradient(loss, start)).max():.1e}")
    print(f"after 100 steps of gradient descent from it: loss {loss(ww.asarray(descend(loss, start))).item():.6f}")
    curvature, direction = lowest_curvature(loss, start)
    print(f"the lowest curvature, by Hessian-vector products: {curvature:.6f} (by covariances: {known_curvature(x, labels):.6f})")
    for step in (0.1, -0.1):
        below = descend(loss, start + step * direction)
        print(f"100 steps from a step of {step:+.1f} along it: loss {loss(ww.asarray(below)).item():.6f}")


if __name__ == "__main__":
    main()
