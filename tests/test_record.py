"""`record`, by which each op ends (engine/record.cpp): what it makes, and that a damaged Tensor is an error and not a crash."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import whitewolf as ww
from whitewolf.graph import Node, edge_of, record


def backward(node: Node, grad: Any) -> tuple[Any, ...]:
    return grad, None


def test_a_recorded_op_has_a_node_with_all_that_backward_needs() -> None:
    x, y = ww.ones(3, requires_grad=True), ww.ones(3)
    y += 1
    z = record("some", np.zeros(3, "f4"), (x, y), backward, (y,), "context")
    node = z._node
    assert type(z) is ww.Tensor and z.requires_grad and z.device is x.device and z._version == [0]
    assert (node.name, node.backward, node.context, node.precision, node.n_outputs) == ("some", backward, "context", "float32", 1)
    assert node.edges == (x, None) and node.saved == (y,) and node._versions == (y._version[0],)
    assert record("next", np.zeros(3, "f4"), (z,), backward)._node.number > node.number
    assert edge_of(z) is node and edge_of(x) is x and edge_of(y) is None


def test_several_outputs_are_told_apart_and_integers_are_leaves() -> None:
    x = ww.ones(3, requires_grad=True)
    first, places = record("several", (np.zeros(3, "f4"), np.zeros(3, "i8")), (x,), backward)
    assert first.requires_grad and not places.requires_grad and places._node is None
    assert edge_of(first) == (first._node, 0) and first._node.n_outputs == 2
    (alone,) = record("tuple of one", (np.zeros(3, "f4"),), (x,), backward)
    assert edge_of(alone) is alone._node


@pytest.mark.parametrize("scope", [ww.no_grad, None])
def test_nothing_is_recorded_without_need(scope: Callable[[], Any] | None) -> None:
    x = ww.ones(3, requires_grad=scope is not None)
    with (scope or ww.enable_grad)():
        z = record("some", np.zeros(3, "f4"), (x,), backward)
        pair = record("several", (np.zeros(3, "f4"), np.float32(2)), (x,), backward)
    assert z._node is None and not z.requires_grad and all(type(p) is ww.Tensor and p._node is None for p in pair)


def test_a_graph_that_nobody_holds_is_freed() -> None:
    x = ww.ones(3, requires_grad=True)
    node = weakref.ref((x * 2 + 1)._node)
    gc.collect()
    assert node() is None


@pytest.mark.parametrize("slot", ["_node", "_version", "device", "_requires_grad", "_data"])
def test_a_tensor_without_a_slot_is_an_error(slot: str) -> None:
    x = ww.ones(3, requires_grad=True)
    delattr(x, slot)
    with pytest.raises((TypeError, AttributeError)):
        record("some", np.zeros(3, "f4"), (x,), backward)
    with pytest.raises((TypeError, AttributeError)):
        edge_of(x)


def test_arguments_of_another_kind_are_errors() -> None:
    x, data = ww.ones(3, requires_grad=True), np.zeros(3, "f4")
    bare: Any = ww.Tensor.__new__(ww.Tensor)
    wrong: list[tuple[Any, ...]] = [
        (), ("some", data, (x,)), ("some", data, (), backward), ("some", data, [x], backward), ("some", data, (x, 1), backward),
        ("some", data, (x,), backward, (data,)), ("some", data, (bare,), backward),
    ]  # fmt: skip
    for arguments in wrong:
        with pytest.raises(TypeError, match="record"):
            record(*arguments)
    y = ww.ones(3, requires_grad=True)
    y._node = object()
    with pytest.raises(TypeError, match="Node"):
        edge_of(y)
