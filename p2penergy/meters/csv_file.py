"""One CSV file, read from its first row to its last: a replay, or what a meter was exported to.

Lives here: reading the file. Never here: its columns (`csv_rows`).
"""

from collections.abc import AsyncIterator
from pathlib import Path

from p2penergy.grid.csv_tables import FILE_BYTES_MAX, DataError
from p2penergy.meters.csv_rows import parse_samples
from p2penergy.meters.samples import Batch, SourceError

PART_SAMPLES = 500
"""So many are signed and made durable at once."""


def read_samples(path: Path, mark: str = "") -> Batch:
    """All samples of a file; raises `SourceError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        return parse_samples(str(path), raw, mark)
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from None
    except DataError as error:
        raise SourceError(str(error)) from None


class CsvFile:
    """A source that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def batches(self) -> AsyncIterator[Batch]:
        """The file in parts; raises `SourceError`."""
        whole = read_samples(self._path)
        samples = sorted(whole.samples)
        yield Batch(tuple(samples[:PART_SAMPLES]), whole.problems)
        for start in range(PART_SAMPLES, len(samples), PART_SAMPLES):
            yield Batch(tuple(samples[start : start + PART_SAMPLES]))

    def done(self, batch: Batch) -> None:
        """The file stays as it is."""
