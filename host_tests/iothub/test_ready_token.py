"""iothub.ready_token: whose a ready SAS token is, and when another one is asked for."""

import asyncio

from host_tests.support.raises import raises
from host_tests.support.tasks import turns
from iothub import ready_token
from iothub.credentials import Credentials
from iothub.dispatcher import Dispatcher
from iothub.errors import ConnectionFailedError, CredentialError
from iothub.options import checked
from iothub.ready_token import check, from_sastoken, may_have_ended, on_refused, token_fields

NOW = 1800000000


def token(resource, end=NOW + 60, policy=None):
    text = f"SharedAccessSignature sr={resource}&sig=secret&se={end}"
    return text + "&skn=" + policy if policy else text


DEVICE = token("h%2Fdevices%2FMyDevice01")


# -- whose it is --------------------------------------------------------------------------------


def identity(*arguments):
    made = from_sastoken(*arguments)
    return made.hostname, made.device_id, made.module_id


def test_token_names_its_device_or_module():
    assert from_sastoken(DEVICE).sign(1)[0] == DEVICE
    assert identity(DEVICE) == ("h", "MyDevice01", None)
    assert identity(token("h/devices/d/modules/m")) == ("h", "d", "m")
    assert identity(token("h%2fdevices%2fd%2fmodules%2fm")) == ("h", "d", "m")


def test_resource_may_go_on_behind_its_device():
    """The hub's own documentation shows such a token."""
    for rest in ("%2Fapi-version%3D2016-11-14", "%2F", "/x/y"):
        assert identity(token("h%2Fdevices%2FMyDevice01" + rest)) == ("h", "MyDevice01", None)
    assert identity(token("h/devices/d/modules/m/api-version=1")) == ("h", "d", "m")


def test_port_in_a_token_is_dialled():
    made = from_sastoken(token("localhost%3A8884%2Fdevices%2Fd"))
    assert (made.host, made.port, made.hostname) == ("localhost", 8884, "localhost")


def test_policys_token_needs_the_device_id():
    of_hub = token("h", policy="device")
    assert "device_id" in str(raises(ValueError, from_sastoken, of_hub))
    assert identity(of_hub, "d") == ("h", "d", None)
    assert identity(of_hub, "d", "m") == ("h", "d", "m")
    assert identity(token("h%2Fdevices", policy="device"), "d") == ("h", "d", None)
    assert identity(token("h/devices/d", policy="device"), "d", "m") == ("h", "d", "m")
    assert from_sastoken(of_hub, "d").sign(1) == (of_hub, "h/devices/d", "d@sas.h")


def test_device_id_may_be_given_where_the_token_has_it_in_lower_case():
    assert identity(token("h/devices/mydevice01"), "MyDevice01") == ("h", "MyDevice01", None)


def test_tokens_that_are_for_nobody_or_somebody_else():
    for wrong in (
        (token("h"),),
        (token("h"), "d"),  # it has no policy
        (token("h%2Fdevices"), "d"),
        (token("h%2Fmessages%2Fevents", policy="service"),),
        (token("h%2Fmessages%2Fevents", policy="service"), "d"),
        (DEVICE, "other"),
        (token("h/devices/d"), "d", "m"),  # a device's key does not serve its modules
        (token("h/devices/d/modules/m"), "d"),
        (token("h/devices/d/modules/m"), "d", "other"),
        ("nonsense",),
    ):
        assert "secret" not in str(raises(ValueError, from_sastoken, *wrong))


def test_next_token_may_be_spelled_otherwise():
    made = Credentials("Hub.example", "MyDevice01", sastoken=DEVICE)
    for resource in (
        "Hub.example/devices/MyDevice01",
        "hub.example%2fdevices%2fmydevice01",
        "hub.example:8883/devices/MyDevice01",
        "hub.example%2Fdevices%2FMyDevice01%2Fapi-version%3D2016-11-14",
    ):
        check(token(resource), made)
    check(token("hub.example", policy="device"), made)
    for resource in ("hub.example", "other/devices/MyDevice01", "hub.example/devices/MyDevice0"):
        assert "another device" in str(raises(ValueError, check, token(resource), made))
    module = "hub.example/devices/MyDevice01/modules/m"
    raises(ValueError, check, token(module, policy="device"), made)
    check(token(module), Credentials("hub.example", "MyDevice01", "m", sastoken=DEVICE))


