"""The fuzz targets use samples of other tests, which are modules beside them."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "store")]
