"""Python's collector of garbage, told to look less often.

Lives here: one setting for processes that make objects by the thousand and hardly a cycle among them. The
default looks for cycles after every 700 new objects: a tenth of a validator's time under load. Not much more
seldom than this, either: a link that was cut off is a cycle, and holds its buffers until somebody looks.
"""

import gc

NEW_OBJECTS = 3_000
"""Between two looks."""


def spare_collector() -> None:
    """Leave what is loaded now alone for good, and look at the rest seldom."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
