"""The local hub: IoT Hub's behaviour on this machine, written from the contract alone.

The fronts (mqtt, rest) know the core; the core knows no protocol; the store knows no hub. Nothing
here imports the firmware, so that a wrong encoder on one side cannot agree with itself.
"""
