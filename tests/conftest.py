"""What all tests share: nothing is judged by how long it took."""

from __future__ import annotations

from hypothesis import settings

# An example that is slow on a loaded machine is no failure.
settings.register_profile("p2penergy", deadline=None)
settings.load_profile("p2penergy")
