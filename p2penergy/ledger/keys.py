"""Names of the entries of the state.

Lives here: how a key is made and shown to people. Never here: values (`records`). Owns the invariant
that two different things never have one key: each kind has a prefix of its own, and what follows it
has a fixed length. Implements the keys of LEDGER section 3.
"""

ENERGY = b"energy/"
WALLET = b"wallet/"
MEMBER = b"member/"
SCORE = b"q/"
PERIOD = b"period/"
PACKET = b"packet/"
BILL = b"bill/"
CONTRACT = b"contract/"
ESCROW = b"escrow/"
DEFAULT = b"default/"
STANDING = b"standing/"
PROMISE = b"promise/"
ORDER = b"order/"
MARKET = b"market/"
NONCE = b"nonce/"
EVIDENCE = b"evidence/"
PROVEN = b"proven/"
BEACON = b"beacon/"
BEACON_MIX = b"beacon/mix/"
NEXT_CHAIN = b"beacon/next/"
GONE = b"gone/"
POOL = b"pool/"
STAKE = b"stake/"
METER = b"meter/"
KEY = b"key/"
REVOKED = b"revoked/"
ASKED = b"asked/"
TIP = b"chain/tip"
TOTALS = b"chain/totals"
VERIFICATIONS = b"chain/verifications"
_WHOLE = (TIP, TOTALS, VERIFICATIONS)

_ID_BYTES = 20
_NUMBERED = (PERIOD, PACKET, BILL, NONCE, PROMISE)
_PLAIN = {
    ENERGY: 20,
    WALLET: 20,
    MEMBER: 20,
    SCORE: 20,
    STANDING: 20,
    PROVEN: 20,
    BEACON: 20,
    GONE: 20,
    POOL: 20,
    STAKE: 20,
    METER: 32,
    KEY: 33,
    REVOKED: 33,
    ASKED: 32,
    CONTRACT: 32,
    ESCROW: 32,
    DEFAULT: 32,
}
"""Prefix -> bytes of the id after it."""
_EVIDENCE_BYTES = len(EVIDENCE) + _ID_BYTES + len(b"/1/") + 16


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def energy(participant_id: bytes) -> bytes:
    """Energy tokens held, Wh."""
    return ENERGY + participant_id


def wallet(participant_id: bytes) -> bytes:
    """Money held, billionths of the currency."""
    return WALLET + participant_id


def member(participant_id: bytes) -> bytes:
    """Registered key, roles, rated power."""
    return MEMBER + participant_id


def score(participant_id: bytes) -> bytes:
    """Standing, ppm."""
    return SCORE + participant_id


def period(meter: bytes, number: int) -> bytes:
    """A meter's reading of a period, and what was bought on it; gone once settled."""
    return PERIOD + meter + b"/" + _number(number)


def meter_of(period_key: bytes) -> bytes:
    """The meter in a key made by `period`."""
    return period_key[len(PERIOD) : len(PERIOD) + _ID_BYTES]


def packet(owner: bytes, number: int) -> bytes:
    """The Energy packet that a period's export minted; gone once settled."""
    return PACKET + owner + b"/" + _number(number)


def bill(participant_id: bytes, number: int) -> bytes:
    """A settled period's three lines; in the current state for a transaction's life."""
    return BILL + participant_id + b"/" + _number(number)


def contract(trade_id: bytes) -> bytes:
    """An executed trade; in the current state until its terms expire."""
    return CONTRACT + trade_id


def escrow(trade_id: bytes) -> bytes:
    """A contract whose period is to come; gone once that is settled."""
    return ESCROW + trade_id


def trade_of(escrow_key: bytes) -> bytes:
    """The trade in a key made by `escrow`."""
    return escrow_key[len(ESCROW) :]


def default(trade_id: bytes) -> bytes:
    """A declined trade that has cost a score; in the current state until its terms expire."""
    return DEFAULT + trade_id


def standing(participant_id: bytes) -> bytes:
    """What the next change of a score must know of the past."""
    return STANDING + participant_id


def promise(participant_id: bytes, number: int) -> bytes:
    """Energy of a period that is under contract; gone once settled."""
    return PROMISE + participant_id + b"/" + _number(number)


def order(participant_id: bytes, number: int, place: int) -> bytes:
    """An order for a period; in the current state until a transaction's life after it."""
    return ORDER + participant_id + b"/" + _number(number) + b"/" + bytes([place])


def order_of(order_key: bytes) -> tuple[bytes, int, int]:
    """Participant, period and place in a key made by `order`."""
    rest = order_key[len(ORDER) :]
    return rest[:_ID_BYTES], int.from_bytes(rest[_ID_BYTES + 1 : _ID_BYTES + 9], "big"), rest[-1]


def market(number: int) -> bytes:
    """Price and volume of a period's auction; in the current state for a transaction's life."""
    return MARKET + _number(number)


def nonce(submitter: bytes, number: int) -> bytes:
    """An answered (submitter, nonce); in the current state until the transaction expires."""
    return NONCE + submitter + b"/" + _number(number)


