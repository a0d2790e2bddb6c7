"""The least that every client needs: asyncio, TLS that verifies the server, CONNECT, CONNACK.

It sends no token, so the hub refuses it; that is an answer, too.
"""

import asyncio

import tls


def run(settings, mark):
    with open(settings["der"], "rb") as file:
        authority = file.read()
    mark("import")
    asyncio.run(main(settings, authority, mark))


async def main(settings, authority, mark):
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    host = settings["host"]
    opening = asyncio.open_connection(host, settings["port"], ssl=context, server_hostname=host)
    reader, writer = await asyncio.wait_for(opening, 10)
    writer.write(b"\x10\x0f\0\x04MQTT\x04\x02\0\0\0\x03tls")
    await asyncio.wait_for(writer.drain(), 10)
    if not await asyncio.wait_for(reader.read(4), 10):
        raise OSError("no answer")
    mark("use")
