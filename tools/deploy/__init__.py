"""Bringing the firmware to a board: the command `iothub deploy`.

image says what a board gets, settings asks a person for the secrets, onboard is what runs on the
board meanwhile, transfer brings the difference over and lets the board put it in place, frozen
writes a manifest for whoever builds an image instead.
"""
