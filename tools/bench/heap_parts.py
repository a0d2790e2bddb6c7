"""Where the heap of a device goes that only sends telemetry, with compiled modules: what each
module holds once it is imported, and of what kind the heap is, in KiB of the MicroPython that runs
here.

Names are what qstr_info() counts. The other kinds are what MicroPython's map of the heap shows:
"code, tables, instances" are bytecode, the tables of dictionaries and classes, and objects
without a letter of their own.
"""

import ast
import re

from . import features
from .programs import kib
from .rows import OURS, Row

NAMES = "names"
KINDS = {
    "h": "code, tables, instances",
    NAMES: "names and their pools",
    "B": "function objects",
    "D": "dictionaries, without their tables",
    "S": "texts and bytes",
    "T": "tuples",
    "L": "lists",
    "M": "modules",
    "A": "arrays",
    "F": "floats",
}
_FREE, _TAIL = ".", "="
_MAP = re.compile(r"[0-9a-f]{8}: ")


async def measure(rounds, quick=False):
    """Rows of KiB; they are counted, so one round is enough."""
    async with features.bench() as bench:
        loaded = (await bench.run(features.TELEMETRY, ".mpy"))["modules"]
        library = [name for name in loaded if name.startswith(("iothub", "umqtt"))]
        ran = await bench.parts(in_order(library, features.FIRMWARE))
    rows = [
        Row(f"module {name}", kib(), {OURS: [size / 1024]})
        for name, size in sorted(ran["imports"], key=lambda one: -one[1])
    ]
    rows.append(Row("client, TLS and asyncio's tasks", kib(), {OURS: [ran["use"] / 1024]}))
    before, used = kinds(ran["before"]), kinds(ran["used"])
    for letter, what in KINDS.items():
        size = used.get(letter, 0) - before.get(letter, 0)
        if size:
            rows.append(Row(f"kind: {what}", kib(), {OURS: [size / 1024]}))
    return rows


def in_order(names, folder):
    """The modules `names`, each behind those that it imports at its top, in `folder`."""
    found = []

    def visit(name):
        if name in found or name not in names:
            return
        path = folder / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path.is_file():
            for other in _imports(name, path):
                visit(other)
        found.append(name)

    for name in names:
        visit(name)
    return found


def _imports(name, path):
    """The modules that the one at `path` imports at its top."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    top = ast.parse(path.read_text()).body
    for node in top:
        if isinstance(node, ast.If):
            top += node.body  # what MicroPython has
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level]
            base += node.module.split(".") if node.module else []
            yield ".".join(base)
            for alias in node.names:
                yield ".".join([*base, alias.name])


def kinds(lines):
    """{a key of KINDS: bytes} of the lines of micropython.qstr_info() and mem_info(1)."""
    found, letter = {}, None
    block = block_size(lines)
    for line in lines:
        if line.startswith("qstr pool:"):
            found[NAMES] = int(line.rpartition("n_total_bytes=")[2])
        if not _MAP.match(line):
            continue
        for one in line[10:].strip():
            if one == _FREE:
                continue
            if one != _TAIL:
                letter = one
            found[letter] = found.get(letter, 0) + block
    if "Q" in found:  # newer builds show names by letters of their own
        del found["Q"], found["q"]
    else:
        found["h"] -= found[NAMES]
    return found


def block_size(lines):
    """Bytes of a block of the heap: each line but the last of the map shows 64."""
    offsets = [int(line[:8], 16) for line in lines if _MAP.match(line)]
    steps = [b - a for a, b in zip(offsets, offsets[1:], strict=False)]
    return min(steps) // 64
