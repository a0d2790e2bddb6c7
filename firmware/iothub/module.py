"""IoTHubModuleClient: a module of a device. Loaded when it is used."""

from .client import IoTHubClient
from .credentials import Credentials
from .messages import Message


class IoTHubModuleClient(IoTHubClient):
    """A module of a device."""

    async def send_message_to_output(self, message, output_name):
        """Send a Message (or str, or bytes) to an output, which an edge hub routes on."""
        if not isinstance(message, Message):
            message = Message(message)
        message.output_name = output_name
        await self.send_message(message)

    @classmethod
    def create_from_x509_certificate(cls, x509, hostname, device_id, module_id, **options):
        """A client of a module that shows its certificate (an X509)."""
        return cls(Credentials(hostname, device_id, module_id, x509=True), x509=x509, **options)
