"""Programs that run on the board during a deployment. They are MicroPython, sent as source.

Those in capitals run in the raw REPL. finish() makes deploy/finish.py, which puts the files in
place once all of them have arrived. The host runs it at the end, or boot.py does after a power
cut; it can run again if it was interrupted. Until it runs, the old program is complete.
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
    "heap": free, "word": 8 if sys.maxsize >> 32 else 4,
    "year": time.gmtime()[0], "umqtt": built_in("umqtt.simple"),
    "settings": there("/settings.json"),
    "frozen": built_in("iothub") or there("/rom/lib/iothub"),
}))
"""
)

# PATHS: the files to hash; the hash of a file that is not there is None.
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

# FOLDERS: the folders to list, with the folders in them.
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

# If the host falls silent, the watchdog resets the board to its old program. Each write feeds it,
# and no longer the timer of remote.Remote.
BEGIN = f'''
import binascii, machine, os, sys
if "board.repl" in sys.modules:
    sys.modules["board.repl"].release()
try:
    os.mkdir("{STAGE}")
except OSError as error:
    if error.errno != 17:  # EEXIST
        raise
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
    """The text of deploy/finish.py. new: pairs (staged path, path); old: paths to delete."""
    return (
        f"STAGE, FINISH = {STAGE!r}, {FINISH!r}\nNEW = {tuple(new)!r}\nOLD = {tuple(old)!r}"
        + _FINISH
    )
