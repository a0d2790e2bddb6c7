"""What runs on the board while it is deployed to. MicroPython's Python; sent as source.

survey() and write() run in the raw REPL. What finish() writes to deploy/finish.py puts a
deployment in place once all of it has arrived, and can be run as often as it takes: by the host at
the end, or by boot.py when the power went first. Until then the old program is whole.
"""

STAGE = "/deploy"
FINISH = STAGE + "/finish.py"

_THERE = """
import os
def there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False
"""

PENDING = f'''{_THERE}
import json
print(json.dumps(there("{FINISH}")))
'''

SURVEY = (
    _THERE
    + """
import gc, json, os, sys, time
gc.collect()
free = gc.mem_free()
def built_in(name):
    try:
        module = __import__(name)
    except ImportError:
        return False
    return not getattr(module, "__file__", "").startswith("/lib")
fs = os.statvfs("/")
print(json.dumps({
    "version": list(sys.implementation.version[:3]),
    "mpy": getattr(sys.implementation, "_mpy", 0),
    "name": getattr(sys.implementation, "_machine", sys.platform),
    "block": fs[0], "flash": fs[0] * fs[3],
    "heap": free * 2 if sys.maxsize < 2**32 else free, "word": 4 if sys.maxsize < 2**32 else 8,
    "year": time.gmtime()[0], "umqtt": built_in("umqtt.simple"),
    "settings": there("/settings.json"),
    "frozen": built_in("iothub") or there("/rom/lib/iothub"),
}))
"""
)

# HASHES: a tuple of paths; a file that is not there has none.
HASHES = """
import binascii, hashlib, json
def hashed(path, buffer=bytearray(512)):
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while True:
                size = file.readinto(buffer)
                if not size:
                    return binascii.hexlify(digest.digest()).decode()
                digest.update(memoryview(buffer)[:size])
    except OSError:
        return None
print(json.dumps([hashed(path) for path in PATHS]))
"""

# FOLDERS: a tuple of paths; what is in them, and below.
LIST = """
import json, os
def walk(folder):
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return []
    found = []
    for entry in entries:
        path = folder + "/" + entry[0]
        found += walk(path) if entry[1] == 0x4000 else [path]
    return found
print(json.dumps([path for folder in FOLDERS for path in walk(folder)]))
"""

# The watchdog brings the old program back if the host falls silent; what writes feeds it.
BEGIN = f'''
import binascii, machine, os
try:
    os.mkdir("{STAGE}")
except OSError:
    pass
wdt = machine.WDT(timeout=TIMEOUT)
'''

_FINISH = (
    _THERE
    + """
def finish():
    for path in OLD:
        if there(path):
            os.remove(path)
    for stage, path in NEW:
        if there(stage):
            folder = ""
            for part in path.split("/")[1:-1]:
                folder += "/" + part
                if not there(folder):
                    os.mkdir(folder)
            try:
                os.rename(stage, path)
            except OSError:
                os.remove(path)
                os.rename(stage, path)
    for entry in list(os.ilistdir(STAGE)):
        if entry[0] != "finish.py":
            os.remove(STAGE + "/" + entry[0])
    os.remove(FINISH)
    os.rmdir(STAGE)
finish()
print("deployed")
import machine
machine.reset()
"""
)


def finish(new, old):
    """The program that puts `new`, pairs (where it was staged, where it goes), in place, and
    removes the paths in `old`.
    """
    return (
        f"STAGE, FINISH = {STAGE!r}, {FINISH!r}\nNEW = {tuple(new)!r}\nOLD = {tuple(old)!r}"
        + _FINISH
    )
