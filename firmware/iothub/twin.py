"""Desired properties: every change reaches the program once, those made while offline too.

The hub tells changes only to a connected device, so the twin is read at each connection. A
section is the dict under "desired", with its "$version". Contract: docs/protocol/mqtt.md, Device
twin. Loaded with the first handler for desired properties.
"""

import asyncio
import json

from .compat import wait_for
from .errors import ConnectionDroppedError, OperationCancelled, RefusedError

_MAX_HELD = 16  # patches; older ones are in the section that has been asked for


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


class DesiredProperties:
    """The section as the program knows it, without I/O.

    Patches that arrive while the whole section is being asked for are held until it is here.
    """

    def __init__(self):
        self.section = None
        self.known_version = None  # a $version that the program was told before it restarted
        self._held = None

    def begin_sync(self):
        """The whole section has been asked for: hold patches from now on."""
        self._held = []

    def apply_snapshot(self, section):
        """Take in the whole section: the patches, in order, that the program has not seen."""
        if self.section is None:
            change = {} if section["$version"] == self.known_version else dict(section)
        else:
            change = difference(self.section, section)
            change["$version"] = section["$version"]
        self.section = section
        changes = [change] if len(change) > 1 else []
        held, self._held = self._held or [], None
        for patch in held:
            changes += self.apply_patch(patch) or []
        return changes

    def cancel_sync(self):
        """The whole section could not be read: the patches that were held, as they came."""
        held, self._held = self._held or [], None
        return held

    def apply_patch(self, patch):
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


class TwinSynchronizer:
    """Reads the twin when it must, and gives the dispatcher what the program has not seen."""

    def __init__(self, dispatcher, transport, options):
        self._transport = transport
        self._dispatcher = dispatcher
        self._timeout = options["timeout"]
        self._ensure = options["ensure_desired_properties"]
        self._desired = DesiredProperties()
        self._backoff = None

    @property
    def version(self):
        """The $version of the desired properties that the program was told last, or None."""
        section = self._desired.section
        return self._desired.known_version if section is None else section["$version"]

    @version.setter
    def version(self, version):
        self._desired.known_version = version

    def is_idle(self):
        """Changes are the inbox's business."""
        return True

    def begin(self):
        """A connection begins. True: the twin is to be read, and patches are held until then."""
        if self._ensure:
            self._desired.begin_sync()
        return self._ensure

    def on_patch(self, body):
        """A change of desired properties (JSON). None, one that had no room, is a gap."""
        changes = None if body is None else self._desired.apply_patch(json.loads(body))
        if changes is None:
            self._desired.begin_sync()
            self._dispatcher.run(self.synchronize)
        else:
            self._tell(changes)

    def _tell(self, changes):
        dispatcher = self._dispatcher
        for change in changes:
            handler = dispatcher.handlers.get("on_twin_desired_properties_patch_received")
            dispatcher.part("inbox").post(None, 0, dispatcher.call, handler, change)

    async def synchronize(self, answer=None):
        """Read the twin, and tell what it changes. answer: a Future, if it was asked for."""
        desired = self._desired
        while self._transport.is_open():
            try:
                if answer is None:
                    body, _ = await self._transport.request_twin()
                else:
                    body, _ = await wait_for(answer, self._timeout, "twin")
                self._tell(desired.apply_snapshot(desired_section(json.loads(body))))
                self._backoff = None
                return
            except (ConnectionDroppedError, OperationCancelled):
                return  # the next connection asks for it, once
            except Exception as error:
                if not self._transport.is_open():
                    return  # as above
                if not isinstance(error, (OSError, RefusedError)):
                    # Too large, or no twin: changes are told all the same.
                    self._tell(desired.cancel_sync())
                    raise
                self._dispatcher.report(error)
                answer = None
                if self._backoff is None:
                    from .failures import Backoff

                    self._backoff = Backoff()
                await asyncio.sleep(self._backoff.next())


def _version(section):
    version = section.get("$version") if isinstance(section, dict) else None
    if not isinstance(version, int):
        raise ValueError("desired properties without a $version")
    return version


def desired_section(twin):
    """The desired section of a whole twin; ValueError where it is none."""
    section = twin.get("desired") if isinstance(twin, dict) else None
    _version(section)
    return section
