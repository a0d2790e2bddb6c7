"""Azure IoT Hub for MicroPython: the public names, each loaded when first used."""

__version__ = "0.1.0"

_HOMES = {
    "IoTHubDeviceClient": "client",
    "IoTHubModuleClient": "client",
    "Message": "messages",
    "MethodRequest": "messages",
    "MethodResponse": "messages",
    "ProvisioningDeviceClient": "provisioning",
    "X509": "x509",
    "exceptions": "errors",
}

# MicroPython asks __getattr__ for a submodule too: from iothub import topics
_MODULES = (
    "blame carrier client compat credentials deadline errors framing handlers link messages"
    " mqtt options oversized packets provisioning renewal retry roots sas session stream"
    " stream_host takeover text topics twin watch websocket x509"
)


def __getattr__(name):
    home = _HOMES.get(name)
    if home is None and name not in _MODULES.split():
        raise AttributeError("iothub has no %r" % name)
    # The level-1 form imports relative to this package, on a board as on a host.
    value = __import__(home or name, globals(), None, ("*",), 1)
    if home and name != "exceptions":
        value = getattr(value, name)
    globals()[name] = value
    return value
