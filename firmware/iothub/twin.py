"""Desired properties, without I/O: what of a twin the program has yet to see.

A section is the dict under "desired", with its "$version". Source: spec iothub-mqtt, "Device
twin": changes are told only to a connected device, so the twin is read at each connection.
"""

# Older ones are in the section that has been asked for.
_MAX_HELD = 16


def merge(section, patch):
    """Apply a merge patch to `section` in place: objects merge, None deletes, else replaces."""
    for name, value in patch.items():
        if value is None:
            section.pop(name, None)
        elif isinstance(value, dict):
            inner = section.get(name)
            if not isinstance(inner, dict):
                inner = section[name] = {}
            merge(inner, value)
        else:
            section[name] = value


def difference(old, new):
    """The smallest merge patch that makes `new` of `old`; members that went are None."""
    patch = {}
    for name in old:
        if name not in new:
            patch[name] = None
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif name not in old or before != value or type(before) is not type(value):
            patch[name] = value
    return patch


class Desired:
    """What the program has been told so far, so that every change reaches it once.

    Patches that arrive while the whole section is being asked for are held until it is here.
    """

    def __init__(self):
        self.section = None  # as the program knows it
        self._held = None
        self.known = None  # a $version that the program was told before it began anew

    def expect(self):
        """The whole section has been asked for: hold patches from now on."""
        self._held = []

    def whole(self, section):
        """Take in the whole section; the patches, in order, that bring the program up to it."""
        if self.section is None:
            change = {} if section["$version"] == self.known else dict(section)
        else:
            change = difference(self.section, section)
            change["$version"] = section["$version"]
        self.section = section
        changes = [change] if len(change) > 1 else []
        held, self._held = self._held or [], None
        for patch in held:
            changes += self.patch(patch) or []
        return changes

    def unread(self):
        """The whole section cannot be had: the patches that were held for it, as they came."""
        held, self._held = self._held or [], None
        return held

    def patch(self, patch):
        """Take in a patch: [it], [] where it was known or is held, None where one is missing.

        After None the whole section is to be asked for. ValueError: no patch of a twin.
        """
        version = _version(patch)
        if self._held is not None:
            self._held = self._held[1 - _MAX_HELD :] + [patch]
            return []
        if self.section is None:
            return [patch]
        known = self.section["$version"]
        if version <= known:
            return []
        if version > known + 1:
            return None
        merge(self.section, patch)
        return [patch]


def _version(section):
    version = section.get("$version") if isinstance(section, dict) else None
    if not isinstance(version, int):
        raise ValueError("desired properties without a $version")
    return version


def desired_of(twin):
    """The desired section of a whole twin; ValueError where it is none."""
    section = twin.get("desired") if isinstance(twin, dict) else None
    _version(section)
    return section
