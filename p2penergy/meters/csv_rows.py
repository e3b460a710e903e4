"""Register values from CSV: the samples of the good rows, and a sentence for each bad one.

Lives here: columns and cells. Never here: files. Owns the invariant that a bad row costs itself only, and
that its sentence names file, line and column.

Columns `time,import_wh,export_wh`: unix seconds or ISO 8601 with Z or an offset, and both registers in Wh.
"""

from p2penergy.grid.csv_tables import DataError, Row, parse_table, quoted
from p2penergy.meters.payload import parse_time
from p2penergy.meters.samples import BATCH_SAMPLES_MAX, REGISTER_WH_MAX, Batch, Sample, SampleError

COLUMNS = ("time", "import_wh", "export_wh")
PROBLEMS_MAX = 100
"""Bad rows that are named one by one; the rest are counted."""


def parse_samples(file: str, raw: bytes, mark: str = "") -> Batch:
    """All samples of a file.

    Raises:
        DataError: it is no table with these columns, or not readable beyond some line.
    """
    table = parse_table(file, raw)
    table.require_columns(COLUMNS)
    samples: list[Sample] = []
    problems: list[str] = []
    bad = 0
    for row in table.rows():
        try:
            sample = _sample(row)
        except DataError as error:
            bad += 1
            if bad <= PROBLEMS_MAX:
                problems.append(str(error))
            continue
        if len(samples) == BATCH_SAMPLES_MAX:
            raise row.error("time", f"found one row more, expected at most {BATCH_SAMPLES_MAX} in a file")
        samples.append(sample)
    if bad > PROBLEMS_MAX:
        problems.append(f"{file}: {bad - PROBLEMS_MAX} more bad rows")
    return Batch(tuple(samples), tuple(problems), mark)


def _sample(row: Row) -> Sample:
    found = row.text("time")
    try:
        at_s = parse_time(int(found) if found.isascii() and found.isdigit() and len(found) < 16 else found)
        return Sample(
            at_s,
            row.integer("import_wh", 0, REGISTER_WH_MAX),
            row.integer("export_wh", 0, REGISTER_WH_MAX),
        )
    except SampleError:
        said = f"found {quoted(found)}, expected unix seconds or UTC like 2026-07-01T10:15:00Z"
        raise row.error("time", said) from None
