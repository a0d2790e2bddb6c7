"""A service client of IoT Hub: registry, twins, methods and queries over REST; cloud-to-device
messages, feedback and events over AMQP.
"""

import logging
from urllib.parse import quote

from iothub import Message
from iothub.credentials import split_host
from iothub.options import parse_connection_string
from iothub_service.client import IoTHubServiceClient

from .enrollments import Enrollments
from .local import LocalControl
from .rest import Rest

log = logging.getLogger("service")

_ANY_ETAG = {"If-Match": '"*"'}


class ServiceClient:
    """One hub, the local one or Azure's, as one service policy.

        async with ServiceClient.create_from_connection_string(text) as service:
            await service.send_c2d_message("my-board", "hello")

    Connections are made when they are first needed. Every operation has a deadline, except to wait
    for the next event or feedback record. Refusals are iothub.errors.RefusedError, with the HTTP
    status or the AMQP condition as `code`; network errors are OSError or aiohttp.ClientError.

    on_background_exception: a function that is told why the AMQP connection was lost, or could not
    be made again. local: what only the local hub can do. enrollments: those of the DPS.
    """

    def __init__(self, hostname, amqp_hostname, policy_name, key, server_verification_cert=None):
        self.rest = Rest(hostname, policy_name, key, server_verification_cert)
        self.local = LocalControl(self.rest)
        self.enrollments = Enrollments(self.rest)
        self._amqp = IoTHubServiceClient(
            amqp_hostname, policy_name, key, server_verification_cert=server_verification_cert
        )
        self.on_background_exception = lambda error: log.warning("%s", error)

    @classmethod
    def create_from_connection_string(
        cls, connection_string, server_verification_cert=None, amqp_port=None
    ):
        """A client of `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`. ValueError.

        HostName may carry a port; amqp_port is that of AMQP, where it is another than REST's.
        server_verification_cert: a file (PEM) with the CA to trust instead of the public ones.
        """
        values = parse_connection_string(connection_string)
        names = ("HostName", "SharedAccessKeyName", "SharedAccessKey")
        for name in names:
            if name not in values:
                raise ValueError(f"connection string: {name} is missing")
        hostname, policy_name, key = (values[name] for name in names)
        amqp_hostname = hostname
        if amqp_port is not None:
            amqp_hostname = f"{split_host(hostname, None)[0]}:{amqp_port}"
        return cls(hostname, amqp_hostname, policy_name, key, server_verification_cert)

    @classmethod
    def create_for_local_hub(cls, hub):
        """A client of the local hub. hub: the JSON line that it prints, as a dict."""
        text = hub["service_connection_string"]
        return cls.create_from_connection_string(text, hub["ca_file"], hub["amqp_port"])

    @property
    def on_background_exception(self):
        return self._amqp.on_background_exception

    @on_background_exception.setter
    def on_background_exception(self, handler):
        self._amqp.on_background_exception = handler

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self):
        """Close all connections; iterations over events and feedback end."""
        await self._amqp.close()
        await self.rest.close()

    # -- the registry -------------------------------------------------------------------------

    async def create_device(self, device_id, **fields):
        """Register a device: its identity, with its keys."""
        body = {"deviceId": device_id, "status": "enabled", **fields}
        return await self.rest.request("PUT", _device(device_id), json=body)

    async def create_module(self, device_id, module_id):
        """Register a module of a device: its identity, with its keys."""
        body = {"deviceId": device_id, "moduleId": module_id}
        return await self.rest.request("PUT", _module(device_id, module_id), json=body)

    async def get_device(self, device_id):
        """A device's identity."""
        return await self.rest.request("GET", _device(device_id))

    async def get_module(self, device_id, module_id):
        """A module's identity."""
        return await self.rest.request("GET", _module(device_id, module_id))

    async def update_device(self, device_id, **fields):
        """Change a device's status or keys: its identity."""
        body = {"deviceId": device_id, **fields}
        return await self.rest.request("PUT", _device(device_id), json=body, headers=_ANY_ETAG)

    async def list_devices(self):
        """The identities of up to 1000 devices."""
        return await self.rest.request("GET", "/devices", {"top": "1000"})

    async def delete_device(self, device_id):
        """Delete a device and its modules."""
        await self.rest.request("DELETE", _device(device_id), headers=_ANY_ETAG)

    # -- twins, methods, queries --------------------------------------------------------------

    async def get_twin(self, device_id):
        """A device's twin."""
        return await self.rest.request("GET", _twin(device_id))

    async def patch_twin(self, device_id, patch):
        """Merge {"tags": …, "properties": {"desired": …}} into a device's twin: the whole twin."""
        return await self.rest.request("PATCH", _twin(device_id), json=patch)

    async def query(self, text):
        """Yield the rows of a query over devices or modules, page by page."""
        headers = {}
        while True:
            rows, answered = await self.rest.exchange(
                "POST", "/devices/query", json={"query": text}, headers=headers
            )
            for row in rows:
                yield row
            token = answered.get("x-ms-continuation")
            if not token:
                return
            headers = {"x-ms-continuation": token}

    async def invoke_method(
        self, device_id, name, payload, response_timeout=30, connect_timeout=10
    ):
        """Call a direct method: (status, payload). Time-outs in seconds."""
        body = {
            "methodName": name,
            "payload": payload,
            "responseTimeoutInSeconds": response_timeout,
            "connectTimeoutInSeconds": connect_timeout,
        }
        limit = response_timeout + connect_timeout + 5
        path = f"{_twin(device_id)}/methods"
        answer = await self.rest.request("POST", path, json=body, timeout=limit)
        return answer["status"], answer["payload"]

    # -- messages -----------------------------------------------------------------------------

    async def send_c2d_message(
        self, device_id, message, properties=None, ack=None, module_id=None, **fields
    ):
        """Send a cloud-to-device message; returns once the hub has queued it.

        message: a Message, or its body as str or bytes. properties: {name: value} to add to its
        custom properties. ack: none, positive, negative or full, for feedback. fields: attributes
        of the Message, such as message_id, content_type, absolute_expiry_time (ms since 1970).
        """
        if not isinstance(message, Message):
            message = Message(message)
        message.custom_properties.update(properties or {})
        for name, value in fields.items():
            setattr(message, name, value)
        await self._amqp.send_c2d_message(device_id, message, ack, module_id)

    async def purge_c2d_messages(self, device_id):
        """Delete the cloud-to-device messages that wait for a device: their number."""
        answer = await self.rest.request("DELETE", f"{_device(device_id)}/commands")
        return answer["totalMessagesPurged"]

    async def feedback(self):
        """An asynchronous iterator of feedback records; see IoTHubServiceClient.feedback()."""
        return await self._amqp.feedback()

    async def events(self, partition=None, **start):
        """An asynchronous iterator of what all devices send; see iothub_service.events.Events."""
        return await self._amqp.events(partition, **start)


def _device(device_id):
    return f"/devices/{quote(device_id, safe='')}"


def _module(device_id, module_id):
    return f"{_device(device_id)}/modules/{quote(module_id, safe='')}"


def _twin(device_id):
    return f"/twins/{quote(device_id, safe='')}"
