import pytest

from p2penergy.simulation.signatures import KeyRing, ecdsa_ring, member_of, participant_id, stand_in_ring


@pytest.mark.parametrize("ring", [stand_in_ring(4), ecdsa_ring(4)], ids=["stand-in", "ecdsa"])
def test_only_the_signer_can_make_what_checks_under_its_key(ring: KeyRing) -> None:
    signature = ring.signers[1].sign(b"words")
    assert len(signature) == 64
    assert signature == ring.signers[1].sign(b"words")
    assert all(len(key) == 33 for key in ring.public_keys)
    assert ring.checker.check(ring.public_keys[1], b"words", signature)
    assert not ring.checker.check(ring.public_keys[2], b"words", signature)
    assert not ring.checker.check(ring.public_keys[1], b"other words", signature)
    assert not ring.checker.check(ring.public_keys[1], b"words", bytes(64))
    assert not ring.checker.check(b"\2" * 33, b"words", signature)


def test_ids_are_twenty_bytes_and_tell_their_number() -> None:
    assert [member_of(participant_id(number)) for number in range(20)] == list(range(20))
    assert {len(participant_id(number)) for number in range(20)} == {20}
