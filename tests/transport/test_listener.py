"""Accepting: caps on connections, addresses that cannot be listened on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

import pytest

from transport import AddressInUse, Limits, ListenError
from transport.listener import Admission, accept_forever, open_listener
from transport.tasks import TaskSet


def test_places_are_counted_and_given_back():
    limits = Limits(
        inbound_links_max=5,
        links_per_host_max=3,
        handshaking_links_max=3,
        handshaking_links_per_host_max=2,
    )
    admission = Admission(limits)
    with contextlib.ExitStack() as places:
        for _ in range(2):
            places.enter_context(admission.handshake("a"))
        assert admission.refusal("a") == "handshaking_host_full"
        assert admission.refusal("b") is None
        places.enter_context(admission.handshake("b"))
        assert admission.refusal("c") == "handshaking_full"
    assert admission.refusal("a") is None
    with contextlib.ExitStack() as places:
        for _ in range(3):
            places.enter_context(admission.connection("a"))
        assert admission.refusal("a") == "host_full"
        assert admission.refusal("b") is None
        for host in "bc":
            places.enter_context(admission.connection(host))
        assert admission.refusal("d") == "inbound_full"
    assert admission.refusal("a") is None
    assert not admission._of_host and not admission._handshaking_of_host


def test_an_address_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(AddressInUse, match=f"{host}:{port} is in use: another program"):
            open_listener((host, port), Limits())


def test_an_address_that_is_not_ours():
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0 cannot be listened on") as error:
        open_listener(("192.0.2.1", 0), Limits())
    assert not isinstance(error.value, AddressInUse)


def test_a_bound_socket_is_taken_as_it_is():
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    with open_listener(bound, Limits()) as listener:
        assert listener is bound
        socket.create_connection(bound.getsockname()).close()


async def test_a_failing_accept_does_not_end_the_loop(monkeypatch, eventually):
    loop = asyncio.get_running_loop()
    counted, served = [], []

    accept, failures = loop.sock_accept, [OSError(errno.EMFILE, "Too many open files")] * 2

    async def flaky_accept(listener):
        if failures:
            raise failures.pop()
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", flaky_accept)
    limits = Limits(accept_pause_ms=1)
    servants = TaskSet()

    async def serve(sock, host):
        served.append(host)
        sock.close()

    with open_listener(("127.0.0.1", 0), limits) as listener:
        coroutine = accept_forever(
            listener,
            admission=Admission(limits),
            limits=limits,
            serve=serve,
            count=counted.append,
            tasks=servants,
        )
        accepting = loop.create_task(coroutine)
        with socket.create_connection(listener.getsockname()):
            await eventually(lambda: served)
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
    assert counted == ["accept_failed"] * 2
    assert served == ["127.0.0.1"]
    assert not len(servants)


async def test_a_connection_that_nobody_took_over_is_closed(eventually):
    limits = Limits()
    servants, served = TaskSet(), []

    class Idle:
        """Tasks that are cancelled before their first step."""

        def spawn(self, coroutine):
            coroutine.close()
            served.append(1)

    with open_listener(("127.0.0.1", 0), limits) as listener:
        accepting = asyncio.create_task(
            accept_forever(
                listener,
                admission=Admission(limits),
                limits=limits,
                serve=None,
                count=lambda code: None,
                tasks=Idle(),
            )
        )
        with socket.create_connection(listener.getsockname()) as client:
            client.setblocking(False)
            await eventually(lambda: served)
            accepting.cancel()
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
    assert not len(servants)
