"""The bench of firmware/, and the mutations of pure/, for these tests too."""

import sys
from pathlib import Path

from firmware.conftest import bench, hub, localhost_tls, pytest_generate_tests

__all__ = ["bench", "hub", "localhost_tls", "pytest_generate_tests"]

sys.path.insert(0, str(Path(__file__).parent.parent / "pure"))
