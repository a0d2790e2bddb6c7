"""For all tests: no timed assertion, hypothesis' own included."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # sources.py

settings.register_profile("house", deadline=None)
settings.load_profile("house")
