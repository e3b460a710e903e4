"""The machines of the system tests are those of the manifests, too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "system"))
