"""The local hub: IoT Hub's behaviour on this machine, written from the contract alone.

The fronts (mqtt, amqp, rest) know the core; the core knows no protocol; the store knows no hub.
Nothing here imports the firmware but for the wire format of AMQP, so that a wrong encoder on one
side cannot agree with itself.
"""

USUAL = {"mqtt": 8883, "amqp": 5671, "amqp_plain": 5672, "https": 443}  # the ports, by front
