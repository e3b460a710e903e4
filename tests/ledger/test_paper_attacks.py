"""The two scenarios of section 4 of the paper, and their relatives, with real keys."""

from dataclasses import dataclass
from functools import lru_cache

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from village import PRICE, WALLET_NANO, Village

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import Contract, Decline, Ledger, Terms, TradeReceipt, TradeStage, query, sign_contract
from p2penergy.ledger.transactions import signed_bytes
from p2penergy.messages import encode
from p2penergy.signing import EcdsaChecker, EcdsaSigner, public_key_bytes

SELLER, BUYER, BYSTANDER = 1, 3, 2
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@lru_cache(maxsize=1)
def keys_of_five() -> tuple[ec.EllipticCurvePrivateKey, ...]:
    return tuple(ec.derive_private_key(500 + number, ec.SECP256R1()) for number in range(5))


class RealVillage(Village):
    """The same village with ECDSA keys."""

    def __init__(self) -> None:
        super().__init__(checker=EcdsaChecker())
        members = []
        for entry, signer, key in zip(self.genesis.members, self.signers, keys_of_five(), strict=True):
            public_key = public_key_bytes(key.public_key()).hex()
            members.append(msgspec.structs.replace(entry, public_key=public_key))
            real = EcdsaSigner(signer.participant_id, key)
            self.signers[self.ids.index(signer.participant_id)] = real  # type: ignore[call-overload]
        self.genesis = msgspec.structs.replace(self.genesis, members=tuple(members))
        self.chain_id = self.genesis.chain_id
        self.ledger = Ledger(self.genesis, self.checker)


@dataclass
class Scene:
    """Seller and buyer agree on 400 Wh, and one of them alters it to 900 before submitting."""

    village: RealVillage
    attacker: int
    victim: int
    genuine: Terms
    altered: Contract

    def submitted_by(self, who: int) -> bytes:
        other = SELLER if who == BUYER else BUYER
        return encode(self.village.submit(who, self.genuine, self.village.signed_by(other, self.genuine)))


@pytest.fixture(params=[SELLER, BUYER], ids=["malicious seller", "malicious buyer"])
def scene(request: pytest.FixtureRequest) -> Scene:
    village = RealVillage()
    village.block(village.reading(SELLER, export_wh=1000), village.reading(BUYER, import_wh=1000))
    attacker: int = request.param
    victim = BUYER if attacker == SELLER else SELLER
    genuine = village.terms(SELLER, BUYER, 400)
    forged = msgspec.structs.replace(genuine, energy_wh=900)
    altered = village.submit(attacker, forged, village.signed_by(victim, genuine))
    return Scene(village, attacker, victim, genuine, altered)


def traded_wh(village: Village) -> int:
    return query.balance(village.ledger.get, village.ids[BUYER]).energy_wh


def assert_traded_once(village: Village) -> None:
    assert traded_wh(village) == 400
    wallets = [query.balance(village.ledger.get, village.ids[who]).wallet_nano for who in (SELLER, BUYER)]
    assert wallets == [WALLET_NANO + 400 * PRICE, WALLET_NANO - 400 * PRICE]
    assert village.ledger.audit_totals().is_conserved()


def test_the_altered_contract_is_declined_at_the_execution_stage(scene: Scene) -> None:
    receipt = scene.village.one(encode(scene.altered))
    assert isinstance(receipt, TradeReceipt)
    assert receipt.code is Decline.ALTERED_CONTRACT
    assert receipt.stage is TradeStage.EXECUTION
    seller_at_fault = scene.attacker == SELLER
    assert receipt.condition == (1 if seller_at_fault else 2)
    assert receipt.alpha == (1 if seller_at_fault else -1)
    assert receipt.expected == (900 if seller_at_fault else 900 * PRICE)
    assert traded_wh(scene.village) == 0


@pytest.mark.parametrize("same_block", [True, False])
def test_the_victim_sends_again_and_nothing_happens_twice(scene: Scene, same_block: bool) -> None:
    """The altered one first, as the paper has it; then the genuine one, and once more to be sure."""
    sent = [encode(scene.altered), scene.submitted_by(scene.victim), scene.submitted_by(scene.victim)]
    village = scene.village
    receipts = village.block(*sent) if same_block else [village.one(raw) for raw in sent]
    assert [receipt.code for receipt in receipts] == [
        Decline.ALTERED_CONTRACT,
        Decline.NONE,
        Decline.TRADE_REPLAYED,
    ]
    assert_traded_once(village)


def test_the_genuine_contract_executes_once_whatever_is_sent_around_it(scene: Scene) -> None:
    codes = [
        receipt.code
        for receipt in scene.village.block(
            scene.submitted_by(scene.attacker),
            encode(scene.altered),
            scene.submitted_by(scene.victim),
            scene.submitted_by(scene.attacker),
        )
    ]
    assert codes.count(Decline.NONE) == 1
    assert_traded_once(scene.village)


