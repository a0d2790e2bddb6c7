"""A device whose clock is `behind` seconds slow until check_clock sets it."""

from harness import describe, make, run, say, settings

from iothub import connection as carrier

right = carrier.unix_time
carrier.unix_time = lambda: right() - settings["behind"]


def check():
    say("checked")
    if not settings["behind"]:
        return False
    carrier.unix_time = right
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
