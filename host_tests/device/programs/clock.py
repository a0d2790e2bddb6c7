"""A device whose clock is `behind` seconds slow until check_clock sets it."""

from harness import describe, make, run, say, settings

from iothub.compat import unix_time

if settings["options"]["transport"] == "amqp":
    from iothub.amqp import transport
else:
    from iothub.mqtt import transport

transport.unix_time = lambda: unix_time() - settings["behind"]


def check():
    say("checked")
    if not settings["behind"]:
        return False
    transport.unix_time = unix_time
    return True


async def main():
    client = make(check_clock=check)
    for _ in range(2):
        try:
            await client.connect()
            say("connected")
        except Exception as error:
            say("error", *describe(error))
        await client.disconnect()


run(main)
