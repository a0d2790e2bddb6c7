import pytest

from host_tests.back_to_back.conftest import CoreTestbed


@pytest.fixture
def hub_core(tmp_path):
    """A CoreTestbed: the local hub's core, in memory, for clients that are joined to a front."""
    made = CoreTestbed(tmp_path)
    yield made
    made.close()
