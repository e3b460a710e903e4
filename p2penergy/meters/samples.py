"""What every source of readings delivers: register values at a moment, and what was wrong with the rest.

Lives here: the shapes and limits. Never here: where they come from, or what they mean for a period. Owns the
invariant that a `Sample` is within its limits: it can be calculated with.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

REGISTER_WH_MAX = 10**15
"""A terawatt-hour: no household's register gets there."""
AT_S_MAX = 2**40
BATCH_SAMPLES_MAX = 100_000


class SampleError(ValueError):
    """Something that is no sample; the sentence says what was found and what was expected."""


class SourceError(Exception):
    """A source can't be used at all; the sentence says which and what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """Both registers of a meter at a moment: what was ever drawn and fed in.

    In OBIS codes 1.8.0 (import) and 2.8.0 (export): they only grow, so neither needs a sign.
    """

    at_s: int
    """Unix seconds, UTC."""
    import_wh: int
    export_wh: int

    def __post_init__(self) -> None:
        if not 0 <= self.at_s <= AT_S_MAX:
            raise SampleError(f"found the time {self.at_s}, expected unix seconds from 1970 on")
        for name, value_wh in (("import_wh", self.import_wh), ("export_wh", self.export_wh)):
            if not 0 <= value_wh <= REGISTER_WH_MAX:
                raise SampleError(f"found {name} {value_wh}, expected Wh from 0 to {REGISTER_WH_MAX}")


@dataclass(frozen=True, slots=True)
class Batch:
    """What came at once: at most `BATCH_SAMPLES_MAX` samples, and a sentence for each thing passed over."""

    samples: tuple[Sample, ...]
    problems: tuple[str, ...] = ()
    mark: str = ""
    """Remembered once the batch is durable, for sources that could deliver it again; "" is not."""


class Source(Protocol):
    """Where samples come from."""

    def batches(self) -> AsyncIterator[Batch]:
        """Batches as they come, until the source is exhausted; a live one never is.

        Raises:
            SourceError: the source can't be used.
        """

    def done(self, batch: Batch) -> None:
        """The batch is durable: it need not come again."""
