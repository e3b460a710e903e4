"""Every limit of the transport layer, in one place.

Lives here: the one frozen `Limits` value that a mesh and its links are built with.
Never here: logic. A queue, buffer, map or wait of this package that has no field here is a bug.
Invariant: limits that only make sense together (water marks, back-off) are checked when the
value is made, so that nothing below needs to doubt them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits of a mesh. The unit is the last word of each name.

    Raises ValueError when a limit is below one or two limits contradict each other.
    """

    # -- frames ---------------------------------------------------------------------------------
    frame_bytes_max: int = 4 * MIB
    """Longest payload of one frame, either way."""
    hello_bytes_max: int = 512
    """Longest HELLO payload: all that a stranger can make us hold."""
    name_bytes_max: int = 64
    """Longest peer name and longest network identifier."""
    protocol_chars_max: int = 64
    """Longest protocol string of a HELLO."""

    # -- one link -------------------------------------------------------------------------------
    outbound_bytes_max: int = 32 * MIB
    """Bytes queued for one device, on all its links together, before `send` answers False."""
    write_batch_bytes: int = 256 * KIB
    """Frames are joined up to about this many bytes for one write."""
    write_high_water_bytes: int = 512 * KIB
    """The socket's buffer above which no more is handed to it."""
    write_low_water_bytes: int = 128 * KIB
    """The socket's buffer below which it is filled again."""
    stall_ms_max: int = 5_000
    """How long a device's queues may stay more than half full after they overflowed."""
    handshake_ms_max: int = 10_000
    """From the first byte of a connection to both HELLOs, TLS included."""
    idle_ms_max: int = 30_000
    """A peer silent for so long is gone; a ping goes out every third of it."""
    close_ms_max: int = 1_000
    """How long a closing link may flush before it is cut."""

    # -- one mesh -------------------------------------------------------------------------------
    inbound_links_max: int = 4_096
    """Accepted connections held at once, handshaking ones included."""
    links_per_host_max: int = 1_024
    """Accepted connections held at once from one address."""
    links_per_device_max: int = 16
    """Accepted links held at once by one certificate's device, whatever labels it gives them: each may have
    a frame that is not complete, and a transport's buffer."""
    handshaking_links_max: int = 256
    """Accepted connections that have not said who they are yet."""
    handshaking_links_per_host_max: int = 128
    """The same from one address, so that one slow host cannot shut the others out."""
    listen_backlog: int = 512
    """Connections the kernel holds before they are accepted."""
    accept_pause_ms: int = 100
    """Rest after a failing accept, such as one that ran out of file descriptors."""
    dialled_peers_max: int = 4_096
    """Peers that `set_address` may name at once."""
    dial_backoff_ms_min: int = 100
    """The first wait between two dials."""
    dial_backoff_ms_max: int = 10_000
    """The longest wait between two dials."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} must be at least 1: {getattr(self, field.name)}")
        for smaller, larger in (
            ("write_low_water_bytes", "write_high_water_bytes"),
            ("hello_bytes_max", "frame_bytes_max"),
            ("dial_backoff_ms_min", "dial_backoff_ms_max"),
        ):
            if getattr(self, smaller) > getattr(self, larger):
                raise ValueError(
                    f"{smaller} ({getattr(self, smaller)}) must not exceed {larger} ({getattr(self, larger)})"
                )
        if self.outbound_bytes_max < self.frame_bytes_max + FRAME_HEADER_BYTES_MAX:
            raise ValueError(
                f"outbound_bytes_max ({self.outbound_bytes_max}) must hold at least one frame "
                f"of frame_bytes_max ({self.frame_bytes_max}) and its header"
            )


FRAME_HEADER_BYTES_MAX = 5
"""A msgpack `bin 32` header: a property of the format, hence no field of `Limits`."""
