"""Imports modules one by one, then sends a message, and prints maps of the heap on the way. Its
result: {"imports": [[module, bytes], …], "use": bytes}.
"""

import gc
import json
import sys

import micropython

settings = json.loads(sys.stdin.readline())


def held():
    gc.collect()
    return gc.mem_alloc()


def show(name):
    """Print the map of the heap, behind a line with the name."""
    print(json.dumps(["heap", name]))
    micropython.qstr_info()
    micropython.mem_info(1)


show("before")
sizes = []
last = held()
for name in settings["modules"]:
    __import__(name)
    now = held()
    sizes.append([name, now - last])
    last = now
before = held()
__import__(settings["program"]).run(settings, lambda stage: None)
show("used")
print(json.dumps(["result", {"imports": sizes, "use": held() - before}]))
