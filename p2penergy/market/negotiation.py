"""How two households come to terms: offer, counter-offer, acceptance, until both signatures are on one set.

Lives here: what the two say to each other, and one household's side of all its negotiations as a pure state
machine. Never here: how words travel (`household.letters`), sending a contract, the rules of a trade
(`ledger.contracts`). Owns the invariants that nobody signs terms it is no party to, that only the
neighbour's last offer can be accepted, and that what neighbours say unasked takes bounded memory. Implements
the bilateral way of LEDGER section 4, step 2.

An offer binds nobody: it is unsigned, reserves nothing and uses up no nonce, so a neighbour who never answers
costs nothing. Accepting is signing; it binds until the offer expires, and whoever made the offer then adds
the second signature by submitting the contract. An offer is named by its trade id.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum

import msgspec
from msgspec.structs import replace

from p2penergy.ledger.transactions import Terms, generate_trade_id
from p2penergy.messages import Digest, SignatureBytes

ROUNDS_MAX = 32
"""Offers and counter-offers on one matter."""
KEPT_PER_NEIGHBOUR_MAX = 64
"""Offers of and to one neighbour, until they expire; answered ones too, so that none comes twice."""
KEPT_MAX = 1_024
"""Offers with all neighbours together; the household's own further ones are refused."""
UNASKED_MAX = 768
"""Of them by neighbours."""
VALID_PERIODS_MAX = 96
"""How long an offer may stand."""


class NegotiationError(Exception):
    """What was asked for can't be done; the sentence says why."""


