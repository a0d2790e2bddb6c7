"""IoT Plug and Play: the JSON of its conventions, and component names. Only helpers; no I/O.

Source: Microsoft's "IoT Plug and Play conventions". The option model_id announces the model.
"""

import json

from .messages import Message

_MARK = "__t"


def component(name, properties):
    """The twin patch in which a component reports `properties` (a dict)."""
    return {name: dict(properties, **{_MARK: "c"})}


def acknowledgement(value, status, version, description=None):
    """A writable property's answer: `value` as it is now, an HTTP-like status, and the $version
    of the desired properties that asked for it.
    """
    answer = {"value": value, "ac": status, "av": version}
    if description is not None:
        answer["ad"] = description
    return answer


def acknowledge(desired, decide):
    """The twin patch that answers all that `desired` (a patch, or a whole section) asks for.

    decide(component or None, name, value) -> (value, status) or (value, status, description);
    None: no word about this one.
    """
    version = desired["$version"]
    patch = {}
    for name, value in desired.items():
        if name[:1] == "$":
            continue
        if isinstance(value, dict) and value.get(_MARK) == "c":
            answers = _answers(name, value, version, decide)
            if answers:
                patch.update(component(name, answers))
        else:
            patch.update(_answers(None, {name: value}, version, decide))
    return patch


def _answers(owner, properties, version, decide):
    answers = {}
    for name, value in properties.items():
        decision = decide(owner, name, value) if name != _MARK else None
        if decision is not None:
            answers[name] = acknowledgement(decision[0], decision[1], version, *decision[2:])
    return answers


def command(method_name):
    """(component or None, command) of a direct method's name: `component*command`."""
    owner, star, name = method_name.partition("*")
    return (owner, name) if star else (None, method_name)


def telemetry(values, component=None):
    """The Message of a component's telemetry (a dict); None: the root's."""
    message = Message(json.dumps(values), content_type="application/json")
    message.content_encoding = "utf-8"
    if component is not None:
        message.custom_properties["$.sub"] = component
    return message