# -- when it is refused -------------------------------------------------------------------------


def at(now, test):
    """Run test(credentials, dispatcher, asked) at this time of the clock."""

    async def main():
        dispatcher, asked = Dispatcher(checked({})), []
        dispatcher.set_handler("on_new_sastoken_required", lambda: asked.append(1))
        dispatcher.set_handler("on_background_exception", asked.append)
        await test(Credentials("h", "MyDevice01", sastoken=DEVICE), dispatcher, asked)

    original, ready_token.unix_time = ready_token.unix_time, lambda: now
    try:
        asyncio.run(asyncio.wait_for(main(), 10))
    finally:
        ready_token.unix_time = original


REFUSAL = CredentialError("not authorised", "connack", 5)


def test_program_is_asked_once_for_each_token_that_has_ended():
    async def test(credentials, dispatcher, asked):
        for count in (1, 2):
            for _ in range(3):
                error = on_refused(credentials, dispatcher, REFUSAL)
                await turns()
                assert len(asked) == count
                assert (type(error), error.stage, error.code) == (CredentialError, "connack", 5)
                assert "call update_sastoken() with a new one" in str(error)
                assert "secret" not in str(error)
            credentials.sastoken = token("h/devices/MyDevice01", NOW - 1)

    at(NOW + 60, test)


def test_program_is_asked_where_the_clock_does_not_tell():
    """A board with a ready token needs no clock."""

    async def test(credentials, dispatcher, asked):
        assert may_have_ended(credentials.sastoken)
        on_refused(credentials, dispatcher, REFUSAL)
        await turns()
        assert asked == [1]

    at(946684800, test)  # 2000


def test_refusal_of_a_token_that_has_not_ended_asks_for_none():
    async def test(credentials, dispatcher, asked):
        assert on_refused(credentials, dispatcher, REFUSAL) is REFUSAL
        await turns()
        assert asked == []

    at(NOW + 59, test)


def test_other_failures_ask_for_none():
    async def test(credentials, dispatcher, asked):
        away = ConnectionFailedError("refused", "tcp")
        assert on_refused(credentials, dispatcher, away) is away
        await turns()
        assert asked == []

    at(NOW + 60, test)


def test_handler_that_fails_is_called_at_the_next_refusal():
    async def test(credentials, dispatcher, asked):
        failure = OSError("no answer from the token server")

        def fail():
            raise failure

        handler = dispatcher.handlers["on_new_sastoken_required"]
        dispatcher.set_handler("on_new_sastoken_required", fail)
        on_refused(credentials, dispatcher, REFUSAL)
        await turns()
        assert asked == [failure]
        dispatcher.set_handler("on_new_sastoken_required", handler)
        for _ in range(2):
            on_refused(credentials, dispatcher, REFUSAL)
            await turns()
        assert asked == [failure, 1]

    at(NOW + 60, test)


def test_handler_that_is_set_later_is_called():
    async def test(credentials, dispatcher, asked):
        handler = dispatcher.handlers["on_new_sastoken_required"]
        dispatcher.set_handler("on_new_sastoken_required", None)
        error = on_refused(credentials, dispatcher, REFUSAL)
        assert "on_new_sastoken_required" in str(error)
        dispatcher.set_handler("on_new_sastoken_required", handler)
        on_refused(credentials, dispatcher, REFUSAL)
        await turns()
        assert asked == [1]

    at(NOW + 60, test)


def test_fields_in_any_order():
    fields = token_fields("SharedAccessSignature sig=a%3D&se=12&sr=h%2Fdevices%2Fd&skn=p")
    assert fields == {"sig": "a%3D", "se": "12", "sr": "h%2Fdevices%2Fd", "skn": "p"}


def test_invalid_token_is_not_printed():
    for token in ("", "sr=a&sig=topsecret&se=1", "SharedAccessSignature sr=a&sig=topsecret"):
        assert "topsecret" not in str(raises(ValueError, token_fields, token))
    raises(ValueError, token_fields, "SharedAccessSignature sr=a&sig=b&se=soon")
    raises(ValueError, token_fields, "SharedAccessSignature sr=&sig=b&se=1")
