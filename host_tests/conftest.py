"""Fixtures of the tests in device/ and faults/; hypothesis has no deadline."""

import asyncio
import signal
import ssl

import pytest
from hypothesis import settings

from host_tests.support.device_testbed import PATIENCE, DeviceTestbed
from tools.hub import certificates
from tools.local_hub import running_hub

# A shell ignores Ctrl-C for what it starts in the background, and programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """A RunningHub that all tests of device/ and faults/ share."""
    folder = tmp_path_factory.mktemp("hub")
    loop = asyncio.new_event_loop()
    running = running_hub(folder)
    try:
        yield loop.run_until_complete(asyncio.wait_for(running.__aenter__(), PATIENCE))
    finally:
        loop.run_until_complete(asyncio.wait_for(running.__aexit__(None, None, None), PATIENCE))
        loop.close()


@pytest.fixture(scope="session")
def localhost_tls(tmp_path_factory):
    """(a server's SSLContext for localhost, the file of the CA that signed its certificate)"""
    ca, certificate, key = certificates.ensure(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(ca)


def pytest_generate_tests(metafunc):
    """Each test with a testbed runs in both interpreters, over each of the module's TRANSPORTS."""
    if "testbed" in metafunc.fixturenames:
        transports = getattr(metafunc.module, "TRANSPORTS", ("mqtt", "amqp"))
        names = getattr(metafunc.module, "INTERPRETERS", ("micropython", "cpython"))
        pairs = [(name, one) for name in names for one in transports]
        ids = ["-".join(pair) if len(transports) > 1 else pair[0] for pair in pairs]
        metafunc.parametrize("testbed", pairs, indirect=True, ids=ids, scope="session")


@pytest.fixture(scope="session")
def testbed(request, hub):
    return DeviceTestbed(*request.param, hub)
