"""The cloud's side of IoT Hub: a service client over REST and AMQP, and the command for it.

client has the operations that every IoT Hub offers; local, what only the local hub can do;
enrollments, the provisioning service (DPS); rest, the requests that all three send.
"""
