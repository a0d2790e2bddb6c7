"""The service's side of a hub: messages to devices, feedback, events, twins, methods, queries.

    {prog} service events                         all devices, live
    {prog} service events --from beginning --json
    {prog} service events --from 2026-01-31T12:00:00Z --device my-board
    {prog} service c2d send my-board "hello" --ack full --property colour=green
    {prog} service feedback
    {prog} service twin get my-board
    {prog} service twin patch my-board '{"properties": {"desired": {"interval": 5}}}'
    {prog} service method my-board getStatus '{"verbose": true}'
    {prog} service query "SELECT * FROM devices WHERE tags.floor = 1"

The hub is the local one that runs (with the same --data), unless the environment variable
IOTHUB_SERVICE_CONNECTION_STRING names another: there is no option for it, as a key on the command
line would stay in the shell's history. Ctrl-C ends what follows live.
"""

import argparse
import asyncio
import base64
import datetime
import json
import os
import sys
from pathlib import Path

VARIABLE = "IOTHUB_SERVICE_CONNECTION_STRING"


def arguments(parser):
    _which_hub(parser, None)
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)

    c2d = actions.add_parser("c2d", help="messages to devices").add_subparsers(
        dest="verb", metavar="send", required=True
    )
    send = c2d.add_parser("send", help="send a message; it is queued when this returns")
    send.add_argument("device")
    send.add_argument("body", help="text, or - for standard input")
    send.add_argument("--module")
    send.add_argument("--ack", choices=("none", "positive", "negative", "full"))
    send.add_argument("--message-id")
    send.add_argument("--correlation-id")
    send.add_argument("--content-type")
    send.add_argument("--property", action="append", default=[], metavar="NAME=VALUE")

    feedback = actions.add_parser("feedback", help="what became of messages, as it comes")
    feedback.add_argument("--json", action="store_true", help="one JSON object a line")

    events = actions.add_parser("events", help="what devices send, as it comes")
    events.add_argument("--from", dest="start", default="latest", metavar="WHERE",
                        help="latest (default), beginning, a sequence number, offset=N, or a time "
                        "in ISO 8601")  # fmt: skip
    events.add_argument("--partition", help="one of them (default: all)")
    events.add_argument("--device", help="show this one's only")
    events.add_argument("--json", action="store_true", help="one JSON object a line")

    twins = actions.add_parser("twin", help="twins").add_subparsers(
        dest="verb", metavar="get|patch", required=True
    )
    get = twins.add_parser("get", help="print a device's twin")
    get.add_argument("device")
    patch = twins.add_parser("patch", help="merge JSON into tags and desired properties")
    patch.add_argument("device")
    patch.add_argument("json")

    method = actions.add_parser("method", help="call a direct method; prints what it answers")
    method.add_argument("device")
    method.add_argument("name")
    method.add_argument("payload", nargs="?", help="JSON")
    method.add_argument("--timeout", type=int, default=30, help="seconds (%(default)s)")

    query = actions.add_parser("query", help="query devices or modules")
    query.add_argument("sql")

    # Which hub it is may be said before the action or after it.
    for leaf in (send, feedback, events, get, patch, method, query):
        _which_hub(leaf, argparse.SUPPRESS)


def _which_hub(parser, default):
    parser.add_argument("--data", type=Path, default=default, help="the local hub's data folder")
    parser.add_argument(
        "--ca", metavar="FILE", default=default, help="trust this CA, for a hub that is named"
    )


class Hub:
    """Where the hub is: connection strings for REST and for AMQP, and whom to trust."""

    def __init__(self, args):
        from .local_hub import found

        text = os.environ.get(VARIABLE)
        if text:
            self.rest = self.amqp = text
            self.ca = args.ca
            return
        ports = found(args.data)
        self.rest = ports["service_connection_string"]
        fields = self.rest.split(";")
        self.amqp = ";".join([f"HostName=localhost:{ports['amqp_port']}", *fields[1:]])
        self.ca = ports["ca_file"]

    def service(self):
        """The REST side."""
        from .hub.client import ServiceClient

        return ServiceClient(self.rest, self.ca)

    def client(self):
        """The AMQP side."""
        from iothub_service.client import IoTHubServiceClient

        client = IoTHubServiceClient.create_from_connection_string(
            self.amqp, server_verification_cert=self.ca
        )
        client.on_background_exception = lambda error: print(f"service: {error}", file=sys.stderr)
        return client


