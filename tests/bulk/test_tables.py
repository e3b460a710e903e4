import pytest

from p2penergy.bulk import tables
from p2penergy.bulk.tables import BulkOrder, Packet, parse_orders, parse_packets, parse_participants
from p2penergy.genesis import Member
from p2penergy.grid.csv_tables import DataError, parse_table
from p2penergy.ledger.transactions import Side
from p2penergy.meters.registers import PeriodEnergy

ID, KEY, TIP = "ab" * 20, "02" + "cd" * 32, "ef" * 32
PARTICIPANTS = "name,participant_id,public_key,role,beacon_tip,rated_w,cluster,wallet\n"
PACKETS = "household,period_start,import_wh,export_wh\n"
ORDERS = "household,side,period_start,energy_wh,price\n"
PERIOD = 1_629_408  # 2016-06-21T00:00Z


def errors_of(parse: object, text: str) -> list[str]:
    assert callable(parse)
    return [str(error) for error in parse(parse_table("f.csv", text.encode())).errors]


def test_participants_become_members() -> None:
    text = PARTICIPANTS + f"H1,{ID},{KEY},validator,{TIP},4000,2,12.5\nH2,{ID[::-1]},{KEY},,,,,\n"
    parsed = parse_participants(parse_table("f.csv", text.encode()))
    assert parsed.errors == ()
    first, second = (row.member for row in parsed.rows)
    assert first == Member(
        participant_id=ID,
        public_key=KEY,
        validator=True,
        rated_w=4000,
        cluster=2,
        wallet_nano=12_500_000_000,
        beacon_tip=TIP,
    )
    assert second == Member(participant_id=ID[::-1], public_key=KEY)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"../x,{ID},{KEY},,,,,", "column name: found '../x'"),
        (f"H1,{ID.upper()},{KEY},,,,,", "column participant_id"),
        (f"H1,{ID},{KEY[2:]},,,,,", "column public_key"),
        (f"H1,{ID},04{KEY[2:]},,,,,", "expected a compressed key"),
        (f"H1,{ID},{KEY},king,,,,", "column role: found 'king'"),
        (f"H1,{ID},{KEY},validator,,,,", "column beacon_tip"),
        (f"H1,{ID},{KEY},,,-1,,", "column rated_w"),
        (f"H1,{ID},{KEY},,,,x,", "column cluster"),
        (f"H1,{ID},{KEY},,,,,1e9", "column wallet"),
        (f"H1,{ID},{KEY},,,,,10000001", "column wallet"),
    ],
)
def test_a_bad_participant_is_named_by_line_and_column(row: str, said: str) -> None:
    (error,) = errors_of(parse_participants, PARTICIPANTS + row + "\n")
    assert error.startswith("f.csv, line 2, ") and said in error and "expected" in error


def test_packets_are_netted_readings() -> None:
    text = PACKETS + "H1,2016-06-21T00:00Z,50,20\nH2,2016-06-21T00:00Z,0,7\n"
    parsed = parse_packets(parse_table("f.csv", text.encode()))
    assert parsed.rows == (
        Packet(2, "H1", PeriodEnergy(PERIOD, 30, 0)),
        Packet(3, "H2", PeriodEnergy(PERIOD, 0, 7)),
    )


def test_orders() -> None:
    text = ORDERS + "H1,ask,2016-06-21T00:00Z,50,0.21\n" * 2
    parsed = parse_orders(parse_table("f.csv", text.encode()))
    # The same order twice is two orders.
    assert parsed.rows[0] == BulkOrder(2, "H1", Side.ASK, PERIOD, 50, 210_000)
    assert len(parsed.rows) == 2 and parsed.errors == ()


def test_all_bad_rows_are_named_at_once() -> None:
    text = ORDERS + "H 1,ask,2016-06-21T00:00Z,50,0.21\nH1,sell,2016-06-21T00:00Z,50,0.21\n"
    text += (
        "H1,bid,2016-06-21T00:07Z,50,0.21\nH1,bid,2016-06-21T00:00Z,0,0.21\nH1,bid,2016-06-21T00:00Z,5,-1\n"
    )
    found = errors_of(parse_orders, text)
    columns = ["household", "side", "period_start", "energy_wh", "price"]
    assert [
        f"line {n}, column {column}:" in error
        for n, (column, error) in enumerate(zip(columns, found, strict=True), 2)
    ] == [True] * 5


def test_a_reading_that_comes_twice_and_an_empty_table_are_errors() -> None:
    row = "H1,2016-06-21T00:00Z,50,0\n"
    (error,) = errors_of(parse_packets, PACKETS + row + row)
    assert "line 3" in error and "again after line 2" in error
    assert errors_of(parse_packets, PACKETS) == ["f.csv: found no rows, expected at least one"]


def test_what_breaks_the_table_ends_it_after_the_errors_before() -> None:
    found = errors_of(parse_packets, PACKETS + "?,2016-06-21T00:00Z,50,0\nH1,2016\nH1,x,y,z\n")
    assert len(found) == 2 and "line 3: found 2 cells" in found[1]


def test_there_are_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ERRORS_MAX", 2)
    assert len(errors_of(parse_packets, PACKETS + "?,?,?,?\n" * 9)) == 2
    monkeypatch.setattr(tables, "ROWS_MAX", 1)
    good = "H1,2016-06-21T00:00Z,50,0\nH1,2016-06-21T00:15Z,50,0\n"
    assert "at most 1" in errors_of(parse_packets, PACKETS + good)[0]


@pytest.mark.parametrize("parse", [parse_participants, parse_packets, parse_orders])
def test_a_wrong_header_is_an_error(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(DataError, match="is missing"):
        parse(parse_table("f.csv", b"a,b\n1,2\n"))
