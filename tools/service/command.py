"""Do what a cloud service does: send C2D messages, read telemetry and feedback, use device twins,
direct methods and queries.

    {prog} service events                         the telemetry of all devices, live
    {prog} service events --from beginning --json
    {prog} service events --from 2026-01-31T12:00:00Z --device my-board
    {prog} service c2d send my-board "hello" --ack full --property colour=green
    {prog} service feedback
    {prog} service twin get my-board
    {prog} service twin patch my-board '{"properties": {"desired": {"interval": 5}}}'
    {prog} service method my-board getStatus '{"verbose": true}'
    {prog} service query "SELECT * FROM devices WHERE tags.floor = 1"

The hub is the local one that is running (with the same --data), or the one in the environment
variable IOTHUB_SERVICE_CONNECTION_STRING. There is no option for that, because a key on the
command line stays in the shell's history. Ctrl-C ends the live commands.
"""

import argparse
import asyncio
import base64
import datetime
import json
import os
import sys
from pathlib import Path

from aiohttp import ClientError

from iothub.errors import OperationCancelled, RefusedError

from ..local_hub import found
from .client import ServiceClient

VARIABLE = "IOTHUB_SERVICE_CONNECTION_STRING"


def arguments(parser):
    _which_hub(parser, None)
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)

    c2d = actions.add_parser("c2d", help="cloud-to-device (C2D) messages").add_subparsers(
        dest="verb", metavar="send", required=True
    )
    send = c2d.add_parser("send", help="send a message; returns when the hub has queued it")
    send.add_argument("device")
    send.add_argument("body", help="text, or - for standard input")
    send.add_argument("--module")
    send.add_argument("--ack", choices=("none", "positive", "negative", "full"))
    send.add_argument("--message-id")
    send.add_argument("--correlation-id")
    send.add_argument("--content-type")
    send.add_argument("--property", action="append", default=[], metavar="NAME=VALUE")

    feedback = actions.add_parser("feedback", help="follow the feedback on C2D messages")
    feedback.add_argument("--json", action="store_true", help="one JSON object a line")

    events = actions.add_parser("events", help="follow telemetry and other events")
    events.add_argument("--from", dest="start", default="latest", metavar="WHERE",
                        help="latest (default), beginning, a sequence number, offset=N, or a time "
                        "in ISO 8601")  # fmt: skip
    events.add_argument("--partition", help="one partition (default: all)")
    events.add_argument("--device", help="only this device")
    events.add_argument("--json", action="store_true", help="one JSON object a line")

    twins = actions.add_parser("twin", help="device twins").add_subparsers(
        dest="verb", metavar="get|patch", required=True
    )
    get = twins.add_parser("get", help="print a device twin")
    get.add_argument("device")
    patch = twins.add_parser("patch", help="merge JSON into tags and desired properties")
    patch.add_argument("device")
    patch.add_argument("json")

    method = actions.add_parser("method", help="call a direct method, and print the answer")
    method.add_argument("device")
    method.add_argument("name")
    method.add_argument("payload", nargs="?", help="JSON")
    method.add_argument("--timeout", type=int, default=30, help="seconds (%(default)s)")

    query = actions.add_parser("query", help="run a query over devices or modules")
    query.add_argument("sql")

    # These options may stand before the action or after it.
    for leaf in (send, feedback, events, get, patch, method, query):
        _which_hub(leaf, argparse.SUPPRESS)


def _which_hub(parser, default):
    parser.add_argument("--data", type=Path, default=default, help="the local hub's data folder")
    parser.add_argument(
        "--ca",
        metavar="FILE",
        default=default,
        help="the CA to trust, for a hub named in the environment",
    )


def client_of(args):
    """A ServiceClient of the hub that the environment names, else of the local one that runs.

    FileNotFoundError: none runs. ValueError: the connection string is wrong.
    """
    text = os.environ.get(VARIABLE)
    if text:
        client = ServiceClient.create_from_connection_string(text, args.ca)
    else:
        client = ServiceClient.create_for_local_hub(found(args.data))
    client.on_background_exception = lambda error: print(f"service: {error}", file=sys.stderr)
    return client


def start_of(text):
    """The arguments of events() for the text of --from. ValueError."""
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
            f"--from {text}: use latest, beginning, a sequence number, offset=N or a time"
        ) from None
    return {"enqueued_time": int(moment.timestamp() * 1000)}


def event_line(event, as_json):
    """The line of output for an event, as text or as JSON."""
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


async def show_events(args, service):
    async for event in await service.events(args.partition, **start_of(args.start)):
        if args.device in (None, event.device_id):
            print(event_line(event, args.json), flush=True)


async def show_feedback(args, service):
    async for record in await service.feedback():
        if args.json:
            print(json.dumps(record, ensure_ascii=False), flush=True)
        else:
            names = ("enqueuedTimeUtc", "deviceId", "originalMessageId", "statusCode")
            print(*(record.get(name) for name in names), flush=True)


async def send(args, service):
    properties = {}
    for text in args.property:
        name, equals, value = text.partition("=")
        properties[name] = value if equals else None
    await service.send_c2d_message(
        args.device,
        sys.stdin.buffer.read() if args.body == "-" else args.body,
        properties,
        args.ack,
        args.module,
        message_id=args.message_id,
        correlation_id=args.correlation_id,
        content_type=args.content_type,
    )


async def twin(args, service):
    if args.verb == "get":
        document = await service.get_twin(args.device)
    else:
        document = await service.patch_twin(args.device, json_of(args.json))
    print(json.dumps(document, indent=2, ensure_ascii=False))


def json_of(text):
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"that is not JSON: {error}") from None


async def method(args, service):
    payload = None if args.payload is None else json_of(args.payload)
    status, answer = await service.invoke_method(
        args.device, args.name, payload, response_timeout=args.timeout
    )
    print(status, json.dumps(answer, ensure_ascii=False))


async def query(args, service):
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


async def act(args):
    async with client_of(args) as service:
        await _ACTIONS[args.action](args, service)


def run(args):
    try:
        asyncio.run(act(args))
    except KeyboardInterrupt:
        pass  # this ends a command that follows events or feedback
    except BrokenPipeError:
        sys.stdout = None  # the reader of the pipe has closed it
    except (OSError, ValueError, ClientError, RefusedError, OperationCancelled) as error:
        print(f"service: {error}", file=sys.stderr)
        return 1
    return 0