def test_the_attacker_pays_with_its_standing_and_the_victim_does_not(scene: Scene) -> None:
    get, ids = scene.village.ledger.get, scene.village.ids
    before = query.score(get, ids[scene.attacker]), query.score(get, ids[scene.victim])
    scene.village.block(encode(scene.altered))
    after = query.score(get, ids[scene.attacker]), query.score(get, ids[scene.victim])
    assert after == (before[0] - before[0] * 3 // 10, before[1])


def test_the_altered_contract_can_not_be_sent_again(scene: Scene) -> None:
    raw = encode(scene.altered)
    scene.village.block(raw)
    assert scene.village.ledger.pool.add(raw).code == "answered"
    with pytest.raises(InvalidBlockError) as refused:
        scene.village.block(raw)
    assert refused.value.code == "answered_twice"


def test_nobody_on_the_way_can_frame_the_submitter(scene: Scene) -> None:
    """A relay swaps the inner signature, or the terms, of an honest contract."""
    honest = scene.village.submit(
        scene.victim, scene.genuine, scene.village.signed_by(scene.attacker, scene.genuine)
    )
    for framed in (
        msgspec.structs.replace(honest, counterparty_signature=scene.altered.counterparty_signature),
        msgspec.structs.replace(honest, terms=scene.altered.terms),
        msgspec.structs.replace(honest, submitter=scene.village.ids[scene.attacker]),
    ):
        assert scene.village.ledger.pool.add(encode(framed)).code == "bad_signature"
        with pytest.raises(InvalidBlockError) as refused:
            scene.village.block(encode(framed))
        assert refused.value.code == "bad_signature"
    assert scene.village.one(encode(honest)).accepted


def malleated(signature: bytes) -> bytes:
    """The other signature that ECDSA takes for the same message: (r, order - s)."""
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + (P256_ORDER - s).to_bytes(32, "big")


def test_a_malleated_signature_is_the_same_transaction(scene: Scene) -> None:
    village = scene.village
    raw = scene.submitted_by(scene.victim)
    contract = msgspec.msgpack.decode(raw, type=Contract)
    twin = encode(msgspec.structs.replace(contract, signature=malleated(contract.signature)))
    assert twin != raw
    assert village.ledger.pool.add(raw).accepted
    assert village.ledger.pool.add(twin).code == "pending"
    village.block(twin)
    with pytest.raises(InvalidBlockError) as refused:
        village.block(raw)
    assert refused.value.code == "answered_twice"
    assert_traded_once(village)


def test_a_malleated_inner_signature_is_the_same_trade(scene: Scene) -> None:
    village = scene.village
    signature = village.signed_by(scene.attacker, scene.genuine)
    first = village.one(encode(village.submit(scene.victim, scene.genuine, signature)))
    second = village.one(encode(village.submit(scene.victim, scene.genuine, malleated(signature))))
    assert first.accepted
    assert second.code is Decline.TRADE_REPLAYED
    assert first.trade_id == second.trade_id


def test_a_bystander_can_not_submit_what_others_agreed(scene: Scene) -> None:
    receipt = scene.village.one(
        encode(
            scene.village.submit(
                BYSTANDER, scene.genuine, scene.village.signed_by(scene.victim, scene.genuine)
            )
        )
    )
    assert receipt.code is Decline.NOT_A_PARTY
    assert query.score(scene.village.ledger.get, scene.village.ids[BYSTANDER]) == 300_000


def test_a_trade_of_another_community_is_not_this_ones(scene: Scene) -> None:
    village = scene.village
    elsewhere = bytes(32)
    signer = village.signers[scene.victim]
    foreign = sign_contract(signer, elsewhere, scene.genuine, bytes(64), 9, 104)
    assert signed_bytes(foreign, elsewhere) != signed_bytes(foreign, village.chain_id)
    with pytest.raises(InvalidBlockError) as refused:
        village.block(encode(foreign))
    assert refused.value.code == "bad_signature"


def test_an_old_contract_does_not_come_back_after_its_trade_is_forgotten(scene: Scene) -> None:
    village = scene.village
    raw = scene.submitted_by(scene.victim)
    assert village.one(raw).accepted
    while village.ledger.period < scene.genuine.valid_until_period + 2:
        village.next_period()
    with pytest.raises(InvalidBlockError) as refused:
        village.block(raw)
    assert refused.value.code == "transaction_expired"
    fresh = village.one(scene.submitted_by(scene.victim))
    assert fresh.code is Decline.TERMS_EXPIRED
