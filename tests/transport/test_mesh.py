"""TcpMesh over real sockets, on both event loops."""

from __future__ import annotations


async def test_two_meshes_exchange_frames(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    b, at_b = await meshes.start(b"b", tls=authority.identity(b"b"))
    a.set_address(b"b", *b.address)
    await eventually(lambda: at_a.ups and at_b.ups)
    assert a.send(b"b", b"one")
    assert a.send(b"b", b"two")
    assert b.send(b"a", b"three")
    await eventually(lambda: at_a.frames and len(at_b.frames) == 2)
    assert at_b.frames == [(b"a", b"one"), (b"a", b"two")]
    assert at_a.frames == [(b"b", b"three")]
    assert a.connected() == {b"b"}
    assert b.connected() == {b"a"}
