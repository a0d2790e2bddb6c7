"""The packages of the wheel; everything else is in pyproject.toml.

tools/ is installed as iothub_tools. What a board gets (boot.py, main.py, firmware/) lies in it as
iothub_tools/source, laid out as in a checkout; tools/files.py finds both.
"""

import tempfile

from setuptools import find_packages, setup

# A build folder of its own: what an earlier build left in build/lib would go into the wheel.
with tempfile.TemporaryDirectory() as scratch:
    setup(
        script_name="setup.py",  # else it would be one of iothub_tools.source
        options={"build": {"build_base": scratch}},
        packages=[
            *find_packages("firmware", include=["iothub", "iothub.*", "iothub_service"]),
            "iothub_tools",
            *(f"iothub_tools.{name}" for name in find_packages("tools")),
            "iothub_tools.source",
        ],
        package_dir={
            "iothub": "firmware/iothub",
            "iothub_service": "firmware/iothub_service",
            "iothub_tools": "tools",
            "iothub_tools.source": ".",
        },
        package_data={
            "iothub_tools": ["bench/clients/*.py", "board/standins/*.py"],
            "iothub_tools.source": ["firmware/**/*.py", "firmware/**/*.der"],
        },
    )
