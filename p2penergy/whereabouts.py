"""Where volunteers' nodes listen, told from node to node: newcomers on committees find each other.

Lives here: which signed address is kept, passed on, dialled, and forgotten. Never here: sockets, who is on a
committee, addresses on the ledger (they are none of its business). Owns the invariants that an address is
believed only with its member's signature and gives way only to a newer one of the same member, that each
new one is passed on once, and that settings come before what others say. Committees of members who joined
later need it (CONSENSUS section 9): nobody's settings name them.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from p2penergy.config import ConfigError, parse_address
from p2penergy.messages import ADDRESSES_MAX, Address, Message, Whereabouts, encode
from p2penergy.peers import participant_of
from p2penergy.rate import Allowances
from p2penergy.signing import SIGNATURE_BYTES, SignatureChecker, Signer
from transport import Mesh

ADDRESSES_KNOWN_MAX = 1_024
AHEAD_MS_MAX = 3_600_000
"""How far in the future an address may have been issued: its member could never replace it otherwise."""
FRAMES_PER_S = 2
FRAMES_BURST = 16
"""Of one member: a full frame holds hundreds of signatures, which are checked on the event loop."""


class AddressBook:
    """The addresses that one node knows."""

    def __init__(
        self,
        mesh: Mesh,
        signer: Signer,
        chain_id: bytes,
        checker: SignatureChecker,
        key_of: Callable[[bytes], bytes | None],
        volunteers: Callable[[bytes], bool],
        fixed: Iterable[bytes],
        now_ms: Callable[[], int],
    ) -> None:
        """`key_of` a present member; `volunteers`: whether it offers a role; `fixed`: the settings' peers."""
        self._mesh = mesh
        self._signer = signer
        self._chain_id = chain_id
        self._checker = checker
        self._key_of = key_of
        self._volunteers = volunteers
        self._fixed = frozenset(fixed) | {signer.participant_id}
        self._now_ms = now_ms
        self._allowances = Allowances(FRAMES_PER_S, FRAMES_BURST)
        self._known: dict[bytes, Address] = {}
        self._dialled: set[bytes] = set()
        self._told: set[bytes] = set()
        """Linked nodes that were told all that was known."""
        self.refused: Counter[str] = Counter()

    def announce(self, address: str) -> None:
        """Tell everybody from now on that this node listens there (HOST:PORT)."""
        draft = Address(self._signer.participant_id, address, self._now_ms(), bytes(SIGNATURE_BYTES))
        signed = msgspec.structs.replace(
            draft, signature=self._signer.sign(draft.signed_bytes(self._chain_id))
        )
        self._known[signed.participant_id] = signed

    def on_peer_up(self, peer: bytes) -> None:
        """Tell a volunteer's node all addresses that are known here."""
        if participant_of(peer) != peer or not self._volunteers(peer):
            return
        self._told.add(peer)
        known = [self._known[who] for who in sorted(self._known)]
        for start in range(0, len(known), ADDRESSES_MAX):
            self._mesh.send(peer, encode(Whereabouts(tuple(known[start : start + ADDRESSES_MAX]))))

    def on_peer_down(self, peer: bytes) -> None:
        """It may have forgotten all when it comes again."""
        self._told.discard(peer)

    def on_whereabouts(self, peer: bytes, message: Message) -> None:
        """Take what is new, dial it, and pass it on."""
        assert isinstance(message, Whereabouts)
        if not self._allowances.take(participant_of(peer), self._now_ms()):
            self.refused["address_rate"] += 1
            return
        new = tuple(address for address in message.addresses if self._take(address))
        if new:
            self._mesh.broadcast(sorted(self._told - {peer}), encode(Whereabouts(new)))
            self.look_again()

    def look_again(self) -> None:
        """Dial and tell who volunteers now, and no more who does not: roles and members have changed."""
        for who in sorted(self._dialled):
            if not self._volunteers(who):
                self._dialled.discard(who)
                self._mesh.forget(who)
        for who, address in sorted(self._known.items()):
            if who not in self._fixed and self._volunteers(who):
                self._dialled.add(who)
                self._mesh.set_address(who, *parse_address(address.address))
        for peer in sorted(self._mesh.connected() - self._told):
            self.on_peer_up(peer)

    def _take(self, address: Address) -> bool:
        """Whether this is a member's word that was not known."""
        who = address.participant_id
        known, key = self._known.get(who), self._key_of(who)
        if who == self._signer.participant_id or (known is not None and known.issued_ms >= address.issued_ms):
            return False
        code = self._fault(address, key)
        if code:
            self.refused[f"address_{code}"] += 1
            return False
        if known is None and len(self._known) >= ADDRESSES_KNOWN_MAX and not self._make_room():
            self.refused["address_full"] += 1
            return False
        self._known[who] = address
        return True

    def _fault(self, address: Address, key: bytes | None) -> str:
        if key is None:
            return "not_a_member"
        if address.issued_ms > self._now_ms() + AHEAD_MS_MAX:
            return "from_the_future"
        try:
            _, port = parse_address(address.address)
        except ConfigError:
            return "malformed"
        if not port:
            return "malformed"
        signed = address.signed_bytes(self._chain_id)
        return "" if self._checker.check(key, signed, address.signature) else "bad_signature"

    def _make_room(self) -> bool:
        """Forget somebody who offers no role; False where all do."""
        idle = (who for who in sorted(self._known) if not self._volunteers(who))
        gone = next((who for who in idle if who != self._signer.participant_id), None)
        if gone is None:
            return False
        del self._known[gone]
        return True
