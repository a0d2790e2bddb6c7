"""The firmware's source files, parsed, for tests that read the code itself."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
IOTHUB = sorted((ROOT / "firmware" / "iothub").rglob("*.py"))
BOARD = sorted((ROOT / "firmware" / "board").glob("*.py"))
APPLICATION = [ROOT / "boot.py", ROOT / "main.py"]
FIRMWARE = IOTHUB + BOARD + APPLICATION


def label(path):
    return f"{path.parent.name}/{path.name}"


def parsed(path):
    return ast.parse(path.read_text(), str(path))


def module(path):
    """A library file's name within iothub, such as client or amqp.codec."""
    return ".".join(path.relative_to(ROOT / "firmware" / "iothub").with_suffix("").parts)


def imports(path, package=""):
    """The modules that a file of `package` imports anywhere in it; relative ones with their full
    names.
    """
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                names = [alias.name for alias in node.names]
                base = package.rsplit(".", node.level - 1)[0]
                if node.module and not (path.parents[node.level - 1] / node.module).is_dir():
                    names = [node.module]
                elif node.module:
                    base += "." + node.module
                found |= {f"{base}.{name}" for name in names}
            else:
                found.add(node.module)
    return found
