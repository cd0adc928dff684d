"""Sums of products by letters: equations drawn at random against NumPy's einsum, gradients by linearity, and what is wrong with equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from hypothesis import given, settings
from hypothesis import strategies as st

SIZES = {"a": 2, "b": 3, "C": 1, "d": 0, "e": 2}


@st.composite
def equations(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """An equation of one to four operands, with repeated letters, dots, sizes 1 that stretch, and 0."""
    letters = draw(st.lists(st.sampled_from("abCe"), min_size=1, max_size=3, unique=True)) + draw(
        st.sampled_from([[], [], [], ["d"]])
    )
    dots = draw(st.sampled_from([(), (), (2,), (3, 2)]))
    parts, shapes = [], []
    for _ in range(draw(st.integers(1, 4))):
        part = draw(st.lists(st.sampled_from(letters), max_size=4))
        stretched = {letter for letter in part if draw(st.integers(0, 5)) == 0}
        sizes = [1 if letter in stretched else SIZES[letter] for letter in part]
        own = dots[len(dots) - draw(st.integers(0, len(dots))) :] if dots and draw(st.booleans()) else None
        if own is not None:
            place = draw(st.integers(0, len(part)))
            part.insert(place, "...")
            sizes[place:place] = own
        parts.append("".join(part))
        shapes.append(tuple(sizes))
    left = ",".join(parts)
    found = sorted(set(left) & set(letters))
    if draw(st.booleans()):
        return left, shapes
    out = draw(st.lists(st.sampled_from(found), unique=True, max_size=3)) if found else []
    if "..." in left:
        out.insert(draw(st.integers(0, len(out))), "...")
    return f"{left} -> {''.join(out)}", shapes


@settings(deadline=None, max_examples=300, derandomize=True)
@given(equations(), st.sampled_from(["float64", "float32", "int64", "complex128"]))
def test_random_equations_agree_with_numpy(drawn: tuple[str, list[tuple[int, ...]]], dtype: str) -> None:
    equation, shapes = drawn
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-3, 4, shape).astype(dtype) for shape in shapes]
    expected = np.asarray(np.einsum(equation, *arrays))  # whole numbers: sums are exact
    found = ww.einsum(equation, *map(ww.asarray, arrays))
    assert found.shape == expected.shape and found.dtype == dtype
    np.testing.assert_array_equal(found.numpy(), expected)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(equations())
def test_gradients_are_the_adjoint_and_differentiate_again(drawn: tuple[str, list[tuple[int, ...]]]) -> None:
    """y is linear in each operand: <grad_k, d> = <g, einsum(..., d, ...)>, and the gradient is linear in g and the other operands."""
    equation, shapes = drawn
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    x = [ww.tensor(a, requires_grad=True) for a in arrays]
    y = ww.einsum(equation, *x)
    g = ww.tensor(rng.standard_normal(y.shape), requires_grad=True)
    grads = ww.grad(y, x, g, create_graph=True)
    for k, grad in enumerate(grads):
        d = rng.standard_normal(shapes[k])
        along = np.einsum(equation, *arrays[:k], d, *arrays[k + 1 :])
        np.testing.assert_allclose((grad.numpy() * d).sum(), (g.numpy() * along).sum(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ww.grad((grad * ww.asarray(d)).sum(), g, retain_graph=True).numpy(), along, rtol=1e-9, atol=1e-9)


def test_a_letter_summed_over_is_summed_as_soon_as_nothing_needs_it() -> None:
    """No operand of the whole outer product is made: 2 ** 40 elements would not fit."""
    x = ww.ones(2**10)
    assert ww.einsum("a,b,c,d->", x, x, x, x).item() == 2.0**40


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_stay_sixteen_bits(dtype: str) -> None:
    x = ww.ones((2, 300), dtype=dtype, requires_grad=True)
    y = ww.einsum("ai,bi->ab", x, x)
    assert y.dtype == dtype and y.tolist() == [[300] * 2] * 2
    assert ww.grad(y, x, ww.ones((2, 2), dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("device", [name for name, state in ww.devices().items() if state == "available"])
def test_a_sample_has_the_same_bits_alone_and_in_a_batch(device: str) -> None:
    ww.manual_seed(0)
    x, w = ww.random.normal((5, 7, 33), device=device), ww.random.normal((33, 9), device=device)
    whole = ww.einsum("bij,jk->bik", x, w)
    assert ww.einsum("bij,jk->bik", x[2:3], w).tolist() == whole[2:3].tolist()


def test_a_list_of_operands_and_spaces_are_taken() -> None:
    x = ww.arange(6).reshape(2, 3)
    assert ww.einsum(" i j , i j -> j ", [x, x]).tolist() == [9, 17, 29]
    assert ww.einsum("...", x).tolist() == x.tolist() and ww.einsum("ba", x).tolist() == x.T.tolist()


WRONG: dict[str, tuple[Any, str]] = {
    "no operand": (("i->i",), "einsum: expected operands, got none"),
    "too few": (("i,j->i", ww.ones(2)), "einsum: expected equation with subscripts for 1 operands, got 'i,j->i'"),
    "dimensions": (("ij->i", ww.ones(2)), r"einsum: expected operands\[0\] of 2 dimensions for 'ij', got shape \(2,\)"),
    "dimensions beside dots": (("ij...->i", ww.ones(2)), r"einsum: expected operands\[0\] of 2 or more dimensions"),
    "sizes": (("i,i->i", ww.ones(2), ww.ones(3)), r"einsum: expected operands of equal sizes for 'i', got 2 and 3 \(operands\[1\]\)"),
    "sizes of a diagonal": (("ii->i", ww.ones((1, 3))), "einsum: expected operands of equal sizes for 'i'"),
    "sizes of dots": (("...,...", ww.ones(2), ww.ones(3)), "einsum: expected operands of equal sizes that broadcast for '...'"),
    "twice in the output": (("i->ii", ww.ones(2)), "einsum: expected equation with 'i' once in the output, got 'i->ii'"),
    "from nowhere": (("i->j", ww.ones(2)), "einsum: expected equation with 'j' in an operand, got 'i->j'"),
    "a digit": (("1->1", ww.ones(2)), "einsum: expected equation of letters"),
    "two arrows": (("i->i->i", ww.ones(2)), "einsum: expected equation of letters"),
    "two dots": (("..i", ww.ones(2)), "einsum: expected equation of letters"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_named(what: str) -> None:
    arguments, text = WRONG[what]
    with pytest.raises(ValueError, match=text):
        ww.einsum(*arguments)


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match=r"einsum: expected operands\[0\] of numbers, got dtype bool"):
        ww.einsum("i->", ww.asarray([True]))
    with pytest.raises(TypeError, match="einsum: expected equation to be a string, got int"):
        ww.einsum(3, ww.ones(2))  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(TypeError, match=r"einsum: expected operands\[0\] that requires no grad beside complex"):
        ww.einsum("i,i", ww.ones(2, requires_grad=True), ww.asarray([1j, 2j]))
