"""The synchronous clients: the asynchronous ones, on a loop in a thread of their own.

The program's thread waits, with a deadline, for what the loop does; handlers run in the loop's
thread, so they must not call the client back and wait. A board needs _thread for this.
"""

import _thread
import asyncio
import time

import iothub
from iothub.errors import OperationTimeout

from . import aio

_PATIENCE = 300  # seconds: every operation has a shorter deadline of its own


class _Loop:
    """The one loop, in its thread; calls reach it through a list that it looks at."""

    def __init__(self):
        self._calls = []
        self._lock = _thread.allocate_lock()
        _thread.start_new_thread(self._run, ())

    def _run(self):
        try:
            asyncio.new_event_loop()  # MicroPython has one for all threads; CPython one for each
            asyncio.run(self._serve())
        except Exception as error:
            print("azure.iot.device:", type(error).__name__, error)

    async def _serve(self):
        while True:
            with self._lock:
                calls, self._calls = self._calls, []
            for call in calls:
                asyncio.create_task(call.run())
            await asyncio.sleep(0.01)

    def call(self, function, *arguments):
        """What a function, or a coroutine function, returns when it is run in the loop."""
        call = _Call(function, arguments)
        with self._lock:
            self._calls.append(call)
        return call.result()


class _Call:
    def __init__(self, function, arguments):
        self._function = function
        self._arguments = arguments
        self._done = False
        self._value = self._error = None

    async def run(self):
        try:
            value = self._function(*self._arguments)
            if hasattr(value, "send") or hasattr(value, "__await__"):
                value = await value
            self._value = value
        except Exception as error:
            self._error = error
        self._done = True

    def result(self):
        for _ in range(_PATIENCE * 100):
            if self._done:
                break
            time.sleep(0.01)
        else:
            raise OperationTimeout("no answer within %d s" % _PATIENCE, "sync")
        if self._error is not None:
            raise self._error
        return self._value


_loop = None


def _call(function, *arguments):
    global _loop
    if _loop is None:
        _loop = _Loop()
    return _loop.call(function, *arguments)


def _blocking(name):
    def method(self, *arguments):
        return _call(getattr(self._client, name), *arguments)

    return method


def _attribute(name):
    def get(self):
        return getattr(self._client, name)

    def put(self, value):
        _call(setattr, self._client, name, value)

    return property(get, put)


class _Client:
    """What the device and the module client share. Made with the create_from_…() of _kind."""

    _kind = None  # type: type

    def __init__(self, client):
        self._client = client

    connect = _blocking("connect")
    disconnect = _blocking("disconnect")
    shutdown = _blocking("shutdown")
    send_message = _blocking("send_message")
    send_method_response = _blocking("send_method_response")
    get_twin = _blocking("get_twin")
    patch_twin_reported_properties = _blocking("patch_twin_reported_properties")
    update_sastoken = _blocking("update_sastoken")

    connected = property(lambda self: self._client.connected)
    on_message_received = _attribute("on_message_received")
    on_method_request_received = _attribute("on_method_request_received")
    on_twin_desired_properties_patch_received = _attribute(
        "on_twin_desired_properties_patch_received"
    )
    on_connection_state_change = _attribute("on_connection_state_change")
    on_background_exception = _attribute("on_background_exception")
    on_new_sastoken_required = _attribute("on_new_sastoken_required")

    @classmethod
    def _made(cls, name, arguments, options):
        def make():
            return getattr(cls._kind, name)(*arguments, **options)

        return cls(_call(make))

    @classmethod
    def create_from_connection_string(cls, *arguments, **options):
        return cls._made("create_from_connection_string", arguments, options)

    @classmethod
    def create_from_sastoken(cls, *arguments, **options):
        return cls._made("create_from_sastoken", arguments, options)

    @classmethod
    def create_from_x509_certificate(cls, *arguments, **options):
        return cls._made("create_from_x509_certificate", arguments, options)


class IoTHubDeviceClient(_Client):
    """azure.iot.device.IoTHubDeviceClient."""

    _kind = aio.IoTHubDeviceClient

    get_storage_info_for_blob = _blocking("get_storage_info_for_blob")
    notify_blob_upload_status = _blocking("notify_blob_upload_status")

    @classmethod
    def create_from_symmetric_key(cls, *arguments, **options):
        return cls._made("create_from_symmetric_key", arguments, options)


class IoTHubModuleClient(_Client):
    """azure.iot.device.IoTHubModuleClient."""

    _kind = aio.IoTHubModuleClient

    send_message_to_output = _blocking("send_message_to_output")


class ProvisioningDeviceClient(_Client):
    """azure.iot.device.ProvisioningDeviceClient."""

    _kind = iothub.ProvisioningDeviceClient

    register = _blocking("register")
    provisioning_payload = _attribute("provisioning_payload")

    @classmethod
    def create_from_symmetric_key(cls, *arguments, **options):
        return cls._made("create_from_symmetric_key", arguments, options)
