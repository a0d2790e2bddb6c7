"""Other ways to install the library on a board: a manifest for an image that has the library built
in (it takes no file system and little heap); a ROMFS image (its code runs in place, in flash); a
package.json for mpremote's mip.

boot.py, main.py, the settings and the root certificates stay files. deploy copies them, and leaves
the library out where the board has it. Source: MicroPython's documentation, "MicroPython manifest
files".
"""

import json

from iothub import __version__

from ..files import CHECKOUT, FIRMWARE, ROOT
from . import image


def manifest():
    """The text of a manifest.py for ports/esp32."""
    packages = {}
    for path in image.sources():
        package, _, rest = path.removeprefix("/lib/").partition("/")
        packages.setdefault(package, []).append(rest + ".py")
    lines = [
        '"""iothub in an image: make -C ports/esp32 FROZEN_MANIFEST=(this file)."""',
        "",
        'include("$(PORT_DIR)/boards/manifest.py")',
    ]
    for package, files in packages.items():
        listed = "".join(f"    {name!r},\n" for name in files)
        lines.append(
            f"package(\n    {package!r},\n    (\n{listed}    ),\n"
            f"    base_path={str(FIRMWARE)!r},\n)"
        )
    return "\n".join(lines) + "\n"


def romfs():
    """A ROMFS image of the library, compiled, for `mpremote romfs deploy`. ImageError."""
    return romfs_of(image.compiled(image.sources()))


def romfs_of(files):
    """A ROMFS image of {path: bytes}."""
    from mpremote.romfs import VfsRomWriter

    tree = {}
    for path, data in files.items():
        *folders, name = path.strip("/").split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = data
    writer = VfsRomWriter()
    _write(writer, tree)
    return bytes(writer.finalise())


def _write(writer, tree):
    for name, inside in sorted(tree.items()):
        if isinstance(inside, bytes):
            writer.mkfile(name, inside)
        else:
            writer.opendir(name)
            _write(writer, inside)
            writer.closedir()


def package():
    """The text of the repository's package.json: the library and the root certificates.

    ValueError: this is no checkout, and the file would name files that are not beside it.
    """
    if not CHECKOUT:
        raise ValueError("--package writes the package.json of a checkout: run it in one")
    urls = [
        (path.removeprefix("/lib/") + ".py", file.relative_to(ROOT).as_posix())
        for path, file in image.sources().items()
        if path.startswith("/lib/iothub/")
    ]
    urls += [
        (f"certs/{path.name}", path.relative_to(ROOT).as_posix())
        for path in sorted((FIRMWARE / "certs").glob("*.der"))
    ]
    return json.dumps({"urls": urls, "deps": [], "version": __version__}, indent=1) + "\n"
