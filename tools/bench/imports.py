"""The flash, the heap and the time until it can connect of a program of four features (telemetry,
a C2D message, the twin, a direct method), from source and compiled, beside the same program by
umqtt.simple and by hand.
"""

from . import features
from .programs import kib
from .rows import OURS, Goal, Row

ENDINGS = {"source": ".py", ".mpy": ".mpy"}
FLASH = Goal(30)  # KB of .mpy


async def measure(rounds, quick=False):
    """Rows of KB on flash, KiB of heap, and ms; umqtt, which is in every image, takes no flash."""
    rows = []
    async with features.bench() as bench:
        for form, ending in ENDINGS.items():
            flash, heap, took = {}, {}, {}
            for _ in range(rounds):
                for name in (OURS, features.UMQTT):
                    ran = await bench.run(name, form)
                    microseconds, held = ran["marks"]["import"]
                    stored = on_flash(ran["modules"], bench.folders[form], ending)
                    flash.setdefault(name, []).append(stored)
                    heap.setdefault(name, []).append(held / 1024)
                    took.setdefault(name, []).append(microseconds / 1000)
            rows += [
                Row(f"on flash, {form}", "KB", flash, (FLASH,) if form == ".mpy" else ()),
                Row(f"heap once imported, {form}", kib(), heap),
                Row(f"import, {form}", "ms", took),
            ]
    return rows


def on_flash(modules, folders, ending):
    """The size in KB of the files that hold `modules`, as far as they are in `folders`."""
    size = 0
    for module in modules:
        path = module.replace(".", "/")
        if path.startswith("umqtt"):
            continue
        names = (path + ending, f"{path}/__init__{ending}")
        files = [folder / name for folder in folders for name in names]
        size += sum(file.stat().st_size for file in files if file.is_file())
    return size / 1024
