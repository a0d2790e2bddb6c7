"""tools/service/client.py: one client for REST and AMQP, against a local hub."""

import asyncio

import pytest

from iothub import Message
from iothub.errors import RefusedError
from tools.local_hub import running_hub
from tools.service.client import ServiceClient

DEVICE = "board"
WHOLE = 60


def on_hub(tmp_path, scenario):
    """Run scenario(service) with a hub of its own, in which one device is registered."""

    async def main():
        async with (
            running_hub(tmp_path) as hub,
            ServiceClient.create_for_local_hub(hub) as service,
        ):
            await service.create_device(DEVICE)
            await scenario(service)

    asyncio.run(asyncio.wait_for(main(), WHOLE))


@pytest.mark.parametrize(
    "text, error",
    [
        ("HostName=h;SharedAccessKeyName=p", "connection string: SharedAccessKey is missing"),
        ("HostName=h;SharedAccessKey=QQ==", "connection string: SharedAccessKeyName is missing"),
        ("HostName=h;DeviceId=d;SharedAccessKey=QQ==", "SharedAccessKeyName is missing"),
        ("HostName=h;SharedAccessKeyName=p;SharedAccessKey=secret!", "is not base64"),
    ],
)
def test_wrong_connection_string_is_one_line_without_the_key(text, error):
    with pytest.raises(ValueError, match=error) as raised:
        ServiceClient.create_from_connection_string(text)
    assert "secret" not in str(raised.value)


def test_message_is_queued_purged_and_its_feedback_received(tmp_path):
    async def scenario(service):
        feedback = await service.feedback()
        message = Message(b"hello", message_id="m1")
        await service.send_c2d_message(DEVICE, message, {"colour": "green"}, ack="full")
        assert message.custom_properties == {"colour": "green"}
        assert (await service.get_device(DEVICE))["cloudToDeviceMessageCount"] == 1
        assert await service.purge_c2d_messages(DEVICE) == 1
        record = await anext(feedback)
        assert (record["originalMessageId"], record["statusCode"]) == ("m1", "Purged")

    on_hub(tmp_path, scenario)


def test_changes_of_a_twin_are_among_the_events(tmp_path):
    async def scenario(service):
        events = await service.events()
        await service.patch_twin(DEVICE, {"tags": {"floor": 1}})
        async for event in events:
            if event.annotations["iothub-message-source"] == "twinChangeEvents":
                break
        assert event.device_id == DEVICE
        rows = [row async for row in service.query("SELECT * FROM devices WHERE tags.floor = 1")]
        assert [row["deviceId"] for row in rows] == [DEVICE]

    on_hub(tmp_path, scenario)


def test_refusals_over_both_protocols_are_of_one_kind_and_carry_a_code(tmp_path):
    async def scenario(service):
        with pytest.raises(RefusedError) as rest:
            await service.get_twin("nobody")
        assert rest.value.code == 404
        with pytest.raises(RefusedError) as method:
            await service.invoke_method(DEVICE, "m", None, connect_timeout=0)
        assert method.value.code == 404
        with pytest.raises(RefusedError) as amqp:
            await service.send_c2d_message("nobody", "hello")
        assert amqp.value.code == "amqp:not-found"

    on_hub(tmp_path, scenario)
