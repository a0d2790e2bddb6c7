"""azure.iot.device on a board, over iothub: what programs import, under the names they use.

The clients here are the synchronous ones, each loaded when first used. README, "Programs for
azure.iot.device", says what is absent.
"""

_HOMES = {
    "IoTHubDeviceClient": "sync",
    "IoTHubModuleClient": "sync",
    "ProvisioningDeviceClient": "sync",
    "Message": "iothub",
    "MethodRequest": "iothub",
    "MethodResponse": "iothub",
    "ProxyOptions": "iothub",
    "X509": "iothub",
    "RegistrationResult": "iothub.provisioning",
}


def __getattr__(name):
    if name in ("aio", "exceptions", "sync"):
        return __import__(name, globals(), None, ("*",), 1)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError("azure.iot.device has no %r here" % name)
    module = __import__(home, globals(), None, ("*",), 1 if home == "sync" else 0)
    return getattr(module, name)