def start_of(text):
    """events()'s arguments for --from. ValueError."""
    if text == "latest":
        return {}
    if text == "beginning":
        return {"beginning": True}
    if text.lstrip("-").isdigit():
        return {"sequence_number": int(text)}
    name, _, number = text.partition("=")
    if name == "offset" and number.lstrip("-").isdigit():
        return {"offset": number}
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(
            f"--from {text}: latest, beginning, a number, offset=N or a time"
        ) from None
    return {"enqueued_time": int(moment.timestamp() * 1000)}


def event_line(event, as_json):
    """One line for an event."""
    try:
        body = {"body": event.data.decode()}
    except UnicodeDecodeError:
        body = {"bodyBase64": base64.b64encode(event.data).decode()}
    if not as_json:
        moment = datetime.datetime.fromtimestamp(event.enqueued_time / 1000)
        place = f"{event.partition}:{event.sequence_number}"
        text = body.get("body") or str(event.data)
        source = event.annotations.get("iothub-message-source")
        mark = "" if source == "Telemetry" else f" ({source})"
        extra = f" {event.custom_properties}" if event.custom_properties else ""
        return f"{moment:%H:%M:%S} {event.device_id} {place}{mark} {text}{extra}"
    record = {
        "deviceId": event.device_id,
        "partition": event.partition,
        "sequenceNumber": event.sequence_number,
        "offset": event.offset,
        "enqueuedTime": event.enqueued_time,
        **body,
        "messageId": event.message_id,
        "contentType": event.content_type,
        "properties": event.custom_properties,
        "annotations": event.annotations,
    }
    return json.dumps(record, ensure_ascii=False, default=repr)


async def show_events(args, hub):
    start = start_of(args.start)
    client = hub.client()
    try:
        async for event in await client.events(args.partition, **start):
            if args.device in (None, event.device_id):
                print(event_line(event, args.json), flush=True)
    finally:
        await client.close()


async def show_feedback(args, hub):
    client = hub.client()
    try:
        async for record in await client.feedback():
            if args.json:
                print(json.dumps(record, ensure_ascii=False), flush=True)
            else:
                names = ("enqueuedTimeUtc", "deviceId", "originalMessageId", "statusCode")
                print(*(record.get(name) for name in names), flush=True)
    finally:
        await client.close()


async def send(args, hub):
    from iothub import Message

    body = sys.stdin.buffer.read() if args.body == "-" else args.body
    message = Message(body, args.message_id, None, args.content_type)
    message.correlation_id = args.correlation_id
    for text in args.property:
        name, equals, value = text.partition("=")
        message.custom_properties[name] = value if equals else None
    client = hub.client()
    try:
        await client.send_c2d_message(args.device, message, args.ack, args.module)
    finally:
        await client.close()


async def twin(args, hub):
    async with hub.service() as service:
        if args.verb == "get":
            found = await service.get_twin(args.device)
        else:
            found = await service.patch_twin(args.device, json_of(args.json))
        print(json.dumps(found, indent=2, ensure_ascii=False))


def json_of(text):
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"that is no JSON: {error}") from None


async def method(args, hub):
    payload = None if args.payload is None else json_of(args.payload)
    async with hub.service() as service:
        status, answer = await service.invoke_method(
            args.device, args.name, payload, response_timeout=args.timeout
        )
    print(status, json.dumps(answer, ensure_ascii=False))


async def query(args, hub):
    async with hub.service() as service:
        async for row in service.query(args.sql):
            print(json.dumps(row, ensure_ascii=False))


_ACTIONS = {
    "c2d": send,
    "events": show_events,
    "feedback": show_feedback,
    "method": method,
    "query": query,
    "twin": twin,
}


def run(args):
    from aiohttp import ClientError

    from iothub.errors import OperationCancelled, RefusedError

    from .hub.client import ServiceError

    try:
        asyncio.run(_ACTIONS[args.action](args, Hub(args)))
    except KeyboardInterrupt:
        pass  # how a reader of what comes live is ended
    except BrokenPipeError:
        sys.stdout = None  # whoever read it has enough
    except (OSError, ValueError, ClientError, RefusedError, OperationCancelled, ServiceError) as e:
        print(f"service: {e}", file=sys.stderr)
        return 1
    return 0
