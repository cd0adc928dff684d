"""What the written code of blocks.py needs of Numba beyond Python: addresses as pointers, and calls by address."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


def _pointer(typing_context: Any, address: Any) -> Any:
    """The pointer of an address, for `carray`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


def _apply_function(typing_context: Any, apply: Any, function: Any, y: Any, x1: Any, x2: Any, n: Any) -> Any:
    """apply(function, y, x1, x2, n), `apply` being an address: the Context of kernels/fused/fused.h."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word] * 5)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), generate


pointer = intrinsic(_pointer)
apply_function = intrinsic(_apply_function)
