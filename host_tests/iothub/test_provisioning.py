"""iothub.provisioning against a provisioning service in memory: its statuses, and its silence."""

import asyncio
import json

from host_tests.support.memory_mqtt import MQTTHubStream
from host_tests.support.tasks import failure
from iothub import provisioning as module
from iothub.errors import CredentialError, OperationTimeout, ServiceError

KEY = "A" * 43 + "="
ASSIGNED = {
    "operationId": "o",
    "status": "assigned",
    "registrationState": {"assignedHub": "hub", "deviceId": "device", "status": "assigned"},
}
ASSIGNING = {"operationId": "o", "status": "assigning"}


class Service(MQTTHubStream):
    """answers: (status, body) of the requests to come; the last one for all that follow."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)
        self.asked = []  # the topics, without the request ids

    def _on_publish(self, first, body):
        end = 2 + int.from_bytes(body[:2], "big")
        topic, _, query = body[2:end].decode().partition("?")
        self.asked.append(topic)
        status, answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        rid = query.split("&")[0]
        self.publish(f"$dps/registrations/res/{status}/?{rid}&retry-after=0", answer)


class Soon:
    """In place of Backoff."""

    def __init__(self, base):
        pass

    def next(self):
        return 0.02


def registered(*answers, **options):
    """(what register() gives or raises, the Service)."""
    service = Service(*((status, json.dumps(body).encode()) for status, body in answers))

    async def dial(*_arguments):
        return service

    async def main():
        client = module.ProvisioningDeviceClient.create_from_symmetric_key(
            "dps", "device", "scope", KEY, **options
        )
        try:
            return await client.register()
        except Exception as error:
            return error

    before = module.dial, module.Backoff
    module.dial, module.Backoff = dial, Soon
    try:
        found = asyncio.run(asyncio.wait_for(main(), 20))
    finally:
        module.dial, module.Backoff = before
    assert service.closed
    return found, service


def test_assignment_is_asked_for_until_it_is_there():
    found, service = registered((202, ASSIGNING), (202, ASSIGNING), (200, ASSIGNED))
    assert found.registration_state.assigned_hub == "hub"
    assert [topic.split("/")[2] for topic in service.asked] == ["PUT", "GET", "GET"]


def test_service_that_is_busy_is_asked_again():
    busy = [(429, {}), (500, {}), (503, {})]
    found, service = registered(*busy, (200, ASSIGNED))
    assert found.registration_state.device_id == "device"
    assert [topic.split("/")[2] for topic in service.asked] == ["PUT"] * 4


def test_any_other_status_from_300_on_is_a_refusal():
    for status in (300, 400, 404, 499):
        found, service = registered((status, {"errorCode": status * 1000, "message": "no"}))
        assert isinstance(found, ServiceError)
        assert (found.stage, found.code) == ("register", status * 1000)
        assert len(service.asked) == 1
    found, _ = registered((401, {"message": "no"}))
    assert isinstance(found, CredentialError)


def test_service_that_says_assigning_for_ever_meets_a_deadline():
    found, service = registered((202, ASSIGNING), operation_timeout=1)
    assert isinstance(found, OperationTimeout)
    assert found.stage == "register"
    assert len(service.asked) > 1


def test_assignment_without_a_hub_is_a_refusal():
    found, _ = registered((200, {"status": "assigned", "registrationState": {}}))
    assert isinstance(found, ServiceError)
    found, _ = registered((200, {"status": "disabled"}))
    assert found.code == "disabled"


def test_answer_that_is_no_json_is_a_refusal():
    async def main():
        service = Service((200, b"{"))

        async def dial(*_arguments):
            return service

        original, module.dial = module.dial, dial
        try:
            client = module.ProvisioningDeviceClient.create_from_symmetric_key(
                "dps", "device", "scope", KEY
            )
            error = await failure(client.register())
        finally:
            module.dial = original
        assert isinstance(error, ServiceError)

    asyncio.run(asyncio.wait_for(main(), 20))