def evidence(accused: bytes, kind: int, height: int, view: int) -> bytes:
    """A proven equivocation; stays for ever."""
    return EVIDENCE + accused + b"/%d/" % kind + _number(height) + _number(view)


def proven(participant_id: bytes) -> bytes:
    """How many equivocations of a member are recorded; none for all correct ones."""
    return PROVEN + participant_id


def beacon_tip(participant_id: bytes) -> bytes:
    """The link whose preimage the member reveals next."""
    return BEACON + participant_id


def next_chain(participant_id: bytes) -> bytes:
    """The hash chain that takes the present one's place; gone once its first link was revealed."""
    return NEXT_CHAIN + participant_id


def gone(participant_id: bytes) -> bytes:
    """Who was a member once, and is none now."""
    return GONE + participant_id


def pool(participant_id: bytes) -> bytes:
    """Since when a volunteer is eligible for which committee; only of who ever volunteered."""
    return POOL + participant_id


def stake(newcomer: bytes) -> bytes:
    """What verifiers staked on a newcomer; gone once it is settled."""
    return STAKE + newcomer


def meter(pseudonym: bytes) -> bytes:
    """Who joined with a meter last."""
    return METER + pseudonym


def key(public_key: bytes) -> bytes:
    """Who registered a public key; stays when its owner renews it or leaves."""
    return KEY + public_key


def revoked(public_key: bytes) -> bytes:
    """The height at which the authority revoked a key; stays for ever."""
    return REVOKED + public_key


def asked(digest: bytes) -> bytes:
    """An answered request to join or to renew, by what it asks; in the current state until it expires."""
    return ASKED + digest


def beacon_mix(height: int) -> bytes:
    """R_height."""
    return BEACON_MIX + _number(height)


def text(key: bytes) -> str:
    """A key as people read it, such as `period/<hex>/1648123`."""
    if key.startswith(BEACON_MIX) and len(key) == len(BEACON_MIX) + 8:
        return f"beacon/mix/{int.from_bytes(key[-8:], 'big')}"
    if key.startswith(NEXT_CHAIN) and len(key) == len(NEXT_CHAIN) + _ID_BYTES:
        return f"beacon/next/{key[-_ID_BYTES:].hex()}"
    if key.startswith(MARKET):
        return f"market/{int.from_bytes(key[-8:], 'big')}"
    if key.startswith(ORDER):
        participant_id, number, place = order_of(key)
        return f"order/{participant_id.hex()}/{number}/{place}"
    if key in _WHOLE:
        return key.decode()
    prefix, _, rest = key.partition(b"/")
    if key.startswith(EVIDENCE) and len(key) == _EVIDENCE_BYTES:
        kind = chr(rest[_ID_BYTES + 1])
        height, view = (int.from_bytes(number, "big") for number in (rest[-16:-8], rest[-8:]))
        return f"evidence/{rest[:_ID_BYTES].hex()}/{kind}/{height}/{view}"
    if key.startswith(_NUMBERED):
        return f"{prefix.decode()}/{rest[:_ID_BYTES].hex()}/{int.from_bytes(rest[-8:], 'big')}"
    return f"{prefix.decode()}/{rest.hex()}"


def parse_text(shown: str) -> bytes:
    """The key that `text` shows as `shown`.

    Raises:
        ValueError: no key is shown like that.
    """
    if shown.encode() in _WHOLE:
        return shown.encode()
    parts = shown.split("/")
    prefix = parts[0].encode() + b"/"
    key = None
    try:
        if shown.startswith("beacon/mix/") and len(parts) == 3:
            key = beacon_mix(int(parts[2]))
        elif shown.startswith("beacon/next/") and len(parts) == 3 and len(parts[2]) == 2 * _ID_BYTES:
            key = next_chain(bytes.fromhex(parts[2]))
        elif prefix == EVIDENCE and len(parts) == 5 and len(parts[1]) == 2 * _ID_BYTES:
            key = evidence(bytes.fromhex(parts[1]), *(int(number) for number in parts[2:]))
        elif prefix == MARKET and len(parts) == 2:
            key = market(int(parts[1]))
        elif prefix == ORDER and len(parts) == 4 and len(parts[1]) == 2 * _ID_BYTES:
            key = order(bytes.fromhex(parts[1]), int(parts[2]), int(parts[3]))
        elif prefix in _NUMBERED and len(parts) == 3 and len(parts[1]) == 2 * _ID_BYTES:
            key = prefix + bytes.fromhex(parts[1]) + b"/" + _number(int(parts[2]))
        elif prefix in _PLAIN and len(parts) == 2 and len(parts[1]) == 2 * _PLAIN[prefix]:
            key = prefix + bytes.fromhex(parts[1])
    except (ValueError, OverflowError):
        key = None
    # Digits with blanks or in capitals would be read, but are not how the key is shown.
    if key is None or text(key) != shown:
        raise ValueError(f"{shown!r} is not a key such as wallet/<40 hex digits>")
    return key
