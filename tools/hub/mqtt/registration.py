"""A device that registers with DPS over MQTT, on the same port as the hub's devices.

Source: docs/protocol/provisioning.md, "Registration" and "Result".
"""

import json
import re

from ..core import json_body, provisioning
from ..core.errors import HubError, Unauthorized
from . import packets, topics
from .login import NOT_AUTHORIZED, WRONG_CLIENT_ID, Refused
from .packets import DISCONNECT, PINGREQ, SUBSCRIBE, Publish

_USER_NAME = re.compile(r"([^/]+)/registrations/([^/]+)/api-version=[^&]+(?:&.*)?")
_FILTER = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?"
_GET_STATUS = "$dps/registrations/GET/iotdps-get-operationstatus/?"


class Registration:
    """Handles the packets of one connection after CONNECT. Refused: the attestation fails."""

    def __init__(self, core, connection, packet, chain):
        self._core = core
        self._connection = connection
        scope, self._id = _USER_NAME.fullmatch(packet.user_name).groups()
        if packet.client_id != self._id:
            raise Refused(
                WRONG_CLIENT_ID,
                f"the client id is not {self._id[:140]}, which the user name says: both must be "
                "the registration id",
            )
        try:
            self._enrollment = core.provisioning.attest(scope, self._id, packet.password, chain)
        except Unauthorized as error:
            raise Refused(NOT_AUTHORIZED, str(error)) from None

    @staticmethod
    def is_for(packet):
        """Whether a CONNECT is a registration's rather than a device's."""
        return _USER_NAME.fullmatch(packet.user_name or "") is not None

    @property
    def name(self):
        return f"registration {self._id}"

    def start(self):
        self._connection.send(packets.connack(0))

    def closed(self):
        pass  # a registration leaves nothing behind

    async def handle(self, packet):
        """Take in a packet. HubError: it is not supported, and the connection must close."""
        if isinstance(packet, Publish):
            await self._publish(packet)
        elif packet.kind == SUBSCRIBE:
            if any(name != _FILTER for name, _ in packet.filters):
                raise HubError(400, "UnsupportedFilter", f"DPS supports only the filter {_FILTER}")
            self._connection.send(packets.suback(packet.packet_id, [1] * len(packet.filters)))
        elif packet.kind == PINGREQ:
            self._connection.send(packets.PINGRESP)
        elif packet.kind == DISCONNECT:
            self._connection.close("the device disconnected")

    async def _publish(self, packet):
        if packet.qos:
            self._connection.send(packets.puback(packet.packet_id))
        if packet.topic.startswith(_REGISTER):
            serve = self._register
        elif packet.topic.startswith(_GET_STATUS):
            serve = self._get_status
        else:
            raise HubError(
                400, "UnsupportedTopic", f"DPS does not support the topic {packet.topic[:200]}"
            )
        fields = dict(topics.parse_bag(packet.topic.partition("?")[2]))
        try:
            status, body = serve(fields, packet.body)
        except HubError as error:
            status, code = error.status, error.code
            body = {"errorCode": code, "trackingId": "", "message": str(error)}
        await self._core.durable()
        more = f"&retry-after={provisioning.RETRY_AFTER}" if status in (202, 429) else ""
        topic = f"$dps/registrations/res/{status}/?$rid={fields.get('$rid', '')}{more}"
        self._connection.send(packets.publish(topic, json.dumps(body).encode()))

    def _register(self, _fields, body):
        wanted = json_body.decode_object(body)
        if wanted.get("registrationId", self._id) != self._id:
            reason = f"the body's registrationId is not {self._id}, which CONNECT says"
            raise HubError(400, "BadRequest", reason, 400204)
        operation = self._core.provisioning.begin(
            self._id, self._enrollment, wanted.get("payload")
        )
        return 202, {"operationId": operation, "status": "assigning"}

    def _get_status(self, fields, _body):
        operation = fields.get("operationId") or ""
        state = self._core.provisioning.result(self._id, operation)
        answer = {"operationId": operation, "status": state["status"], "registrationState": state}
        return 200, answer
