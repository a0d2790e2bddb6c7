"""A device that registers with the provisioning service, on the same port as the hub's devices.

Source: spec iothub-mqtt, "Device Provisioning Service".
"""

import json
import re

from ..core import provisioning
from ..core.auth import TokenError
from ..core.errors import HubError
from . import packets, topics
from .login import Refused
from .packets import DISCONNECT, PINGREQ, SUBSCRIBE, Publish

_USER = re.compile(r"([^/]+)/registrations/([^/]+)/api-version=[^&]+(?:&.*)?")
_FILTER = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?"
_ASK = "$dps/registrations/GET/iotdps-get-operationstatus/?"


class Registration:
    """Takes the packets of one connection from CONNECT on; Refused: it does not begin."""

    def __init__(self, core, connection, packet, chain):
        self._core = core
        self._connection = connection
        scope, self._id = _USER.fullmatch(packet.user_name).groups()
        if packet.client_id != self._id:
            raise Refused(2, "client id and user name name different registrations")
        try:
            self._enrollment = core.provisioning.attest(scope, self._id, packet.password, chain)
        except TokenError as error:
            raise Refused(5, str(error)) from None

    @staticmethod
    def named(packet):
        """Whether a CONNECT is a registration's rather than a device's."""
        return _USER.fullmatch(packet.user_name or "") is not None

    async def handle(self, packet):
        if isinstance(packet, Publish):
            await self._publish(packet)
        elif packet.kind == SUBSCRIBE:
            if any(name != _FILTER for name, _ in packet.filters):
                raise HubError(400, "UnsupportedFilter", "that filter is not DPS's")
            self._connection.send(packets.suback(packet.packet_id, [1] * len(packet.filters)))
        elif packet.kind == PINGREQ:
            self._connection.send(packets.PINGRESP)
        elif packet.kind == DISCONNECT:
            self._connection.close("the device disconnected")

    async def _publish(self, packet):
        if packet.qos:
            self._connection.send(packets.puback(packet.packet_id))
        if packet.topic.startswith(_REGISTER):
            serve = self._begin
        elif packet.topic.startswith(_ASK):
            serve = self._result
        else:
            raise HubError(400, "UnsupportedTopic", "that topic is not DPS's")
        fields = dict(topics.parse_bag(packet.topic.partition("?")[2]))
        retry = f"&retry-after={provisioning.RETRY_AFTER}"
        try:
            status, body = serve(fields, packet.body)
        except HubError as error:
            status, code = error.status, error.code
            body = {"errorCode": code, "trackingId": "", "message": str(error)}
        await self._core.durable()
        more = retry if status in (202, 429) else ""
        topic = f"$dps/registrations/res/{status}/?$rid={fields.get('$rid', '')}{more}"
        self._connection.send(packets.publish(topic, json.dumps(body).encode()))

    def _begin(self, fields, body):
        try:
            wanted = json.loads(body or b"{}")
            payload = wanted.get("payload")
            named = wanted.get("registrationId", self._id)
        except (ValueError, AttributeError, RecursionError):
            raise HubError(400, "BadRequest", "the body is no JSON object", 400004) from None
        if named != self._id:
            raise HubError(400, "BadRequest", "the body names another registration", 400204)
        operation = self._core.provisioning.begin(self._id, self._enrollment, payload)
        return 202, {"operationId": operation, "status": "assigning"}

    def _result(self, fields, body):
        operation = fields.get("operationId") or ""
        state = self._core.provisioning.result(self._id, operation)
        answer = {"operationId": operation, "status": state["status"], "registrationState": state}
        return 200, answer
