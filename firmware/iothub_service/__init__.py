"""The service's side of Azure IoT Hub over AMQP, on a board or on a host."""


def __getattr__(name):
    # Loaded when it is first used: a program may want iothub_service.events alone.
    if name != "IoTHubServiceClient":
        raise AttributeError("iothub_service has no %r" % name)
    from .client import IoTHubServiceClient

    globals()[name] = IoTHubServiceClient
    return IoTHubServiceClient
