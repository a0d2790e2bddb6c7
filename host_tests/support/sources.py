"""The firmware's source files, parsed, for tests that read the code itself."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
IOTHUB = sorted((ROOT / "firmware" / "iothub").rglob("*.py"))
SERVICE = sorted((ROOT / "firmware" / "iothub_service").glob("*.py"))
BOARD = sorted((ROOT / "firmware" / "board").glob("*.py"))
SHIM = sorted((ROOT / "firmware" / "shim").rglob("*.py"))
APPLICATION = [ROOT / "boot.py", ROOT / "main.py"]
FIRMWARE = IOTHUB + SERVICE + BOARD + APPLICATION


def label(path):
    return f"{path.parent.name}/{path.name}"


def parsed(path):
    return ast.parse(path.read_text(), str(path))


def module(path):
    """A firmware file's dotted name, such as iothub.amqp.codec; a package's is its own."""
    parts = path.relative_to(ROOT / "firmware").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, package=""):
    """The modules that a file of `package` imports anywhere in it; relative ones with their full
    names.
    """
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(above + ([node.module] if node.module else []))
            found |= {_imported(base, alias.name) for alias in node.names}
    return found


def _imported(base, name):
    """The module that `from base import name` loads: base.name, if that is a module."""
    folder = ROOT.joinpath("firmware", *base.split("."))
    known = (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()
    return f"{base}.{name}" if known else base
