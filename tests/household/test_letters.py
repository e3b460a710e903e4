"""Letters: only the reader opens them, and only the sender can have written them."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.household import letters
from p2penergy.market.negotiation import Rejection
from p2penergy.post import LETTER_BYTES_MAX, Waiting
from p2penergy.signing import EcdsaChecker, EcdsaSigner, public_key_bytes

CHAIN = bytes(32)
WORD = Rejection(bytes(32))


def somebody(number: int) -> tuple[EcdsaSigner, bytes]:
    key = ec.derive_private_key(number, ec.SECP256R1())
    return EcdsaSigner(bytes([number]) * 20, key), public_key_bytes(key.public_key())


ANNA, ANNAS_KEY = somebody(1)
BERT, BERTS_KEY = somebody(2)
CLARA, CLARAS_KEY = somebody(3)


def written(by: EcdsaSigner = ANNA, chain_id: bytes = CHAIN) -> Waiting:
    sealed = letters.write(by, chain_id, BERT.participant_id, BERTS_KEY, 7, WORD)
    return Waiting(by.participant_id, sealed)


def read(reader: EcdsaSigner, waiting: Waiting, key: bytes = ANNAS_KEY) -> letters.Letter | None:
    return letters.read(reader, CHAIN, waiting, key, EcdsaChecker())


def test_the_reader_opens_it_and_nobody_else() -> None:
    letter = read(BERT, written())
    assert letter is not None
    assert (letter.word, letter.sent_ms, letter.sender) == (WORD, 7, ANNA.participant_id)
    assert read(CLARA, written()) is None
    assert read(ANNA, written()) is None


def test_no_post_office_can_forge_or_move_one() -> None:
    waiting = written()
    assert read(BERT, Waiting(CLARA.participant_id, waiting.sealed), CLARAS_KEY) is None
    assert read(BERT, Waiting(waiting.sender, waiting.sealed[:-1] + b"\0")) is None
    assert read(BERT, Waiting(waiting.sender, b"")) is None
    # Anybody can seal something to Bert, but not sign it in Anna's name.
    forger = EcdsaSigner(ANNA.participant_id, CLARA.private_key)
    assert read(BERT, written(forger)) is None


def test_a_letter_of_another_community_is_none() -> None:
    assert read(BERT, written(chain_id=b"\1" * 32)) is None


def test_letters_of_full_size_fit_the_post_office() -> None:
    from p2penergy.ledger.transactions import ENERGY_WH_MAX, PERIOD_MAX, PRICE_MICRO_PER_KWH_MAX, Terms
    from p2penergy.market.negotiation import Offer

    terms = Terms(
        *(ANNA.participant_id, BERT.participant_id, PERIOD_MAX, ENERGY_WH_MAX, PRICE_MICRO_PER_KWH_MAX),
        *(PERIOD_MAX, 2**63 - 1),
    )
    sealed = letters.write(ANNA, CHAIN, BERT.participant_id, BERTS_KEY, 2**53, Offer(terms, bytes(32)))
    assert len(sealed) <= LETTER_BYTES_MAX // 2
