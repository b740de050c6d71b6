"""The line in front of a model: bounded, fair, and whole after any cancellation."""

from __future__ import annotations

import asyncio

import pytest

from tokenway.aio.tasks import Tasks
from tokenway.local.slots import Busy, Slots


@pytest.fixture
def tasks() -> Tasks:
    """Tasks whose failures are the awaiting test's business."""
    return Tasks(lambda _name, _error: None)


async def test_free_slots_are_given_at_once() -> None:
    """Up to the limit nobody waits."""
    slots = Slots(2, 0)
    await slots.acquire()
    await slots.acquire()
    assert (slots.running, slots.waiting) == (2, 0)


async def test_a_full_line_refuses() -> None:
    """With all slots in use and no room in line, a caller is refused at once."""
    slots = Slots(1, 0)
    await slots.acquire()
    with pytest.raises(Busy):
        await slots.acquire()


async def test_more_than_all_slots_is_an_error() -> None:
    """A caller who could never be served is not put in line."""
    with pytest.raises(ValueError, match="3 slots asked of 2"):
        await Slots(2, 5).acquire(3)


async def test_callers_are_served_in_order_even_behind_a_large_one(tasks: Tasks) -> None:
    """A small request does not overtake one that waits for several slots."""
    slots = Slots(2, 5)
    await slots.acquire()
    order: list[str] = []

    async def enter(name: str, count: int) -> None:
        await slots.acquire(count)
        order.append(name)

    large = tasks.start("large", enter("large", 2))
    await asyncio.sleep(0)
    small = tasks.start("small", enter("small", 1))
    await asyncio.sleep(0)
    assert slots.waiting == 2
    slots.release()
    await large
    assert order == ["large"]
    slots.release(2)
    await small
    assert order == ["large", "small"]
    assert slots.running == 1


async def test_a_caller_who_leaves_the_line_lets_the_next_one_in(tasks: Tasks) -> None:
    """Cancelling the large request at the head admits the small one behind it."""
    slots = Slots(2, 5)
    await slots.acquire()
    large = tasks.start("large", slots.acquire(2))
    await asyncio.sleep(0)
    small = tasks.start("small", slots.acquire(1))
    await asyncio.sleep(0)
    large.cancel()
    await small
    assert (slots.running, slots.waiting) == (2, 0)


async def test_a_turn_that_comes_while_its_caller_leaves_is_given_back(tasks: Tasks) -> None:
    """Release and cancellation in the same round of the loop lose no slot."""
    slots = Slots(1, 1)
    await slots.acquire()
    waiter = tasks.start("waiter", slots.acquire())
    await asyncio.sleep(0)
    slots.release()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert (slots.running, slots.waiting) == (0, 0)
