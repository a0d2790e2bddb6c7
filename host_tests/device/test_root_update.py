"""iothub.net.root_update: a third root is kept once a connection has proved it; edge gateways."""

from pathlib import Path

from host_tests.support.board_library import make_lib
from tools.hub import certificates


def test_new_root_is_stored_after_a_connection_with_it(bench, tmp_path):
    lib, other = tmp_path / "lib", tmp_path / "other"
    lib.mkdir()
    other.mkdir()
    make_lib(lib)
    stranger = certificates.ensure(other)[0].read_text()
    own = Path(bench.hub["ca_file"]).read_text()

    async def scenario():
        port = bench.port
        async with bench.service() as service:
            text = bench.connection_string(*await bench.new_device(service))
            async with bench.program("trust", connection_string=text, lib=lib) as program:

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

    bench.run(scenario)


def test_stored_root_survives_a_restart(bench, tmp_path):
    async def scenario():
        make_lib(tmp_path, bench.hub["ca_file"])
        async with bench.service() as service:
            text = bench.connection_string(*await bench.new_device(service))
            async with bench.program("trust", connection_string=text, lib=tmp_path) as program:
                await program.tell("connect")
                await program.expect("connect")

    bench.run(scenario)


def test_gateway_is_dialled_and_the_hub_is_named(bench):
    """The gateway is dialled; the hub's own name stays in user name and token."""

    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            text = bench.connection_string(device_id, key, host="127.0.0.1", port=1)
            options = {"gateway_hostname": f"localhost:{bench.port}"}
            settings = {"connection_string": text, "options": options}
            async with bench.program("connect", **settings) as program:
                await program.expect("connected")

    bench.run(scenario)
