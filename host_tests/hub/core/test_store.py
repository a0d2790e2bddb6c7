"""A database that cannot be written: nothing is acknowledged, and each front says so."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from iothub.amqp.sections import AmqpMessage
from iothub.errors import ServiceError
from tools.hub.app import Hub
from tools.hub.core.errors import StorageError
from tools.hub.mqtt import packets


def break_event_log(testbed):
    """Make the database refuse events, as a full disk does."""
    folder = Path(testbed.hub.ports["ca_file"]).parent
    with sqlite3.connect(folder / "hub.sqlite") as database:
        database.execute("DROP TABLE events")
    database.close()


def test_mqtt_closes_without_puback(on_hub, caplog):
    async def scenario(testbed):
        device, _ = await testbed.device("dev", await testbed.new())
        break_event_log(testbed)
        device.send(packets.publish("devices/dev/messages/events/", b"lost", 1, 7))
        assert await device.closed() == []

    caplog.set_level("INFO")
    on_hub(scenario)
    assert "dev: closed: what the device sent could not be stored" in caplog.text


def test_amqp_closes_without_disposition(on_hub):
    async def scenario(testbed):
        peer = await testbed.amqp_device("dev", await testbed.new())
        handle = await peer.sender("/devices/dev/messages/events")
        break_event_log(testbed)
        peer.transfer(handle, AmqpMessage(b"lost").encode())
        assert (await peer.closed()).error.condition == "amqp:internal-error"

    on_hub(scenario)


def test_rest_answers_500_in_iot_hubs_shape(on_hub):
    async def scenario(testbed):
        await testbed.new()
        break_event_log(testbed)
        with pytest.raises(ServiceError) as refused:
            await testbed.service.patch_twin("dev", {"tags": {"a": 1}})
        assert refused.value.code == 500
        assert "ErrorCode:ServerError;the hub cannot use its database" in str(refused.value)

    on_hub(scenario)


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path):
    async def scenario():
        with pytest.raises(StorageError, match="hub.sqlite: file is not a database"):
            async with Hub(tmp_path):
                pass

    (tmp_path / "hub.sqlite").write_bytes(b"not a database" * 100)
    asyncio.run(asyncio.wait_for(scenario(), 20))
