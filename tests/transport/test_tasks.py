"""Tasks that end with their owner."""

from __future__ import annotations

import asyncio

from transport.tasks import TaskSet


async def test_all_are_cancelled_and_waited_for():
    tasks, ended = TaskSet(), []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    for _ in range(3):
        tasks.spawn(wait_for_ever())
    await asyncio.sleep(0)
    await tasks.cancel_all()
    assert ended == [1, 1, 1]
    assert len(tasks) == 0
    await tasks.cancel_all()


async def test_a_failure_is_reported_and_ends_nobody_else(eventually):
    tasks, reports = TaskSet(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))

    async def fail() -> None:
        raise ArithmeticError

    other = tasks.spawn(asyncio.sleep(3600))
    tasks.spawn(fail())
    await eventually(lambda: reports)
    assert isinstance(reports[0]["exception"], ArithmeticError)
    assert not other.done()
    assert len(tasks) == 1
    await tasks.cancel_all()
