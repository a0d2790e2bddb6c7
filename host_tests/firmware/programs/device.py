"""A device that tells the test all that reaches its handlers, and does what it is told."""

import asyncio
import json

from harness import describe, make, run, say, word

from iothub import Message, MethodResponse

FAILING = []
REJECTING = []
ABANDONING = []


async def on_message(message):
    text = message.data.decode()
    if message.input_name:
        say("input", message.input_name)
    system = [message.message_id, message.correlation_id, message.user_id, message.content_type]
    say("message", text, message.custom_properties, system)
    if text in FAILING:
        FAILING.remove(text)
        raise RuntimeError("the handler fails")
    if text in REJECTING:
        message.reject()
    if text in ABANDONING:
        ABANDONING.remove(text)
        message.abandon()


def on_method(client):
    async def handle(request):
        say("method", request.name, request.payload)
        if request.name == "echo":
            return request.payload
        if request.name == "tuple":
            return 207, [1, "é", None]
        if request.name == "response":
            response = MethodResponse.create_from_method_request(request, 201, {"a": {"b": 2}})
            await client.send_method_response(response)
            return None
        if request.name == "raise":
            raise RuntimeError("the handler fails")
        if request.name == "wrong status":
            return "fine", None
        if request.name == "never":
            await asyncio.sleep(60)
        return 404, None

    return handle


async def do(client, verb, argument):
    """Do what the test tells; what is said afterwards."""
    if verb == "send":
        await client.send_message(Message(argument))
        return ["sent", argument]
    if verb == "send many":
        await asyncio.gather(*[client.send_message("m" + str(i)) for i in range(argument)])
        return ["sent", argument]
    if verb == "twin":
        return ["twin", await client.get_twin()]
    if verb == "report":
        await client.patch_twin_reported_properties(argument)
        return ["reported"]
    if verb == "fail":
        FAILING.append(argument)
        return ["failing"]
    if verb == "reject":
        REJECTING.append(argument)
        return ["rejecting"]
    if verb == "abandon":
        ABANDONING.append(argument)
        return ["abandoning"]
    if verb == "send large":
        await client.send_message("x" * argument)
        return ["sent", argument]
    if verb == "disconnect":
        await client.disconnect()
        return ["disconnected"]
    await client.connect()
    return ["connected"]


async def obey(client):
    """Each word of the test's is [verb, argument]."""
    while True:
        verb, argument = json.loads(await word())
        if verb == "end":
            return
        try:
            say(*await do(client, verb, argument))
        except Exception as error:
            say("error", *describe(error))


async def main():
    client = make(handler_timeout=3)
    client.on_message_received = on_message
    client.on_method_request_received = on_method(client)
    client.on_twin_desired_properties_patch_received = lambda patch: say("desired", patch)
    client.on_connection_state_change = lambda: say("state", client.connected)
    client.on_background_exception = lambda error: say("background", *describe(error))
    await client.connect()
    say("ready")
    await obey(client)
    await client.shutdown()


run(main)
