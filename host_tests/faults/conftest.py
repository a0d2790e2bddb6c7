"""The bench of firmware/, for these tests too."""

from firmware.conftest import bench, hub, localhost_tls, pytest_generate_tests

__all__ = ["bench", "hub", "localhost_tls", "pytest_generate_tests"]
