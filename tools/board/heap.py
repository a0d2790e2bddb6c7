"""The size of the virtual board's heap: what the program gets, and what the stand-ins hold."""

import functools
import os
import tempfile

from .. import umqtt
from ..files import STANDINS
from ..interpreter import output, word_size

_LEAST = 4096
_UMQTT = 224  # words: umqtt.simple holds as much where it is in the image, as on a board
_HELD = "import gc\ngc.collect()\nprint('\\nheld', gc.mem_alloc())\n"


def heap_size(text):
    """The bytes of heap to ask MicroPython for, so that a program has `text` of it: a size as in
    -X heapsize, such as 128wK, which is 128 KiB on a 32-bit build. ValueError: it is no size.
    """
    number, scale = text, 1
    for letter, factor in (("K", 1024), ("M", 1024 * 1024)):
        if text.upper().endswith(letter):
            number, scale = text[:-1], factor
    in_words = number.endswith("w")
    digits = number[:-1] if in_words else number
    if not digits.isdigit() or int(digits) * scale < _LEAST:
        raise ValueError(f"heap: {text} is not a size such as 128wK")
    size = int(digits) * scale
    return (size * word_size() // 4 if in_words else size) + standins_size()


@functools.cache
def standins_size():
    """The bytes of heap that the stand-ins hold, which a board's image has in flash: how much more
    a REPL holds behind them than without them.
    """
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            **os.environ,
            "MICROPYPATH": f"{STANDINS}:.frozen",
            "STANDIN_STATE": folder,
            "STANDIN_CONTROL": "",
            "STANDIN_CAUSE": "1",
            "STANDIN_RAW": "1",
            "STANDIN_FLASH": "",
            "STANDIN_ROOT": folder,
            "STANDIN_UMQTT": str(umqtt.folder()),
        }
        held = [
            int(output(["-i", *program], _HELD, variables).rpartition("held ")[2].split()[0])
            for program in ([], [str(STANDINS / "start.py")])
        ]
    return held[1] - held[0] - _UMQTT * word_size()
