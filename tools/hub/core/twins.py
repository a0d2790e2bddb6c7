"""Device twins: sections that are merged and versioned, with metadata for each member.

The functions are pure; the time is passed in. A section is kept as {"properties", "metadata",
"version"}. Source: docs/protocol/mqtt.md, "Device twin"; docs/protocol/rest.md, "Device twins".
"""

from . import json_body
from .errors import HubError, bad_request

MAX_SECTION = 32 * 1024
_MAX_DEPTH = 10


def new_section(now):
    return {"properties": {}, "metadata": {"$lastUpdated": now}, "version": 1}


def new_twin(now):
    """A twin as it is stored: two sections, tags, and a version of the whole."""
    return {
        "desired": new_section(now),
        "reported": new_section(now),
        "tags": {},
        "version": 1,
    }


def check(patch, name, depth=1):
    """HubError 400 unless `patch` is an object that a twin may hold. name: of the section."""
    if not isinstance(patch, dict):
        raise bad_request(f"{name} is not a JSON object")
    if depth > _MAX_DEPTH:
        raise bad_request(f"{name} is nested deeper than {_MAX_DEPTH} levels")
    for key, value in patch.items():
        if not key or len(key.encode()) > 1024 or any(c in ".$ " or ord(c) < 32 for c in key):
            raise bad_request(
                f"{name} has a member whose name is empty, too long, or contains a dot, a $, a "
                "space or a control character"
            )
        if isinstance(value, float) and value != value:
            raise bad_request(f"{name}: the value of {key} is not a JSON number")
        if isinstance(value, dict):
            check(value, name, depth + 1)


def patched(section, patch, now, name):
    """A new section with `patch` merged in; null deletes a member. HubError 400, 413."""
    if isinstance(patch, dict):
        patch = {key: value for key, value in patch.items() if not key.startswith("$")}
    check(patch, name)
    version = section["version"] + 1
    stamp = {"$lastUpdated": now}
    if name == "desired":
        stamp["$lastUpdatedVersion"] = version
    properties, metadata = _merge(section["properties"], section["metadata"], patch, stamp)
    if len(json_body.encode(properties)) > MAX_SECTION:
        raise HubError(413, "RequestEntityTooLarge", f"{name} is larger than 32 KB", 413001)
    return {"properties": properties, "metadata": metadata, "version": version}


def replaced(section, properties, now, name):
    """A new section that holds `properties` and nothing else. HubError 400, 413."""
    empty = {"properties": {}, "metadata": {}, "version": section["version"]}
    return patched(empty, properties, now, name)


def _merge(properties, metadata, patch, stamp):
    properties, metadata = dict(properties), {**metadata, **stamp}
    for key, value in patch.items():
        if value is None:
            properties.pop(key, None)
            metadata.pop(key, None)
        elif isinstance(value, dict):
            old = properties.get(key)
            inner = old if isinstance(old, dict) else {}
            known = metadata.get(key, {}) if isinstance(old, dict) else {}
            properties[key], metadata[key] = _merge(inner, known, value, stamp)
        else:
            properties[key] = value
            metadata[key] = dict(stamp)
    return properties, metadata


def device_view(section):
    """A section as a device sees it: its members and $version."""
    return {**section["properties"], "$version": section["version"]}


def service_view(section):
    """A section as a service sees it: with $metadata as well."""
    return {**device_view(section), "$metadata": section["metadata"]}


def device_document(twin):
    """The answer (JSON bytes) to a device that asks for its twin."""
    return json_body.encode({name: device_view(twin[name]) for name in ("desired", "reported")})


def notice(patch, section):
    """The patch that a device is told: as the service sent it, with the new $version."""
    members = {name: value for name, value in patch.items() if not name.startswith("$")}
    return {**members, "$version": section["version"]}


def merged_tags(tags, patch):
    """Tags with `patch` merged in."""
    check(patch, "tags")
    return _merge(tags, {}, patch, {})[0]
