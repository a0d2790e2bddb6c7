"""The tests here import expect.py by its plain name, as they do on MicroPython."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
