"""The verifier: jobs in batches on threads, each answered once, on either event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from samples import public_keys, signers

from p2penergy import verifier as module
from p2penergy.signing import EcdsaChecker, SignatureItem, fingerprint, verify_signature
from p2penergy.verifier import BATCH_SIGNATURES_MAX, INLINE_SIGNATURES_MAX, Verifier

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine to its end on one of the loops."""
    with asyncio.Runner(loop_factory=request.param) as runner:

        def patiently(main: Coroutine[Any, Any, None]) -> None:
            runner.run(asyncio.wait_for(main, 60))

        yield patiently


def items(count: int, first: int = 0) -> list[SignatureItem]:
    signer = signers()[0]
    key = public_keys()[signer.participant_id]
    return [(key, b"%d" % i, signer.sign(b"%d" % i)) for i in range(first, first + count)]


def spoilt(item: SignatureItem) -> SignatureItem:
    return item[0], item[1] + b"!", item[2]


class Gate:
    """Stands in for `verify_signature`: counts, and holds every thread until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checked: list[SignatureItem] = []
        self.held = threading.Semaphore(0)
        self._open = threading.Event()
        monkeypatch.setattr(module, "verify_signature", self)
        # Jobs of a few go to the threads, too.
        monkeypatch.setattr(module, "INLINE_SIGNATURES_MAX", 2)

    def __call__(self, item: SignatureItem) -> bool:
        self.checked.append(item)
        self.held.release()
        assert self._open.wait(60)
        return verify_signature(item)

    def open(self) -> None:
        self._open.set()

    async def wait_held(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.held.acquire, timeout=60)


@pytest.mark.parametrize("count", [1, INLINE_SIGNATURES_MAX, INLINE_SIGNATURES_MAX + 1, 200])
@pytest.mark.parametrize("threads", [1, 2])
def test_good_signatures_are_found_good_and_remembered(run: Run, count: int, threads: int) -> None:
    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), threads)
        made = items(count)
        assert await verifier.verify(made)
        assert all(verifier.checker.knows(fingerprint(item)) for item in made)
        verifier.close()

    run(main())


@pytest.mark.parametrize("count", [1, INLINE_SIGNATURES_MAX + 1, 130])
def test_one_bad_signature_spoils_its_job_and_no_other(run: Run, count: int) -> None:
    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 2)
        for place in {0, count // 2, count - 1}:
            made = items(count, place * 1000)
            made[place] = spoilt(made[place])
            other = items(count, 500_000 + place * 1000)
            assert await asyncio.gather(verifier.verify(made), verifier.verify(other)) == [False, True]
            assert [verifier.checker.knows(fingerprint(item)) for item in made] == [
                i != place for i in range(count)
            ]
        verifier.close()

    run(main())


def test_nothing_to_check_is_answered_at_once(run: Run) -> None:
    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        answers: list[bool] = []
        assert verifier.submit([], answers.append)
        made = items(100)
        for item in made:
            verifier.checker.remember(fingerprint(item))
        assert verifier.submit(made, answers.append)
        assert answers == [True, True]
        verifier.close()

    run(main())


def test_few_are_checked_on_the_spot_while_nobody_waits(run: Run) -> None:
    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        answers: list[bool] = []
        *good, other = items(INLINE_SIGNATURES_MAX)
        assert verifier.submit([*good, other], answers.append)
        assert verifier.submit([*good, spoilt(other)], answers.append)
        assert answers == [True, False]
        verifier.close()

    run(main())


def test_only_what_is_not_known_is_checked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    gate.open()

    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        made = items(10)
        assert await verifier.verify(made[:5])
        assert await verifier.verify(made)
        assert sorted(gate.checked) == sorted(made)
        verifier.close()

    run(main())


def test_few_wait_their_turn_behind_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Checked on the spot they would hold up the loop for as long as others keep coming.
    gate = Gate(monkeypatch)

    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        answers: list[str] = []
        verifier.submit(items(5), lambda good: answers.append(f"first {good}"))
        await gate.wait_held(1)
        verifier.submit([spoilt(items(1)[0])], lambda good: answers.append(f"second {good}"))
        last = asyncio.ensure_future(verifier.verify(items(3, 100)))
        await asyncio.sleep(0)
        assert answers == []
        gate.open()
        assert await last
        assert answers == ["first True", "second False"]
        verifier.close()

    run(main())


def test_one_thread_answers_in_the_order_of_arrival(run: Run) -> None:
    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        answers: list[int] = []
        done = asyncio.Event()
        sizes = [3, 1, 70, 2, 150, 1, 1, 64, 65]
        for number, size in enumerate(sizes):

            def answered(good: bool, number: int = number) -> None:
                assert good
                answers.append(number)
                if len(answers) == len(sizes):
                    done.set()

            assert verifier.submit(items(size, number * 1000), answered)
        await done.wait()
        assert answers == list(range(len(sizes)))
        verifier.close()

    run(main())


def test_what_waits_goes_over_in_batches_shared_by_the_threads(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    sizes: list[int] = []

    class Recording(Verifier):
        def _check(self, loop: asyncio.AbstractEventLoop, batch: Any) -> None:
            sizes.append(len(batch))
            super()._check(loop, batch)

    async def main() -> None:
        verifier = Recording(EcdsaChecker(), 2)
        first = asyncio.ensure_future(verifier.verify(items(10)))
        await gate.wait_held(2)
        assert sizes == [5, 5]
        rest = [asyncio.ensure_future(verifier.verify(items(3, 1000 + 3 * i))) for i in range(60)]
        await asyncio.sleep(0)
        gate.open()
        assert await first
        assert all(await asyncio.gather(*rest))
        assert sum(sizes) == 10 + 180
        assert max(sizes) == BATCH_SIGNATURES_MAX
        assert len(sizes) <= 2 + 5
        verifier.close()

    run(main())


def test_more_than_may_wait_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    monkeypatch.setattr(module, "WAITING_SIGNATURES_MAX", 10)

    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        assert not await verifier.verify(items(11))
        answers: list[bool] = []
        assert verifier.submit(items(10), answers.append)
        await gate.wait_held(1)
        assert verifier.submit(items(8, 100), answers.append)
        refused: list[bool] = []
        assert not verifier.submit(items(3, 200), refused.append)
        last = asyncio.ensure_future(verifier.verify(items(2, 300)))
        await asyncio.sleep(0)
        gate.open()
        assert await last
        assert answers == [True, True]
        assert refused == []
        assert await verifier.verify(items(10, 400))
        verifier.close()

    run(main())


def test_closing_while_threads_work_answers_nothing_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)

    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        answers: list[bool] = []
        verifier.submit(items(100), answers.append)
        await gate.wait_held(1)
        assert verifier._waiting
        verifier.close()
        assert not verifier._waiting
        gate.open()
        await asyncio.to_thread(verifier._pool.shutdown, wait=True)
        await asyncio.sleep(0)
        assert len(gate.checked) == BATCH_SIGNATURES_MAX
        assert answers == []

    run(main())


def test_an_answer_on_its_way_when_it_closes_is_dropped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)

    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        answers: list[bool] = []
        verifier.submit(items(5), answers.append)
        await gate.wait_held(1)
        gate.open()
        # The loop does not run meanwhile: the answer waits in its queue.
        verifier._pool.shutdown(wait=True)
        verifier.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert answers == []

    run(main())


def test_a_closed_verifier_takes_nothing(run: Run) -> None:
    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        verifier.close()
        answers: list[bool] = []
        for count in (0, 1, 50):
            assert not verifier.submit(items(count), answers.append)
            assert not await verifier.verify(items(count))
        assert answers == []

    run(main())


@pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_a_loop_that_closed_meanwhile_is_no_error(
    factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    verifier = Verifier(EcdsaChecker(), 1)
    failures: list[BaseException] = []
    check = verifier._check

    def watched(*arguments: Any) -> None:
        try:
            check(*arguments)
        except BaseException as error:
            failures.append(error)

    monkeypatch.setattr(verifier, "_check", watched)

    async def main() -> None:
        verifier.submit(items(5), lambda good: None)
        await gate.wait_held(1)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    gate.open()
    verifier._pool.shutdown(wait=True)
    assert failures == []


def test_who_no_longer_waits_is_not_answered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)

    async def main() -> None:
        verifier = Verifier(EcdsaChecker(), 1)
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        waiting = asyncio.ensure_future(verifier.verify(items(5)))
        await gate.wait_held(1)
        waiting.cancel()
        last = asyncio.ensure_future(verifier.verify(items(3, 50)))
        await asyncio.sleep(0)
        gate.open()
        assert await last
        assert waiting.cancelled()
        assert complaints == []
        verifier.close()

    run(main())


def test_urgent_ones_are_checked_before_all_that_waits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        gate = Gate(monkeypatch)
        verifier = Verifier(EcdsaChecker(), threads=1)
        flood, votes = items(5 * BATCH_SIGNATURES_MAX), items(INLINE_SIGNATURES_MAX + 1, first=1000)
        done: list[str] = []
        over = asyncio.Event()

        def flooded(_good: bool) -> None:
            done.append("flood")
            over.set()

        assert verifier.submit(flood, flooded)
        await gate.wait_held(1)
        assert verifier.submit(votes, lambda good: done.append("votes"), urgent=True)
        gate.open()
        await over.wait()
        assert done == ["votes", "flood"]
        after = BATCH_SIGNATURES_MAX + len(votes)
        assert gate.checked[BATCH_SIGNATURES_MAX:after] == votes
        verifier.close()

    run(main())


def test_a_full_queue_has_room_for_urgent_ones(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(module, "WAITING_SIGNATURES_MAX", 4)
        gate = Gate(monkeypatch)
        verifier = Verifier(EcdsaChecker(), threads=1)
        results: list[bool] = []
        over = asyncio.Event()

        def last(good: bool) -> None:
            results.append(good)
            over.set()

        assert verifier.submit(items(4), results.append)
        await gate.wait_held(1)
        assert verifier.submit(items(4, first=10), last)
        assert not verifier.submit(items(1, first=20), results.append)
        assert verifier.submit(items(4, first=30), results.append, urgent=True)
        assert not verifier.submit(items(1, first=40), results.append, urgent=True)
        gate.open()
        await over.wait()
        assert results == [True] * 3
        verifier.close()

    run(main())
