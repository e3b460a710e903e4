"""Moves bytes between named peers: frames over TCP and TLS 1.3, faults, and a mesh in memory.

Knows nothing of consensus or energy, and imports nothing of `p2penergy`. Read `ports` first, then
`mesh`, `link` and `framing`; `faults` and `memory` are for tests, benches and simulations.
"""

from transport.clock import Clock, LoopClock, VirtualClock
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
    RunawayClock,
    TlsIdentityError,
    TlsRefused,
    TooManyPeers,
    TransportError,
)
from transport.faults import FaultPlan, FaultyMesh, LinkFaults
from transport.framing import FrameDecoder, encode_frame
from transport.limits import Limits
from transport.memory import MemoryMesh, MemoryNetwork, run_now
from transport.mesh import TcpMesh
from transport.ports import Mesh, MeshHandler, PeerName
from transport.tls import TlsIdentity

__all__ = [
    "AddressInUse",
    "Clock",
    "FaultPlan",
    "FaultyMesh",
    "FrameDecoder",
    "FrameRefused",
    "FrameTooLong",
    "HelloRefused",
    "Limits",
    "LinkDropped",
    "LinkFaults",
    "ListenError",
    "LocalFault",
    "LoopClock",
    "MemoryMesh",
    "MemoryNetwork",
    "Mesh",
    "MeshHandler",
    "NotListening",
    "PeerFault",
    "PeerName",
    "RunawayClock",
    "TcpMesh",
    "TlsIdentity",
    "TlsIdentityError",
    "TlsRefused",
    "TooManyPeers",
    "TransportError",
    "VirtualClock",
    "encode_frame",
    "run_now",
]
