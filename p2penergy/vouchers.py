"""Whose word a client has for which block's receipts, and what it has made of them (pure).

Lives here: counting the members that signed for one receipts root, and remembering what was handed out
under it. Never here: signatures, Merkle proofs, who waits for what (`client`). Owns the bounds of both.
Implements the first half of CONSENSUS section 8.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from p2penergy.messages import Reply

SIGNED_MAX = 4_096
"""Blocks that one member vouches for and too few others yet; each member's oldest is forgotten first,
so that a liar can't push out what the others say."""
HANDED_OUT_MAX = 110_000
"""Receipts handed out under the blocks that are remembered, so that late replies are no second notice."""


class Signed(NamedTuple):
    """What a REPLY's signature says of a block: which receipts it has, all of them and no others."""

    height: int
    digest: bytes
    receipts_root: bytes
    receipts_count: int

    @classmethod
    def of(cls, reply: Reply) -> "Signed":
        """What this one says, once its signature was checked."""
        return cls(reply.height, reply.digest, reply.receipts_root, reply.receipts_count)


class Believed:
    """A block for whose receipts enough members vouch, and which of them were handed out."""

    def __init__(self) -> None:
        self.handed_out: set[int] = set()
        self.told: dict[bytes, Sequence[bytes]] = {}
        """The transactions of each list of receipts that was handed out, by the list's name."""


class Vouchers:
    """Counts members, each once for a block."""

    def __init__(self) -> None:
        self._signed: dict[bytes, OrderedDict[Signed, None]] = {}
        self._believed: OrderedDict[Signed, Believed] = OrderedDict()
        self._handed_out = 0

    def believed(self, signed: Signed) -> Believed | None:
        """What is known of a block that enough members have vouched for."""
        return self._believed.get(signed)

    def would_do(self, signed: Signed, sender: bytes, members: Collection[bytes], needed: int) -> bool:
        """Whether `sender` makes them `needed` members; if not, its word is remembered."""
        others = sum(
            signed in theirs
            for member, theirs in self._signed.items()
            if member != sender and member in members
        )
        if others + (sender in members) >= needed:
            return True
        mine = self._signed.setdefault(sender, OrderedDict())
        mine[signed] = None
        if len(mine) > SIGNED_MAX:
            mine.popitem(last=False)
        return False

    def believe(self, signed: Signed) -> Believed:
        """Enough members have vouched."""
        for theirs in self._signed.values():
            theirs.pop(signed, None)
        believed = self._believed[signed] = Believed()
        return believed

    def handed_out(
        self, believed: Believed, name: bytes, indices: Sequence[int], ids: Sequence[bytes]
    ) -> None:
        """Remember the receipts of a list, with the ids of their transactions; none twice."""
        known = len(believed.handed_out)
        believed.handed_out.update(indices)
        news = len(believed.handed_out) - known
        if not news:
            return
        believed.told[name] = ids
        self._handed_out += news
        while self._handed_out > HANDED_OUT_MAX and len(self._believed) > 1:
            _, oldest = self._believed.popitem(last=False)
            self._handed_out -= len(oldest.handed_out)
