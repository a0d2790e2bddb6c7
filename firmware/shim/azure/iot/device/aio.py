"""azure.iot.device.aio: iothub's clients, with what only older programs use."""

import asyncio

import iothub
from iothub import ProvisioningDeviceClient  # noqa: F401

# Of the cloud SDK's options, those that mean nothing here.
_IDLE = ("cipher", "connection_retry_interval")
_MAX_WAITING = 20


class _Queue:
    """What comes, oldest first, for whoever asks; the oldest go where nobody does."""

    def __init__(self):
        self._waiting = []
        self._arrived = asyncio.Event()

    def put(self, item):
        self._waiting = self._waiting[1 - _MAX_WAITING :] + [item]
        self._arrived.set()

    async def get(self, wanted=None):
        """The oldest that is wanted(item); it waits as long as the program likes to."""
        while True:
            for item in self._waiting:
                if wanted is None or wanted(item):
                    self._waiting.remove(item)
                    return item
            self._arrived.clear()
            await self._arrived.wait()


# The receive_…() coroutines, which azure.iot.device deprecates. Each takes over a handler.


def _queue(client, name):
    if name not in client.queues:
        client.queues[name] = queue = _Queue()
        setattr(client, name, queue.put)
    return client.queues[name]


async def _receive_message(self):
    """The next C2D message."""
    return await _queue(self, "on_message_received").get()


async def _receive_message_on_input(self, input_name):
    """The next message on this input of a module."""
    queue = _queue(self, "on_message_received")
    return await queue.get(lambda message: message.input_name == input_name)


async def _receive_method_request(self, method_name=None):
    """The next direct method, of this name or of any."""
    queue = _queue(self, "on_method_request_received")
    return await queue.get(lambda request: method_name is None or request.name == method_name)


async def _receive_patch(self):
    """The next change of desired properties."""
    return await _queue(self, "on_twin_desired_properties_patch_received").get()


def _useful(options):
    return {name: value for name, value in options.items() if name not in _IDLE}


class IoTHubDeviceClient(iothub.IoTHubDeviceClient):
    """azure.iot.device.aio.IoTHubDeviceClient."""

    def __init__(self, credentials, **options):
        super().__init__(credentials, **_useful(options))
        self.queues = {}

    receive_message = _receive_message
    receive_method_request = _receive_method_request
    receive_twin_desired_properties_patch = _receive_patch


class IoTHubModuleClient(iothub.IoTHubModuleClient):
    """azure.iot.device.aio.IoTHubModuleClient."""

    def __init__(self, credentials, **options):
        super().__init__(credentials, **_useful(options))
        self.queues = {}

    receive_message_on_input = _receive_message_on_input
    receive_method_request = _receive_method_request
    receive_twin_desired_properties_patch = _receive_patch
