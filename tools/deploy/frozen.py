"""A manifest for whoever builds an image with the library in it: it costs no flash of the file
system then, and little heap.

boot.py, main.py, the settings and the roots stay files; deploy brings them, and sees that the
library is there. Source: MicroPython's documentation, "MicroPython manifest files".
"""

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
            f"    base_path={str(image.FIRMWARE)!r},\n)"
        )
    return "\n".join(lines) + "\n"
