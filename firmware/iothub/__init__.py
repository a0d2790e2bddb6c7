"""Azure IoT Hub for MicroPython: the public names, each loaded when it is first used."""

__version__ = "0.1.0"

# A module, and the public names in it. One string: a dict would cost the heap of all its names.
_HOMES = """
client IoTHubDeviceClient
module IoTHubModuleClient
messages Message
methods MethodRequest MethodResponse
outbox Outbox
provisioning ProvisioningDeviceClient
net.proxy ProxyOptions
net.x509 X509
errors exceptions
"""


def __getattr__(name):
    # MicroPython asks here for a submodule too: from iothub import log
    if name[:1] == "_":
        raise AttributeError("iothub has no %r" % name)
    home = name
    for line in _HOMES.split("\n"):
        module, _, names = line.partition(" ")
        if name in names.split(" "):
            home = module
    try:
        # The level-1 form imports relative to this package, on a board as on a host.
        value = __import__(home, globals(), None, ("*",), 1)
    except ImportError as error:
        raise AttributeError("iothub has no %r: %s" % (name, error))
    if home != name and name != "exceptions":
        value = getattr(value, name)
    globals()[name] = value
    return value
