"""The service's tests, too, find a Future that two tasks await."""

from host_tests.iothub.conftest import one_task_awaits  # noqa: F401
