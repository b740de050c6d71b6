"""Tasks: kept until they are done, reported when they fail, ended together."""

from __future__ import annotations

import asyncio
import gc

from tokenway.aio.tasks import Tasks


class Reports:
    """What `on_error` was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.came = asyncio.Event()

    def __call__(self, name: str, error: BaseException) -> None:
        """Takes one report."""
        self.seen.append((name, str(error)))
        self.came.set()


async def fail(text: str) -> None:
    """Fails in the next turn of the loop."""
    await asyncio.sleep(0)
    raise ValueError(text)


async def test_a_started_task_gives_its_result() -> None:
    """`start` returns the task, which has the name it was given; afterwards nothing is kept."""
    tasks = Tasks(Reports())
    task = tasks.start("sum", asyncio.sleep(0, 7))
    assert (task.get_name(), len(tasks)) == ("sum", 1)
    assert await task == 7
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_a_spawned_task_survives_a_garbage_collection() -> None:
    """Nobody but `Tasks` refers to it, and it still comes to its end."""
    tasks = Tasks(Reports())
    done, may_go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_go_on.wait()
        done.set()

    tasks.spawn("work", work())
    await asyncio.sleep(0)
    gc.collect()
    may_go_on.set()
    await done.wait()


async def test_a_failure_is_reported_with_the_tasks_name() -> None:
    """The callback gets the name and the exception, once."""
    reports = Reports()
    tasks = Tasks(reports)
    tasks.spawn("broken", fail("no luck"))
    await reports.came.wait()
    assert reports.seen == [("broken", "no luck")]
    assert len(tasks) == 0


async def test_close_cancels_and_waits() -> None:
    """When `close` returns, every task has run its `finally`; being cancelled is no failure."""
    reports = Reports()
    tasks = Tasks(reports)
    ended: list[int] = []
    running = asyncio.Event()

    async def work(number: int) -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    for number in (1, 2):
        tasks.spawn(f"work {number}", work(number))
    await running.wait()
    await tasks.close()
    assert sorted(ended) == [1, 2]
    assert (len(tasks), reports.seen) == (0, [])


async def test_close_passes_over_a_task_that_fails_in_its_end() -> None:
    """The others are still awaited, and the failure is reported."""
    reports = Reports()
    tasks = Tasks(reports)
    running = asyncio.Event()

    async def work() -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            await fail("while ending")

    tasks.spawn("untidy", work())
    await running.wait()
    await tasks.close()
    assert reports.seen == [("untidy", "while ending")]


async def test_close_without_tasks_does_nothing() -> None:
    """Also twice."""
    tasks = Tasks(Reports())
    await tasks.close()
    await tasks.close()
    assert len(tasks) == 0
