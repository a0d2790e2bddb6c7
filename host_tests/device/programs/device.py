"""A device that reports each call of its handlers, and carries out the test's commands."""

import asyncio
import json

from harness import describe, make, run, say, set_backoff, settings, word

from iothub import Message, MethodResponse

ATTRIBUTES = (
    "message_id", "correlation_id", "user_id", "content_type", "content_encoding", "to", "subject",
    "reply_to", "group_id", "group_sequence", "reply_to_group_id", "absolute_expiry_time",
    "creation_time", "expiry_time_utc", "creation_time_utc", "output_name", "input_name", "ack",
    "iothub_interface_id", "delivery_count",
)  # fmt: skip
OUTCOMES = {"fail": [], "reject": [], "abandon": [], "hold": []}
let_go = asyncio.Event()  # for what is held


async def on_message(message):
    text = message.data.decode()
    if message.input_name:
        say("input", message.input_name)
    if settings.get("tell_attributes"):
        say("attributes", {name: getattr(message, name) for name in ATTRIBUTES})
    system = [message.message_id, message.correlation_id, message.user_id, message.content_type]
    say("message", text, message.custom_properties, system)
    if text in OUTCOMES["hold"]:
        OUTCOMES["hold"].remove(text)
        await let_go.wait()
        say("done", text)
    if text in OUTCOMES["fail"]:
        OUTCOMES["fail"].remove(text)
        raise RuntimeError("the handler fails")
    if text in OUTCOMES["reject"]:
        message.reject()
    if text in OUTCOMES["abandon"]:
        OUTCOMES["abandon"].remove(text)
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
        if request.name == "held":
            await let_go.wait()
            return request.payload
        if request.name == "never":
            await asyncio.sleep(60)
        return 404, None

    return handle


async def send(client, verb, argument):
    """Send telemetry in one of several ways."""
    if verb == "send":
        await client.send_message(Message(argument))
    elif verb == "send many":
        await asyncio.gather(*[client.send_message("m" + str(i)) for i in range(argument)])
    elif verb == "send batch":
        text, count = argument
        await asyncio.gather(*[client.send_message(text + str(i)) for i in range(count)])
    elif verb == "send many large":
        texts = [f"{i:02}" + "x" * 4000 for i in range(argument)]
        await asyncio.gather(*[client.send_message(text) for text in texts])
    elif verb == "send large":
        await client.send_message("x" * argument)
    else:
        sending = asyncio.create_task(client.send_message(argument))
        await asyncio.sleep(0)
        sending.cancel()
    return ["sent", argument]


async def do(client, verb, argument):
    """Carry out a command of the test: the message that reports it."""
    if verb.startswith("send"):
        return await send(client, verb, argument)
    if verb == "outbox":
        outbox = client.status()["outbox"]
        return ["outbox", outbox["waiting"], outbox["dropped"]]
    if verb == "twin":
        return ["twin", await client.get_twin()]
    if verb == "report":
        await client.patch_twin_reported_properties(argument)
        return ["reported"]
    if verb in OUTCOMES:
        OUTCOMES[verb].append(argument)
        return [verb + "ing"]
    if verb == "sastoken":
        await client.update_sastoken(argument)
        return ["renewed"]
    if verb == "let go":
        let_go.set()
        return ["letting go"]
    if verb == "disconnect":
        await client.disconnect()
        return ["disconnected"]
    await client.connect(retry=verb == "connect retry")
    return ["connected"]


async def obey(client, verb, argument):
    try:
        say(*await do(client, verb, argument))
    except Exception as error:
        say("error", *describe(error))


async def listen(client):
    """Carry out the test's commands, [verb, argument]; "later" runs another command in its own
    task.
    """
    tasks = []
    while True:
        verb, argument = json.loads(await word())
        if verb == "end":
            return
        if verb == "later":
            tasks.append(asyncio.create_task(obey(client, *argument)))
        else:
            await obey(client, verb, argument)


def on_new_sastoken_required(client):
    async def handle():
        say("sastoken required")
        if "next_sastoken" in settings:
            await client.update_sastoken(settings["next_sastoken"])
            say("renewed")

    return handle


async def main():
    if settings.get("tell_backoff"):
        set_backoff(1, 60, 0.05, lambda delay: say("back-off"))
    client = make(handler_timeout=settings["options"].get("handler_timeout", 3))
    client.on_message_received = on_message
    client.on_method_request_received = on_method(client)
    client.on_twin_desired_properties_patch_received = lambda patch: say("desired", patch)
    client.on_new_sastoken_required = on_new_sastoken_required(client)
    client.on_connection_state_change = lambda: say("state", client.connected)
    client.on_background_exception = lambda error: say("background", *describe(error))
    if not settings.get("offline"):
        await client.connect(retry=settings.get("retry", False))
    say("ready")
    await listen(client)
    await client.shutdown()


run(main)
