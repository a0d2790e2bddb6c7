"""Heaps of tests: sizes for the 64-bit MicroPython, scaled where another build runs the tests."""

from tools.interpreter import word_size

# The client needs 116 KiB of a 64-bit build, and 81 of a 32-bit one: bytecode does not halve.
_SCALE = 7 / 5


def heap_option(size):
    """MicroPython's options for a heap of `size` of a 64-bit build, such as "96wK"; a 32-bit build
    gets one in which the client has as much room.
    """
    if word_size() == 4:
        number = size.rstrip("wKM")
        size = f"{int(int(number) * _SCALE)}{size.removeprefix(number)}"
    return ["-X", f"heapsize={size}"]
