"""Whose links a node keeps: the community's certificates, and the registry's word on top.

Lives here: the name that a good certificate gets at this moment, and when all links are judged again. Never
here: what a peer may send (`inbox`), the checks of a certificate (`membership`). Owns the invariants that a
member is called by its id only with a certificate of the key that the ledger holds, that a key which the
ledger revoked opens no link, and that a link whose certificate is not believed any more ends within
`RECHECK_S`. Implements LEDGER section 2: revoked members are gone without anybody restarting.
"""

import asyncio
from collections.abc import Callable

from p2penergy.membership.certificates import VerifiedDevice
from p2penergy.membership.revocations import RevocationFile
from p2penergy.peers import guest_of
from transport import Mesh

WATCH_S = 1.0
"""How often the revocation list's file is looked at."""
RECHECK_S = 60
"""Certificates expire while links are up."""


class Sessions:
    """Judges the links of one node's mesh; runs on one event loop."""

    def __init__(
        self,
        mesh: Mesh,
        revocations: RevocationFile,
        key_of: Callable[[bytes], bytes | None],
        is_barred: Callable[[bytes, bytes], bool],
    ) -> None:
        """`key_of`: a present member's key; `is_barred`: whether (id, key) was revoked or expelled."""
        self._mesh = mesh
        self._revocations = revocations
        self._key_of = key_of
        self._is_barred = is_barred
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rechecked_s = self._loop.time()

    def name_of(self, device: VerifiedDevice) -> bytes | None:
        """What a peer with this certificate is called; None: no link with it."""
        who = device.participant_id
        if self._is_barred(who, device.public_key):
            return None
        registered = self._key_of(who)
        return who if registered in (None, device.public_key) else guest_of(who)

    def start(self) -> None:
        """Begin watching."""
        self._timer = self._loop.call_later(WATCH_S, self._watch)

    def stop(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()

    def recheck(self) -> None:
        """Judge every link now: the registry, or the revocation list, has changed."""
        self._rechecked_s = self._loop.time()
        self._mesh.recheck()

    def _watch(self) -> None:
        self._timer = self._loop.call_later(WATCH_S, self._watch)
        if self._revocations.changed() or self._loop.time() - self._rechecked_s >= RECHECK_S:
            self.recheck()
