"""The firmware's files, parsed: for the tests that read the code itself."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
IOTHUB = sorted((ROOT / "firmware" / "iothub").rglob("*.py"))
BOARD = sorted((ROOT / "firmware" / "board").glob("*.py"))
APPLICATION = [ROOT / "boot.py", ROOT / "main.py"]
FIRMWARE = IOTHUB + BOARD + APPLICATION


def label(path):
    return f"{path.parent.name}/{path.name}"


def parsed(path):
    return ast.parse(path.read_text(), str(path))


def imports(path, package=""):
    """The modules a file imports anywhere in it; relative ones as `package`.name."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found |= {f"{package}.{name}" for name in names}
            else:
                found.add(node.module)
    return found
