"""A hint to the processor's cache; it changes no result."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def prefetch(typing_context, address):
    """Ask for the cache line at an address to be brought near."""
    signature = types.void(types.intp)

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        place = builder.inttoptr(arguments[0], byte)
        # A line that will be written, and kept near, in the data cache.
        builder.call(hint, [place, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return signature, generate
