"""A virtual ESP32: the real MicroPython on a pseudo-terminal, and stand-ins for the hardware.

machine runs and resets it, terminal is where MicroPython reads and writes, port what a program
such as mpremote opens, newlines what a UART does to a line's end; standins run inside.
"""
