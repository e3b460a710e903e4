"""Notes on what leaves a node, and the stages made of them."""

from hypothesis import given
from hypothesis import strategies as st

from bench.results import Sample
from bench.tracing import KINDS, Note, TracingMesh, peek, read, stages_ms
from p2penergy.messages import Commit, Prepare, PrePrepare, Query, Reply, Status, encode
from transport import MemoryNetwork, VirtualClock

ID, DIGEST, SIGNATURE = b"m" * 20, b"d" * 32, b"s" * 64
heights = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))


@given(heights)
def test_kind_and_height_are_read_from_the_encoding_that_messages_have(height: int) -> None:
    assert peek(encode(Prepare(ID, height, 1, DIGEST, SIGNATURE))) == ("prepare", height)
    assert peek(encode(Commit(ID, height, 1, DIGEST, SIGNATURE))) == ("commit", height)
    proposal = PrePrepare(ID, height, 1, DIGEST, SIGNATURE, b"block", (), None)
    assert peek(encode(proposal)) == ("pre_prepare", height)
    assert peek(encode(Reply(ID, height, DIGEST, DIGEST, 0, SIGNATURE, b"r"))) == ("reply", height)


@given(st.binary(max_size=64))
def test_other_bytes_are_passed_over(data: bytes) -> None:
    found = peek(data)
    assert found is None or found[0] in KINDS.values()


def test_messages_that_are_not_noted_are_passed_over() -> None:
    assert peek(encode(Status(1, 1))) is None
    assert peek(encode(Query(1, "status", b""))) is None


def test_only_the_first_message_of_a_kind_and_height_is_noted(tmp_path) -> None:
    mesh = TracingMesh(MemoryNetwork(VirtualClock()).mesh(ID))
    vote = encode(Prepare(ID, 5, 1, DIGEST, SIGNATURE))
    mesh.broadcast([b"n" * 20], vote)
    mesh.broadcast([b"n" * 20], vote)
    mesh.send(b"n" * 20, encode(Commit(ID, 5, 1, DIGEST, SIGNATURE)))
    mesh.write(tmp_path / "notes")
    assert [(note.kind, note.height) for note in read(tmp_path / "notes")] == [("prepare", 5), ("commit", 5)]


def test_stages_add_up_to_the_request() -> None:
    nodes = [
        [Note("pre_prepare", 1, 100.2), *later(100.21, 100.25, 100.3)],
        later(100.25, 100.25, 100.3),
        later(100.25, 100.25, 100.3),
    ]
    samples = [Sample(100_000, 100_000, 350_000, "accepted", 1), Sample(0, 0, -1, "lost", -1)]
    stages = stages_ms(samples, 100.0, nodes)
    assert {name: round(ms) for name, ms in stages.items()} == {
        "queue": 100,
        "pre_prepare": 50,
        "prepare": 0,
        "commit": 50,
        "reply": 50,
    }


def later(prepare_s: float, commit_s: float, reply_s: float) -> list[Note]:
    return [Note("prepare", 1, prepare_s), Note("commit", 1, commit_s), Note("reply", 1, reply_s)]


def test_requests_of_heights_without_notes_are_left_out() -> None:
    assert stages_ms([Sample(0, 0, 1, "accepted", 9)], 0.0, [[Note("prepare", 1, 0.0)]]) == {}
