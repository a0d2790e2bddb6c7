"""The program of docs/amqp.md, From uAMQP to this project, runs in both interpreters."""

from tools.files import ROOT
from tools.local_hub import running_hub

TRANSPORTS = ("amqp",)

DRIVER = """
import asyncio
from harness import run, say, settings
from iothub import IoTHubDeviceClient, Message
from iothub_service.client import IoTHubServiceClient
{code}

async def main():
    options = {{"server_verification_cert": settings["ca"], "timeout": 5}}
    service = IoTHubServiceClient.create_from_connection_string(settings["service"], **options)
    device = IoTHubDeviceClient.create_from_connection_string(
        settings["device"], transport="amqp", **options
    )
    got = []

    async def handler(message):
        on_message(message)
        got.append(message)

    device.on_message_received = handler
    await device.connect()
    await send_to_device(service, settings["device_id"])
    await asyncio.wait_for(receive_feedback(service), 20)
    say("message", got[0].message_id, got[0].to)
    await send_telemetry(device)
    event = await asyncio.wait_for(receive_telemetry(service, settings["partition"]), 20)
    say("event", event.message_id, event.subject, event.creation_time, event.group_id,
        event.group_sequence, event.content_type, event.custom_properties)
    try:
        await device.send_feedback([{{"originalMessageId": "nobody's",
                                       "deviceId": settings["device_id"],
                                       "statusCode": "Success"}}])
    except Exception as error:
        say("refused", type(error).__name__)
    await device.shutdown()
    await service.close()

run(main)
"""


def test_program_of_the_page(testbed, tmp_path):
    section = (ROOT / "docs/amqp.md").read_text().partition("## From uAMQP to this project")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    assert "receive_telemetry" in code
    path = tmp_path / "readme.py"
    message_id = f"id-{testbed.name}"  # a run before may have left its feedback behind
    path.write_text(DRIVER.format(code=code.replace("id-1", message_id)))

    async def scenario(testbed):
        from tools.hub.core.events import partition_of

        key = testbed.hub["service_connection_string"].partition("SharedAccessKey=")[2]
        host = f"localhost:{testbed.hub['amqp_port']}"
        async with testbed.service() as service:
            device_id, device_key = await testbed.new_device(service)
            settings = {
                "service": f"HostName={host};SharedAccessKeyName=service;SharedAccessKey={key}",
                "device": testbed.connection_string(device_id, device_key),
                "device_id": device_id,
                "partition": partition_of(device_id),
            }
            async with testbed.program(str(path.with_suffix("")), **settings) as program:
                to = f"/devices/{device_id}/messages/devicebound"
                assert await program.expect("message") == [message_id, to]
                assert await program.expect("event") == [
                    "id-2", "a subject", 1700000000000, "a group", 7,
                    "application/json;charset=utf-8", {"app_property_key": "app_property_value"},
                ]  # fmt: skip
                assert await program.expect("refused") == ["ServiceError"]
                await program.expect("end")
        printed = [words[0] for words in program.said if isinstance(words[0], str)]
        assert "statusCode: Success" in printed
        assert f"deviceId: {device_id}" in printed
        assert f"message_id: {message_id}" in printed

    async def alone():
        # Its own hub: it reads a partition from the start, and others' events may be large.
        (tmp_path / "hub").mkdir()
        async with running_hub(tmp_path / "hub") as hub:
            await scenario(type(testbed)(testbed.name, testbed.transport, hub))

    testbed.run(alone)
