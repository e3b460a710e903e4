from p2penergy.ledger import keys
from p2penergy.ledger.bucket_tree import check_state_proof
from p2penergy.ledger.records import ContractRecord, encode_integer, encode_record
from p2penergy.ledger.state import BLOCK_INDEX, Scratch, State, Version, VersionStage

WHO, OTHER = bytes(20), b"\1" * 20
LIFE = 10


def a_state(**items: bytes) -> State:
    return State.of([(key.encode(), value) for key, value in items.items()], LIFE)


def write(state: State, values: dict[bytes, bytes | None]) -> None:
    state.apply(state.changes(values))


def test_a_scratch_reads_through_and_writes_aside() -> None:
    state = a_state(a=b"1", b=b"2")
    root, scratch = state.root, Scratch(state)
    scratch.put(b"a", b"9")
    scratch.put(b"b", None)
    assert [scratch.get(key) for key in (b"a", b"b", b"c")] == [b"9", None, None]
    assert [state.get(key) for key in (b"a", b"b")] == [b"1", b"2"]
    assert state.root == root


def test_every_write_is_a_version_in_its_order() -> None:
    scratch = Scratch(a_state(a=b"1"))
    scratch.put(b"x", b"1")
    scratch.index = 3
    scratch.put(b"a", b"2", VersionStage.EXECUTION)
    scratch.put(b"a", b"1")
    assert scratch.versions == [
        Version(b"x", BLOCK_INDEX, VersionStage.FINAL, b"1"),
        Version(b"a", 3, VersionStage.EXECUTION, b"2"),
        Version(b"a", 3, VersionStage.FINAL, b"1"),
    ]


def test_what_ends_as_it_began_is_no_change() -> None:
    state = a_state(a=b"1")
    changes = state.changes({b"a": b"1", b"never": None})
    assert changes.values == {}
    assert changes.tree.root == state.root


def test_the_root_is_that_of_a_state_made_anew() -> None:
    state = a_state(a=b"1", b=b"2")
    write(state, {b"a": None, b"c": b"3"})
    assert state.root == a_state(b=b"2", c=b"3").root
    assert dict(state.items()) == {b"b": b"2", b"c": b"3"}
    assert check_state_proof(state.root, b"c", b"3", state.prove(b"c"))


def test_open_meters_are_those_with_a_period_entry() -> None:
    state = a_state()
    write(state, {keys.period(WHO, 1): b"x", keys.period(OTHER, 1): b"y"})
    write(state, {keys.period(WHO, 1): b"changed"})
    assert state.open_meters() == [WHO, OTHER]
    write(state, {keys.period(WHO, 1): None})
    assert state.open_meters() == [OTHER]


def nonces(*pairs: tuple[int, int]) -> dict[bytes, bytes | None]:
    return {keys.nonce(WHO, number): encode_integer(last) for number, last in pairs}


def test_entries_expire_after_their_last_period() -> None:
    state = a_state()
    write(state, nonces((1, 5), (2, 6)))
    assert state.expired(5, 100) == []
    assert state.expired(6, 100) == [keys.nonce(WHO, 1)]
    assert state.expired(7, 100) == [keys.nonce(WHO, 1), keys.nonce(WHO, 2)]
    write(state, {keys.nonce(WHO, 1): None})
    assert state.expired(7, 100) == [keys.nonce(WHO, 2)]


def test_a_restored_state_ends_the_same_few_entries() -> None:
    state = a_state()
    # Written in falling order, and one group (equal last bytes) larger than asked for.
    write(state, nonces(*((number, 5) for number in range(1300, 0, -1))))
    few = state.expired(6, 3)
    assert 3 <= len(few) < 10
    assert few == State.of(state.items(), LIFE).expired(6, 3)
    # A set's own order would differ from process to process.
    assert few == sorted(few, key=lambda key: (key[-1], key))
    write(state, dict.fromkeys(few))
    assert not set(few) & set(state.expired(6, 3))
    assert len(state.expired(6, 10_000)) == 1300 - len(few)


def test_an_entry_made_anew_in_the_block_that_ends_it_has_its_new_end_only() -> None:
    state = a_state()
    write(state, nonces((1, 5)))
    write(state, nonces((1, 8)))
    assert state.expired(8, 100) == []
    assert state.expired(9, 100) == [keys.nonce(WHO, 1)]


def test_what_is_written_again_with_the_same_end_ends_once() -> None:
    state, trade = a_state(), keys.contract(b"t" * 32)
    for x_ppm in (1, 2):
        record = ContractRecord(5, 1, 0, 1000, x_ppm, 0)
        write(state, {trade: encode_record(record)})
    assert state.expired(6, 100) == [trade]
    write(state, {trade: None})
    assert state.expired(6, 100) == []


def test_nonces_with_the_same_end_share_its_bytes() -> None:
    state = a_state()
    write(state, nonces((1, 500), (2, 500)))
    assert state.get(keys.nonce(WHO, 1)) is state.get(keys.nonce(WHO, 2))
