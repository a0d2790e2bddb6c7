"""Runs a program that uses four features, and measures its time and heap at each stage.

Its result: {"marks": {stage: [µs, bytes of heap] since the start}, "modules": those imported}.
It shares no code with the other programs, whose heap would be counted.
"""

import gc
import json
import sys
import time

gc.threshold(4096)  # as boot.py does

settings = json.loads(sys.stdin.readline())
if "romfs" in settings:
    import os

    import vfs

    flash = bytearray(os.stat(settings["romfs"])[6])  # all at once: a board has no scraps of it
    with open(settings["romfs"], "rb") as file:
        file.readinto(flash)
    vfs.mount(vfs.VfsRom(flash), "/rom")
    sys.path[0] = "/rom/lib"
else:
    sys.path.pop(0)  # this file's folder, where the programs' sources are
marks = {}


def heap():
    gc.collect()
    return gc.mem_alloc()


def mark(stage):
    took = time.ticks_diff(time.ticks_us(), start)
    marks[stage] = [took, heap() - before]


before = heap()
start = time.ticks_us()
__import__(settings["program"]).run(settings, mark)
# Piece by piece: the report must not need more heap than the program did.
json.dump(["result", {"marks": marks, "modules": list(sys.modules)}], sys.stdout)
print()
