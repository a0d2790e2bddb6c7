"""Uses every feature with secrets in it, at the most verbose log level, and prints all it can."""

import asyncio

from harness import note_tokens, run, say, settings

from iothub import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient, ProxyOptions, log

known = []  # tokens that were used, for the test to look for


def options(**more):
    given = {"server_verification_cert": settings["ca"], "timeout": 5, "operation_timeout": 10}
    given.update(settings["options"])
    given.update(more)
    return given


def show(*things):
    """Print each value in all possible ways."""
    for thing in things:
        print(repr(thing), str(thing), [thing], {"it": thing})


def read(path):
    with open(path) as file:
        return file.read()


def keep_tokens():
    with open(settings["tokens"], "w") as file:
        file.write("\n".join(known))


def client_of(text, **more):
    client = IoTHubDeviceClient.create_from_connection_string(text, **options(**more))
    client.on_message_received = show
    show(client, client.status(), client.connect)
    return client


def note_token(token):
    """A token that the hub has accepted."""
    if token not in known:
        known.append(token)


async def use(client):
    """Connect, send, report; then print all results and the client."""
    try:
        await client.connect()
        message = Message("hello", message_id="m")
        message.custom_properties = {"a": "b"}
        await client.send_message(message)
        await client.patch_twin_reported_properties({"a": 1})
        show(client, message, await client.get_twin())
    finally:
        await client.disconnect()


async def with_key():
    await use(client_of(settings["connection_string"]))


async def renewed():
    client = client_of(settings["connection_string"], sastoken_ttl=3)
    await client.connect()
    for _ in range(200):
        await asyncio.sleep(0.05)
        if len(known) > 2:
            break
    show(client, client.status())
    await client.shutdown()


async def with_wrong_key():
    await use(client_of(settings["wrong connection string"]))


async def with_plain():
    if settings["options"]["transport"] == "amqp":
        await use(client_of(settings["connection_string"], sasl="plain"))
        await use(client_of(settings["wrong connection string"], sasl="plain"))


async def with_ready_token():
    client = IoTHubDeviceClient.create_from_sastoken(settings["sastoken"], **options())
    await client.connect()
    show(client, client.status())
    try:
        await client.update_sastoken(settings["wrong sastoken"])
    finally:
        await client.shutdown()


async def with_half_a_token():
    IoTHubDeviceClient.create_from_sastoken(settings["sastoken"].replace("&se=", "&e="))


async def with_certificate():
    host, device_id, certificate, key = settings["x509 device"]
    x509 = X509(certificate, key)
    show(x509)
    await use(IoTHubDeviceClient.create_from_x509_certificate(x509, host, device_id, **options()))


async def with_half_a_certificate():
    host, device_id, certificate, key = settings["x509 device"]
    text = read(key)
    x509 = X509(certificate, text[: len(text) // 2])
    await use(IoTHubDeviceClient.create_from_x509_certificate(x509, host, device_id, **options()))


async def provisioned(key):
    if settings["options"]["transport"] != "mqtt":
        return
    place = settings["registration"]
    given = {"server_verification_cert": settings["ca"], "timeout": 5, "operation_timeout": 10}
    client = ProvisioningDeviceClient.create_from_symmetric_key(*place, group_key=key, **given)
    show(client)
    result = await client.register()
    show(result, result.registration_state)


async def provisioned_rightly():
    await provisioned(settings["group key"])


async def provisioned_wrongly():
    await provisioned(settings["wrong key"])


async def through_a_proxy():
    proxy = ProxyOptions("HTTP", "localhost", settings["dead port"], "user", settings["password"])
    show(proxy)
    await use(client_of(settings["connection_string"], proxy_options=proxy))


async def served(text):
    if settings["options"]["transport"] != "amqp":
        return
    from iothub_service.client import IoTHubServiceClient

    given = {"server_verification_cert": settings["ca"], "timeout": 5, "operation_timeout": 10}
    client = IoTHubServiceClient.create_from_connection_string(text, **given)
    client.on_background_exception = show
    show(client)
    try:
        await client.send_c2d_message(settings["device"], Message("from the service"))
        show(client)
    finally:
        await client.close()


async def served_rightly():
    await served(settings["service"])


async def served_wrongly():
    await served(settings["wrong service"])


async def uploaded():
    client = client_of(settings["connection_string"], https_port=settings["https_port"])
    await client.upload_blob("blob", settings["ca"])
    await client.upload_blob("blob/" * 300, settings["ca"])


async def act(scene, *arguments):
    """Run one scene; an exception is printed with its traceback, as a program would."""
    say("scene", getattr(scene, "__name__", "connection string"))
    try:
        await scene(*arguments)
    except Exception as error:
        show(error)
        print(log.traceback(error))


async def main():
    log.on("debug")
    note_tokens(note_token)
    for scene in (
        with_key, renewed, with_wrong_key, with_plain, with_ready_token, with_half_a_token,
        with_certificate, with_half_a_certificate, provisioned_rightly, provisioned_wrongly,
        through_a_proxy, served_rightly, served_wrongly, uploaded,
    ):  # fmt: skip
        await act(scene)
    for text in settings["mistaken"]:

        async def make(text=text):
            client_of(text)

        await act(make)
    keep_tokens()


run(main)
