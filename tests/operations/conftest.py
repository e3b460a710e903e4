"""What the tests of the operator's side share."""

from __future__ import annotations

import sys
from pathlib import Path

# The audit's small chain, with real signatures, is what these tests save and bring back.
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "audit"))
