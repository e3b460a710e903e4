"""Moves bytes between named peers: frames over TCP and TLS 1.3, faults, and a mesh in memory.

Knows nothing of consensus or energy, and imports nothing of `p2penergy`. Read `ports` first, then
`mesh`, `link` and `framing`; `faults` and `memory` are for tests, benches and simulations.
"""

from transport.errors import (
    AddressInUse,
    FrameRefused,
    FrameTooLong,
    HelloRefused,
    LinkDropped,
    ListenError,
    LocalFault,
    NotListening,
    PeerFault,
    TlsIdentityError,
    TlsRefused,
    TooManyPeers,
    TransportError,
)
from transport.framing import FrameDecoder, encode_frame
from transport.limits import Limits
from transport.mesh import TcpMesh
from transport.ports import Mesh, MeshHandler, PeerName
from transport.tls import TlsIdentity

__all__ = [
    "AddressInUse",
    "FrameDecoder",
    "FrameRefused",
    "FrameTooLong",
    "HelloRefused",
    "Limits",
    "LinkDropped",
    "ListenError",
    "LocalFault",
    "Mesh",
    "MeshHandler",
    "NotListening",
    "PeerFault",
    "PeerName",
    "TcpMesh",
    "TlsIdentity",
    "TlsIdentityError",
    "TlsRefused",
    "TooManyPeers",
    "TransportError",
    "encode_frame",
]