class _Word(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class Offer(_Word, frozen=True, tag=1, gc=False):
    """Terms that the sender would sign; `replaces` names the offer that they answer or amend."""

    terms: Terms
    replaces: Digest | None = None


class Acceptance(_Word, frozen=True, tag=2, gc=False):
    """The sender's signature on the terms of an offer."""

    offer_id: Digest
    signature: SignatureBytes


class Rejection(_Word, frozen=True, tag=3, gc=False):
    """No to an offer of the other's, or the end of an own one."""

    offer_id: Digest


Word = Offer | Acceptance | Rejection


class Stand(IntEnum):
    """Where an offer stands, as one of the two sees it."""

    MADE = 1
    """By this household; the neighbour's turn."""
    RECEIVED = 2
    """From the neighbour; this household's turn."""
    SIGNED = 3
    """Accepted by this household: the neighbour may conclude it until it expires."""
    AGREED = 4
    """Accepted by the neighbour: this household may conclude it until it expires."""
    REPLACED = 5
    """By another offer of either side."""
    REJECTED = 6
    """By either side."""
    CONCLUDED = 7
    """On the ledger."""


OPEN = frozenset({Stand.MADE, Stand.RECEIVED, Stand.SIGNED, Stand.AGREED})
"""Where something can still become of it."""


class Negotiation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One offer and what became of it."""

    terms: Terms
    stand: Stand
    unasked: bool
    """Whether the neighbour began the matter."""
    round: int = 1
    signature: bytes | None = None
    """The neighbour's, once there is one."""

    def neighbour(self, own: bytes) -> bytes:
        """The other party."""
        return self.terms.buyer if own == self.terms.seller else self.terms.seller


class Negotiations:
    """All offers of one household that have not expired."""

    def __init__(self, own: bytes, chain_id: bytes, kept: Iterable[Negotiation] = ()) -> None:
        self._own = own
        self._chain_id = chain_id
        self._kept = {generate_trade_id(each.terms, chain_id): each for each in kept}

    def __len__(self) -> int:
        return len(self._kept)

    def items(self) -> tuple[tuple[bytes, Negotiation], ...]:
        """Offers with their ids, in the order in which they came."""
        return tuple(self._kept.items())

    def expire(self, period: int) -> None:
        """Forget what can't be concluded any more; `period` is the ledger's."""
        self._kept = {
            key: each for key, each in self._kept.items() if each.terms.valid_until_period >= period
        }

    # ---- what this household says -----------------------------------------------------------------

    def offer(self, terms: Terms, period: int, replaces: bytes | None = None) -> Offer:
        """Make an offer, or answer or amend the one that `replaces` names; raises `NegotiationError`."""
        problem = self._unfit(terms, period)
        if problem is not None:
            raise NegotiationError(problem)
        began, number = False, 1
        if replaces is not None:
            old = self._at(replaces, "answered", Stand.MADE, Stand.RECEIVED)
            if old.neighbour(self._own) != self._other(terms):
                raise NegotiationError("a counter-offer goes to the neighbour who made the offer")
            began, number = old.unasked, old.round + 1
        if number > ROUNDS_MAX:
            raise NegotiationError(f"there were {ROUNDS_MAX} offers on this matter: accept or decline")
        if not self._has_room(self._other(terms), KEPT_MAX):
            raise NegotiationError("too many offers are open: wait until some have expired")
        key = generate_trade_id(terms, self._chain_id)
        if key in self._kept:
            raise NegotiationError("this very offer was made before: give it another number")
        self._replace(replaces)
        self._kept[key] = Negotiation(terms, Stand.MADE, began, number)
        return Offer(terms, replaces)

    def accept(self, offer_id: bytes, sign: Callable[[Terms], bytes]) -> Acceptance:
        """Sign the neighbour's offer, or say again that it is signed; raises `NegotiationError`."""
        found = self._at(offer_id, "accepted", Stand.RECEIVED, Stand.SIGNED)
        self._kept[offer_id] = replace(found, stand=Stand.SIGNED)
        return Acceptance(offer_id, sign(found.terms))

    def reject(self, offer_id: bytes) -> Rejection:
        """Decline the neighbour's offer, or withdraw an own one; raises `NegotiationError`."""
        found = self._at(offer_id, "declined", Stand.RECEIVED, Stand.MADE, Stand.AGREED)
        self._kept[offer_id] = replace(found, stand=Stand.REJECTED)
        return Rejection(offer_id)

    def agreed(self, offer_id: bytes) -> tuple[Terms, bytes]:
        """Terms with the neighbour's signature, to be submitted; raises `NegotiationError`."""
        found = self._at(offer_id, "concluded", Stand.AGREED)
        assert found.signature is not None, "an agreement without a signature"
        return found.terms, found.signature

    def conclude(self, offer_id: bytes) -> None:
        """Note that the trade is on the ledger, whoever submitted it."""
        found = self._kept.get(offer_id)
        if found is not None:
            self._kept[offer_id] = replace(found, stand=Stand.CONCLUDED)

    # ---- what neighbours say ----------------------------------------------------------------------

    def take(
        self, sender: bytes, word: Word, period: int, is_signed: Callable[[Terms, bytes], bool]
    ) -> str | None:
        """Take what a neighbour verifiably said; a code where it changes nothing.

        `is_signed` tells whether a signature on terms is the sender's. Said again, or later than other
        words, nothing changes: letters may come twice and in any order.
        """
        if isinstance(word, Offer):
            return self._take_offer(sender, word, period)
        found = self._kept.get(word.offer_id)
        if found is None or found.neighbour(self._own) != sender:
            return "unknown_offer"
        if found.terms.valid_until_period < period:
            return "expired"
        if isinstance(word, Acceptance):
            if found.stand is not Stand.MADE:
                return "not_open"
            if not is_signed(found.terms, word.signature):
                return "bad_signature"
            self._kept[word.offer_id] = replace(found, stand=Stand.AGREED, signature=word.signature)
        else:
            # What this household has signed stays signed, whatever the neighbour says of it.
            if found.stand not in (Stand.MADE, Stand.RECEIVED):
                return "not_open"
            self._kept[word.offer_id] = replace(found, stand=Stand.REJECTED)
        return None

    def _take_offer(self, sender: bytes, word: Offer, period: int) -> str | None:
        terms, began, number = word.terms, True, 1
        if self._unfit(terms, period) is not None or self._other(terms) != sender:
            return "unfit_offer"
        key = generate_trade_id(terms, self._chain_id)
        if key in self._kept:
            return "known_offer"
        if word.replaces is not None:
            old = self._kept.get(word.replaces)
            if old is None or old.neighbour(self._own) != sender:
                return "unknown_offer"
            if old.stand not in (Stand.MADE, Stand.RECEIVED):
                return "not_open"
            began, number = old.unasked, old.round + 1
        unasked = sum(each.unasked for each in self._kept.values())
        if number > ROUNDS_MAX or not self._has_room(sender, KEPT_MAX) or (began and unasked >= UNASKED_MAX):
            return "too_many_offers"
        self._replace(word.replaces)
        self._kept[key] = Negotiation(terms, Stand.RECEIVED, began, number)
        return None

    # ---- inside -----------------------------------------------------------------------------------

    def _other(self, terms: Terms) -> bytes:
        return terms.buyer if terms.seller == self._own else terms.seller

    def _unfit(self, terms: Terms, period: int) -> str | None:
        """Why these can't be terms of this household now; None: they can."""
        if terms.seller == terms.buyer:
            return "nobody trades with himself: name a neighbour"
        if self._own not in (terms.seller, terms.buyer):
            return "this household is neither seller nor buyer of these terms"
        if terms.period < period:
            return "the period of the offer is over: name the present or a later one"
        if not period <= terms.valid_until_period <= period + VALID_PERIODS_MAX:
            return f"an offer stands for 0 to {VALID_PERIODS_MAX} periods"
        return None

    def _at(self, offer_id: bytes, done: str, *stands: Stand) -> Negotiation:
        found = self._kept.get(offer_id)
        if found is None:
            raise NegotiationError(f"there is no offer {offer_id.hex()}, or it has expired")
        if found.stand not in stands:
            now = found.stand.name.lower()
            raise NegotiationError(f"the offer can't be {done}: it is {now}")
        return found

    def _replace(self, offer_id: bytes | None) -> None:
        if offer_id is not None:
            self._kept[offer_id] = replace(self._kept[offer_id], stand=Stand.REPLACED)

    def _has_room(self, neighbour: bytes, kept_max: int) -> bool:
        with_it = sum(each.neighbour(self._own) == neighbour for each in self._kept.values())
        return with_it < KEPT_PER_NEIGHBOUR_MAX and len(self._kept) < kept_max
