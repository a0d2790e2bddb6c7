"""What a board does at power-on: boot.py, then main.py, in one set of globals."""

execfile("boot.py")  # noqa: F821 (MicroPython's own)
execfile("main.py")  # noqa: F821
