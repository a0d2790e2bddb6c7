"""The interface between the core and a device front: one connected device or module."""

import abc


class DeviceSession(abc.ABC):
    """One identity while it is connected. Each device front implements it for its protocol.

    A front gives one to Core.connect() when a device has authenticated, and calls
    Core.disconnect() with it when the connection has ended, for whatever reason.
    """

    @abc.abstractmethod
    def close(self, reason):
        """End the connection in order. The log gets the reason; the device where it can."""

    @abc.abstractmethod
    def abort(self):
        """Cut the connection as a broken network does: nothing more is sent."""

    @abc.abstractmethod
    def deliver_messages(self):
        """Send the cloud-to-device messages in the identity's queue that the device can take."""

    @abc.abstractmethod
    def send_desired(self, patch):
        """Send a change of desired properties, with its $version, if the device asked for it."""

    @abc.abstractmethod
    def call_method(self, name, request_id, body):
        """Send a direct method call; False if the device takes no methods.

        The answer, if one comes, goes to Core.methods.answer() with the same request_id.
        """
