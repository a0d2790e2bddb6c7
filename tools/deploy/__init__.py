"""Deployment of the firmware to a board: the command `iothub deploy`.

image makes the files that a board gets. settings reads the settings, which hold secrets. transfer
copies the files that differ, and onboard has the programs that run on the board for that. frozen
makes a manifest, a ROMFS image or a package.json instead.
"""
