"""Eight bytes at once inside compiled code: loads and stores at any offset of a uint8 array."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _load(bits: int, number: Any) -> Any:
    @intrinsic
    def load(typing_context, array, offset):
        """Read the number whose lowest byte is ``array[offset]``; nobody checks the bounds."""

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            pointer = builder.gep(data, [arguments[1]])
            return builder.load(builder.bitcast(pointer, ir.IntType(bits).as_pointer()), align=1)

        return number(array, types.int64), generate

    return load


def _store(bits: int, number: Any) -> Any:
    @intrinsic
    def store(typing_context, array, offset, value):
        """Write a number from ``array[offset]`` on, lowest byte first; nobody checks the bounds."""

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            pointer = builder.gep(data, [arguments[1]])
            pointer = builder.bitcast(pointer, ir.IntType(bits).as_pointer())
            builder.store(arguments[2], pointer, align=1)
            return context.get_dummy_value()

        return types.void(array, types.int64, number), generate

    return store


load64 = _load(64, types.uint64)
store16 = _store(16, types.uint16)
store32 = _store(32, types.uint32)


def _swap() -> Any:
    @intrinsic
    def swap(typing_context, word):
        """Reverse the order of a word's eight bytes."""

        def generate(context, builder, signature, arguments):
            return builder.bswap(arguments[0])

        return types.uint64(types.uint64), generate

    return swap


swap64 = _swap()
