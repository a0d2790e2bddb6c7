"""iothub.pnp: Plug and Play telemetry, components and acknowledged properties."""

import json

from iothub import pnp
from iothub.mqtt.properties import telemetry_topic


def test_component_marks_its_reported_properties():
    assert pnp.component("thermostat1", {"maxTemp": 5}) == {
        "thermostat1": {"maxTemp": 5, "__t": "c"}
    }


def test_acknowledgements():
    assert pnp.acknowledgement(21, 200, 7) == {"value": 21, "ac": 200, "av": 7}
    assert pnp.acknowledgement(0, 400, 7, "too cold")["ad"] == "too cold"


def test_every_desired_property_is_acknowledged():
    asked = []

    def decide(component, name, value):
        asked.append((component, name, value))
        if name == "unknown":
            return None
        return (value, 200) if value != 99 else (20, 400, "too hot")

    desired = {
        "rate": 5,
        "limits": {"low": 1},
        "unknown": 1,
        "thermostat1": {"__t": "c", "target": 99, "unknown": 2},
        "thermostat2": {"__t": "c", "unknown": 3},
        "$version": 4,
    }
    assert pnp.acknowledge(desired, decide) == {
        "rate": {"value": 5, "ac": 200, "av": 4},
        "limits": {"value": {"low": 1}, "ac": 200, "av": 4},
        "thermostat1": {
            "target": {"value": 20, "ac": 400, "av": 4, "ad": "too hot"},
            "__t": "c",
        },
    }
    assert ("thermostat1", "target", 99) in asked and (None, "rate", 5) in asked


def test_commands_of_components():
    assert pnp.command("reboot") == (None, "reboot")
    assert pnp.command("thermostat1*getMaxMinReport") == ("thermostat1", "getMaxMinReport")


def test_telemetry_of_a_component():
    message = pnp.telemetry({"t": 1}, "thermostat1")
    assert json.loads(message.data) == {"t": 1}
    bag = bytes(telemetry_topic(b"", message)).decode()
    assert "%24.sub=thermostat1" in bag and "%24.ct=application%2Fjson" in bag
    assert b"sub" not in bytes(telemetry_topic(b"", pnp.telemetry({"t": 1})))
