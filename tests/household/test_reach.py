"""Questions to the running network: which block they are about, how many fit, how long they take."""

from __future__ import annotations

import socket

import pytest
from household_net import Stay

from p2penergy.cli.network import ask
from p2penergy.household.reach import Network
from p2penergy.ledger import keys

pytestmark = pytest.mark.timeout(200)


def test_the_height_asked_about_is_one_that_is_decided(stay: Stay) -> None:
    async def job(network: Network) -> None:
        first = await network.height()
        statuses = [
            await network.client.query_json(bytes.fromhex(m.participant_id), "status")
            for m in network.device.genesis.members
            if m.validator
        ]
        assert 0 < first <= max(status["height"] for status in statuses)

    ask(stay.home(8), (), 20, job)


def test_values_of_more_keys_than_one_question_holds(stay: Stay) -> None:
    async def job(network: Network) -> None:
        who = [bytes.fromhex(m.participant_id) for m in network.device.genesis.members]
        wanted = [*(keys.wallet(each) for each in who), *(keys.market(n) for n in range(100)), keys.TIP]
        found = await network.values(wanted)
        assert list(found) == wanted
        assert found[keys.TIP] is not None
        assert all(found[keys.wallet(each)] is not None for each in who)

    ask(stay.home(8), (), 20, job)


def test_a_network_that_does_not_answer(stay: Stay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        node = f"127.0.0.1:{mute.getsockname()[1]}"
        assert "did not answer within 0.2 s" in stay.refused(8, "wallet", "--wait-s", "0.2", "--node", node)
