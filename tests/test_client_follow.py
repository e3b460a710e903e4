"""A client brings its committees up to date by what nodes prove, past those that lie or are mute."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_network import FakeMesh
from light_samples import EVERYBODY, SampleChain

from p2penergy import client as module
from p2penergy.client import Client, ClientError
from p2penergy.messages import (
    Answer,
    CommitteesRequest,
    CommitteesResponse,
    HeadersRequest,
    HeadersResponse,
    Query,
    encode,
)
from p2penergy.questions import TIP
from p2penergy.signing import EcdsaChecker

FIRST, OTHERS = EVERYBODY[:4], EVERYBODY[3:7]


class Telling(FakeMesh):
    """A mesh whose peers answer at once, each by a chain of its own; None: it is mute."""

    def __init__(self, chains: dict[bytes, SampleChain | None]) -> None:
        super().__init__(chains)
        self.chains = chains
        self.lies: set[bytes] = set()
        self.secretive: set[bytes] = set()
        """They keep to themselves who the committees are."""
        self.stuck: set[bytes] = set()
        """They tell their height, and nothing else."""

    def send(self, peer: bytes, payload: bytes) -> bool:
        if not super().send(peer, payload):
            return False
        chain, (_, message) = self.chains[peer], self.sent[-1]
        answer: Any = None
        if chain is None:
            return True
        if isinstance(message, Query) and message.topic == TIP:
            answer = Answer(message.number, True, str(chain.length).encode())
        elif isinstance(message, HeadersRequest | CommitteesRequest):
            if peer in self.stuck:
                return True
            if peer in self.secretive and isinstance(message, CommitteesRequest):
                answer = CommitteesResponse(())
            else:
                answer = HeadersResponse(()) if peer in self.lies else chain.answer(message)
        asyncio.get_running_loop().call_soon(self.deliver, peer, answer)
        return True


def client_of(chain: SampleChain, mesh: Telling) -> Client:
    client = Client(mesh, chain.genesis, EcdsaChecker(), lambda receipt: receipt)
    mesh.handler = client
    return client


async def test_it_learns_who_validates_now_from_one_honest_node() -> None:
    chain = SampleChain([FIRST] * 20 + [OTHERS], 60)
    mesh = Telling({FIRST[0]: chain})
    client = client_of(chain, mesh)
    assert tuple(client.validators) == FIRST
    await client.follow()
    assert tuple(client.validators) == OTHERS
    assert client.light.height == 60


async def test_a_node_that_promises_more_than_it_proves_is_passed_over() -> None:
    chain = SampleChain([FIRST] * 20 + [OTHERS], 60)
    far = SampleChain([FIRST], 500)
    mesh = Telling({FIRST[0]: far, FIRST[1]: chain})
    mesh.lies = {FIRST[0]}
    client = client_of(chain, mesh)
    await client.follow()
    assert client.light.height == 60


async def test_a_height_that_is_no_number_is_passed_over() -> None:
    chain = SampleChain([FIRST], 60)
    absurd = SampleChain([FIRST], 10**40)
    client = client_of(chain, Telling({FIRST[0]: absurd, FIRST[1]: chain}))
    await client.follow()
    assert client.light.height == 60
    with pytest.raises(ClientError, match="is no number"):
        await client_of(chain, Telling({FIRST[0]: absurd})).follow()


async def test_nobody_or_only_liars_is_said() -> None:
    chain = SampleChain([FIRST], 60)
    alone = client_of(chain, Telling({}))
    with pytest.raises(ClientError, match="nobody is connected"):
        await alone.follow()
    mesh = Telling({FIRST[0]: chain})
    mesh.lies = {FIRST[0]}
    with pytest.raises(ClientError, match="does not tell block 60"):
        await client_of(chain, mesh).follow()


async def test_a_mute_node_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S_MAX", 0.01)
    chain = SampleChain([FIRST], 60)
    client = client_of(chain, Telling({FIRST[0]: None}))
    with pytest.raises(ClientError, match="does not tell its headers"):
        await client.follow_to(FIRST[0], 60)


async def test_a_lost_link_and_a_stop_end_the_question() -> None:
    chain = SampleChain([FIRST], 60)
    mesh = Telling({FIRST[0]: None, FIRST[1]: None})
    client = client_of(chain, mesh)
    lost = asyncio.ensure_future(client.follow_to(FIRST[0], 60))
    await asyncio.sleep(0)
    mesh.drop(FIRST[0])
    with pytest.raises(ClientError, match="was lost"):
        await lost
    with pytest.raises(ClientError, match="no connection"):
        await client.follow_to(FIRST[0], 60)
    ended = asyncio.ensure_future(client.follow_to(FIRST[1], 60))
    await asyncio.sleep(0)
    await client.stop()
    with pytest.raises((ClientError, asyncio.CancelledError)):
        await ended
    assert encode(HeadersRequest(60, 1)) == encode(mesh.sent[0][1])


async def test_one_mute_node_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of them it is, and whether it is mute from the start or once it has told its height."""
    monkeypatch.setattr(module, "STRAGGLERS_S", 0.001)
    monkeypatch.setattr(module, "NEXT_LEADER_S", 0.001)
    chain = SampleChain([FIRST] * 20 + [OTHERS], 60)
    for bad in FIRST:
        for stuck in (True, False):
            mesh = Telling(dict.fromkeys(FIRST, chain) | ({} if stuck else {bad: None}))
            mesh.stuck = {bad} if stuck else set()
            client = client_of(chain, mesh)
            async with asyncio.timeout(module.ASK_S_MAX / 2):
                await client.follow()
            assert tuple(client.validators) == OTHERS
            assert client._queries == client._told == {}


async def test_whoever_claims_the_most_does_not_keep_the_committees_to_itself() -> None:
    # The newest header names others for the first time.
    chain = SampleChain([FIRST] * 60 + [OTHERS], 60)
    for bad in FIRST:
        mesh = Telling(dict.fromkeys(FIRST, chain))
        mesh.secretive = {bad}
        client = client_of(chain, mesh)
        await client.follow()
        assert tuple(client.validators) == OTHERS
        assert client.light.knows_committees()


async def test_what_need_not_be_believed_is_asked_of_the_next_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S_MAX", 0.01)
    chain = SampleChain([FIRST], 60)
    mesh = Telling({FIRST[0]: None, FIRST[1]: chain, FIRST[2]: None, FIRST[3]: None})
    assert await client_of(chain, mesh).any_answer(TIP) == b"60"
    with pytest.raises(ClientError, match="nobody answers"):
        await client_of(chain, Telling(dict.fromkeys(FIRST))).any_answer(TIP)
    with pytest.raises(ClientError, match="can't be learnt: nobody answers"):
        await client_of(chain, Telling(dict.fromkeys(FIRST))).follow()
