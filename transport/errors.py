"""The exception tree of the transport layer, drawn once.

Lives here: every exception this package raises on purpose. Never here: handling of them.
Invariant: what a peer did wrong and what we did wrong never share a class. A peer's fault has a
`code` that is counted (`refused_<code>`) and ends that peer's link only; it never reaches the
layer above as an exception. Our own faults do, with a sentence for the person who can mend them.

    TransportError
    +-- PeerFault             code            the peer broke the rules: counted, link closed
    |   +-- FrameRefused      oversize, not_bin, non_minimal, garbage, truncated
    |   +-- HelloRefused      hello_malformed, hello_oversize, wrong_protocol, wrong_network,
    |   |                     wrong_name, unknown_peer, self_dial
    |   +-- TlsRefused        tls_no_certificate, tls_certificate, tls_handshake
    |   +-- LinkDropped       stalled, idle, handshake_timeout, unreachable
    +-- LocalFault                            our configuration or use is wrong: raised
        +-- ListenError                       the address cannot be listened on
        |   +-- AddressInUse                  ... because another program does
        +-- NotListening                      `address` of a mesh that accepts nobody
        +-- TlsIdentityError                  certificate, key or authority cannot be used
        +-- TooManyPeers                      `set_address` beyond `dialled_peers_max`
        +-- FrameTooLong                      `send` of more than `frame_bytes_max`
        +-- RunawayClock                      a virtual clock whose events never end
"""

from __future__ import annotations


class TransportError(Exception):
    """Root of the tree."""


class PeerFault(TransportError):  # noqa: N818
    """A peer broke a rule. `code` is one lower-case word to count, the text is for the log."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class FrameRefused(PeerFault):
    """The byte stream is not a sequence of admissible frames."""


class HelloRefused(PeerFault):
    """The peer is not one that we talk to, or does not say so properly."""


class TlsRefused(PeerFault):
    """The TLS handshake failed, at whichever side noticed."""


class LinkDropped(PeerFault):
    """The peer was too slow, silent, or could not be reached."""


class LocalFault(TransportError):  # noqa: N818
    """Our own configuration or use of the package is wrong."""


class ListenError(LocalFault):
    """The address cannot be listened on."""


class AddressInUse(ListenError):  # noqa: N818
    """Another socket listens on the address already."""


class NotListening(LocalFault):
    """The mesh accepts no connections, so it has no address."""


class TlsIdentityError(LocalFault):
    """A certificate, key or authority is missing, malformed or does not fit."""


class TooManyPeers(LocalFault):
    """More peers were given to dial than the limit allows."""


class FrameTooLong(LocalFault):
    """A payload to send is longer than one frame may be."""


class RunawayClock(LocalFault):
    """Events on a virtual clock keep scheduling more of themselves."""
