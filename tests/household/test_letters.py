"""Letters: only the reader opens them, and only the sender can have written them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.client import ClientError
from p2penergy.household import letters
from p2penergy.ledger.transactions import ENERGY_WH_MAX, PERIOD_MAX, PRICE_MICRO_PER_KWH_MAX, Terms
from p2penergy.market.negotiation import Offer, Rejection
from p2penergy.messages import encode
from p2penergy.post import LETTER_BYTES_MAX, POST, Posted, PostError, PostOffice, Waiting
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
    terms = Terms(
        *(ANNA.participant_id, BERT.participant_id, PERIOD_MAX, ENERGY_WH_MAX, PRICE_MICRO_PER_KWH_MAX),
        *(PERIOD_MAX, 2**63 - 1),
    )
    sealed = letters.write(ANNA, CHAIN, BERT.participant_id, BERTS_KEY, 2**53, Offer(terms, bytes(32)))
    assert len(sealed) <= LETTER_BYTES_MAX // 2


# ---- the validators that carry them ------------------------------------------------------------------

NODES = [bytes([number]) * 20 for number in range(11, 15)]


class FakeClient:
    """Four validators with a post office each, of which some are mute, refuse, or make things up."""

    fault_limit = 1

    def __init__(self, mute: int = 0, refusing: int = 0, lying: int = 0) -> None:
        ways = ["mute"] * mute + ["refuses"] * refusing + ["lies"] * lying
        self.ways = dict(zip(NODES, ways + ["honest"] * 4, strict=False))
        self.offices = {node: PostOffice(lambda _who: True, lambda: 0) for node in NODES}
        self.asks_as = ANNA.participant_id

    async def query(self, node: bytes, topic: str, argument: bytes = b"") -> bytes:
        match self.ways[node]:
            case "mute":
                await asyncio.Event().wait()
            case "refuses":
                raise ClientError("no connection")
            case "lies":
                return b"\xc1"
        office = self.offices[node]
        try:
            return (office.post if topic == POST else office.collect)(self.asks_as, argument)
        except PostError as error:
            raise ClientError(str(error)) from None


async def exchanged(client: Any) -> list[Waiting]:
    """Anna leaves a letter, Bert collects."""
    client.asks_as = ANNA.participant_id
    await letters.leave(client, NODES, BERT.participant_id, b"sealed")
    client.asks_as = BERT.participant_id
    return await letters.collect(client, NODES)


@pytest.mark.parametrize("faults", [{}, {"mute": 1}, {"refusing": 1}, {"lying": 1}])
async def test_one_faulty_validator_keeps_no_letter_back(
    faults: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "ANSWER_S_MAX", 0.01)
    client: Any = FakeClient(**faults)
    assert await exchanged(client) == [Waiting(ANNA.participant_id, b"sealed")]
    digest = Waiting(ANNA.participant_id, b"sealed").digest
    await letters.collect(client, NODES, (digest,))
    assert await letters.collect(client, NODES) == []
    assert not any(len(office) for office in client.offices.values())


@pytest.mark.parametrize("faults", [{"mute": 3}, {"refusing": 3}])
async def test_a_letter_that_maybe_no_honest_one_took_is_told(
    faults: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "ANSWER_S_MAX", 0.01)
    client: Any = FakeClient(**faults)
    with pytest.raises(ClientError, match="1 validators took the letter, 2 are needed"):
        await letters.leave(client, NODES, BERT.participant_id, b"sealed")
    with pytest.raises(ClientError, match="1 validators answered, 2 are needed"):
        await letters.collect(client, NODES)


async def test_a_full_box_is_told_in_its_own_words() -> None:
    client: Any = FakeClient()
    for office in client.offices.values():
        for number in range(16):
            office.post(ANNA.participant_id, encode(Posted(BERT.participant_id, b"%d" % number)))
    with pytest.raises(ClientError, match="16 letters of yours wait for"):
        await letters.leave(client, NODES, BERT.participant_id, b"sealed")
