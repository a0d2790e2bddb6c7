"""The service client: it sends on command, and reports feedback and events."""

import asyncio
import json

from harness import describe, run, say, settings, word

from iothub import Message
from iothub_service.client import IoTHubServiceClient


async def feedback(client):
    records = await client.feedback()
    say("reading feedback")
    async for record in records:
        say("feedback", record["originalMessageId"], record["statusCode"], record["deviceId"])


async def events(client, options):
    reader = await client.events(**options)
    say("reading events")
    async for event in reader:
        if event.annotations["iothub-message-source"] == "Telemetry":
            properties = event.custom_properties
            say("event", event.data.decode(), event.device_id, event.partition, properties)


async def send(client, device_id, body, ack, message_id, properties):
    message = Message(body, message_id=message_id)
    message.custom_properties = properties
    await client.send_c2d_message(device_id, message, ack=ack)
    return ["sent", message_id]


async def obey(client, verb, argument):
    if verb == "send":
        return await send(client, *argument)
    if verb == "send twice":
        tasks = [asyncio.create_task(failure(send(client, *argument))) for _ in range(2)]
        return ["both", await tasks[0], await tasks[1]]
    if verb == "feedback":
        asyncio.create_task(guarded(feedback(client)))
        return ["begun"]
    if verb == "events":
        asyncio.create_task(guarded(events(client, argument)))
        return ["begun"]
    raise ValueError(verb)


async def failure(coroutine):
    try:
        await coroutine
    except Exception as error:
        return describe(error)


async def guarded(coroutine):
    try:
        await coroutine
    except Exception as error:
        say("ended", *describe(error))


async def main():
    given = {"server_verification_cert": settings["ca"], "timeout": 5, "operation_timeout": 30}
    given.update(settings.get("options", {}))
    client = IoTHubServiceClient.create_from_connection_string(
        settings["connection_string"], **given
    )
    client.on_background_exception = lambda error: say("background", *describe(error))
    say("ready")
    while True:
        verb, argument = json.loads(await word())
        if verb == "end":
            break
        try:
            say(*await obey(client, verb, argument))
        except Exception as error:
            say("error", *describe(error))
    await client.close()


run(main)
