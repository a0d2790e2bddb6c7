"""Runs the tests of one module, named on the command line; the last line says how many ran."""

import sys

name = sys.argv[1]
__import__(name)
module = sys.modules[name]
count = failures = 0
for name in sorted(dir(module)):
    if name.startswith("test_"):
        count += 1
        try:
            getattr(module, name)()
        except Exception as error:
            failures += 1
            print("FAILED", name)
            sys.print_exception(error)
print("ran", count)
sys.exit(1 if failures else 0)
