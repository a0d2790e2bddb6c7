"""A virtual ESP32: the real MicroPython on a pseudo-terminal, with stand-ins for the hardware.

machine runs and resets MicroPython. terminal is its standard input and output. port is the serial
port that programs such as mpremote open. newlines converts the ends of lines as a UART does. disk
fills the flash. standins has the modules of an ESP32 that the unix port of MicroPython lacks.
"""
