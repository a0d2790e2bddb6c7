"""Uploads a file in each of the possible ways."""

import io

from harness import describe, make, run, say, settings


async def main():
    client = make(https_port=settings["https_port"])
    try:
        await client.upload_blob(settings["blob"], settings["file"])
        say("uploaded")
        await client.upload_blob("memory", io.BytesIO(b"from memory, not all"), 11)
        say("uploaded")
        place = await client.get_storage_info_for_blob("never")
        say("place", sorted(place))
        await client.notify_blob_upload_status(place["correlationId"], False, 500, "gave up")
        say("told")
        await client.notify_blob_upload_status(place["correlationId"], False, 500, "twice")
    except Exception as error:
        say("error", *describe(error))


run(main)
