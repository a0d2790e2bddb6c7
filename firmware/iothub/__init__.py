"""Azure IoT Hub for MicroPython: the public names, each loaded when first used."""

__version__ = "0.1.0"

_HOMES = {
    "IoTHubDeviceClient": "client",
    "IoTHubModuleClient": "module",
    "Message": "messages",
    "MethodRequest": "methods",
    "MethodResponse": "methods",
    "Outbox": "outbox",
    "ProvisioningDeviceClient": "provisioning",
    "ProxyOptions": "net.proxy",
    "X509": "net.x509",
    "exceptions": "errors",
}


def __getattr__(name):
    # MicroPython asks here for a submodule too: from iothub import log
    home = _HOMES.get(name, name)
    if name[:1] == "_":
        raise AttributeError("iothub has no %r" % name)
    try:
        # The level-1 form imports relative to this package, on a board as on a host.
        value = __import__(home, globals(), None, ("*",), 1)
    except ImportError as error:
        raise AttributeError("iothub has no %r: %s" % (name, error))
    if home != name and name != "exceptions":
        value = getattr(value, name)
    globals()[name] = value
    return value
