"""iothub.net.root_update: a third root is kept once a connection has proved it; edge gateways."""

from pathlib import Path

from host_tests.support.board_library import make_board_library
from tools.hub import certificates


def test_new_root_is_stored_after_a_connection_with_it(testbed, tmp_path):
    lib, other = tmp_path / "lib", tmp_path / "other"
    lib.mkdir()
    other.mkdir()
    make_board_library(lib)
    stranger = certificates.ensure(other)[0].read_text()
    own = Path(testbed.hub["ca_file"]).read_text()

    async def scenario():
        port = testbed.port
        async with testbed.service() as service:
            text = testbed.connection_string(*await testbed.new_device(service))
            async with testbed.program("root_update", connection_string=text, lib=lib) as program:

                async def told(*words):
                    await program.tell(*words)
                    return (await program.expect_any(words[0], "error"))[:3]

                untrusted = ["error", "ConnectionFailedError", "tls"]
                await program.expect("ready")
                assert await told("connect") == untrusted
                wrong = [stranger, "localhost", port]
                assert await told("update", wrong) == untrusted
                assert await told("update", ["no certificate", "localhost", port]) != ["update"]
                assert await told("connect") == untrusted
                assert not (lib / "certs" / "updated.der").exists()
                assert await told("update", [own, "localhost", port]) == ["update"]
                assert await told("connect") == ["connect"]
                assert await told("forget") == ["forget"]
                assert await told("connect") == untrusted

    testbed.run(scenario)


def test_stored_root_survives_a_restart(testbed, tmp_path):
    async def scenario():
        make_board_library(tmp_path, testbed.hub["ca_file"])
        async with testbed.service() as service:
            text = testbed.connection_string(*await testbed.new_device(service))
            async with testbed.program(
                "root_update", connection_string=text, lib=tmp_path
            ) as program:
                await program.tell("connect")
                await program.expect("connect")

    testbed.run(scenario)


def test_gateway_is_dialled_and_the_hub_is_named(testbed):
    """The user name and the token keep the hub's own name."""

    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key, host="127.0.0.1", port=1)
            options = {"gateway_hostname": f"localhost:{testbed.port}"}
            settings = {"connection_string": text, "options": options}
            async with testbed.program("connect", **settings) as program:
                await program.expect("connected")

    testbed.run(scenario)
