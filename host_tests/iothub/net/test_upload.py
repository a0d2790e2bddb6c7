"""iothub.net.upload: what is refused before anything is sent."""

import asyncio
import io

from host_tests.support.tasks import failure
from iothub.net.upload import upload_blob


def test_length_of_an_open_file_must_be_given():
    async def main():
        error = await failure(upload_blob(None, "blob", io.BytesIO(b"data")))
        assert isinstance(error, ValueError)
        assert "length" in str(error)

    asyncio.run(main())
