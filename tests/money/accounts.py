"""Simulated accounts in plain Python: what the counter did is known, and so is what a ledger must find."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

HOUR, DAY = 3600, 86_400
START = 1_767_225_600  # 2026-01-01, UTC


@dataclass
class Truth:
    """An account: the rows of its history, and what is in none of them."""

    rows: list[tuple[int, int, int]] = field(default_factory=list)  # date in seconds, from, to
    unseen: int = 0
    refunded: int = 0
    resets: int = 0  # those after which the counter is lower than before; several in a row count once
    refilled: bool = False  # whether it was spent up again to nearly its height before the next row, as after a refund


@dataclass(frozen=True)
class Habits:
    """How an account is used."""

    typical: int  # credits of a row
    spread: float
    idle: int  # seconds between two bursts, on average
    burst: int  # rows of a burst, at most
    pause: int  # seconds between the rows of a burst, at most
    quota: int
    unseen: float  # share of events that are spent elsewhere
    refunds: float  # share of events that are refunds
    concurrent: float  # share of bursts whose calls run side by side
    reads_at_start: bool  # concurrent calls read the counter at their start and add to it at their end

    @classmethod
    def drawn(cls, draw: random.Random, *, refunds: float = 0.0, concurrent: float = 0.0) -> Habits:
        """Draw the habits of an account."""
        return cls(
            typical=draw.choice([30, 100, 300, 1000, 3000]),
            spread=draw.choice([0.3, 0.8, 1.2]),
            idle=draw.choice([600, 2 * HOUR, 8 * HOUR, DAY, 3 * DAY]),
            burst=draw.choice([1, 3, 10, 30]),
            pause=draw.choice([5, 40, 300, 1200]),
            quota=draw.choice([30_000, 100_000, 500_000, 2_000_000]),
            unseen=draw.choice([0.0, 0.02, 0.1, 0.3]),
            refunds=refunds,
            concurrent=concurrent,
            reads_at_start=draw.random() < 0.5,
        )


class Account:
    """A counter that calls, spending elsewhere, refunds and monthly resets change."""

    def __init__(self, draw: random.Random, habits: Habits) -> None:
        self.draw, self.habits = draw, habits
        self.now = START + draw.randrange(DAY)
        self.counter = draw.randrange(habits.quota // 2, habits.quota)
        self.next_reset = self.now + draw.randrange(30 * DAY)
        self.elsewhere = self.taken_back = 0  # since the last row
        self.was_reset = False  # since the last row
        self.highest = 0  # that a row shows, since the last reset
        self.truth = Truth()

    def wait(self, seconds: float) -> None:
        """Let time pass; the counter is reset every 30 or 31 days."""
        self.now += int(seconds)
        while self.now >= self.next_reset:
            self.was_reset = True
            self.next_reset += self.draw.choice([30, 31]) * DAY
            self.counter = self.elsewhere = self.taken_back = 0

    def cost(self) -> int:
        """Draw the credits of a row."""
        return max(1, round(self.habits.typical * self.draw.lognormvariate(0, self.habits.spread)))

    def spend_elsewhere(self) -> None:
        """Spend credits that no row shows."""
        amount = self.cost() * self.draw.choice([1, 1, 5])
        self.counter += amount
        self.elsewhere += amount

    def refund(self) -> None:
        """Take back a few credits; the counter does not fall below 0."""
        amount = min(self.draw.randint(1, 199), self.counter)
        self.counter -= amount
        self.taken_back += amount

    def happen(self) -> None:
        """Spend or refund what the habits say."""
        if self.draw.random() < self.habits.unseen:
            self.spend_elsewhere()
        if self.draw.random() < self.habits.refunds:
            self.refund()

    def add_row(self, date: int, start: int, cost: int) -> None:
        """Add a row to the history."""
        if self.truth.rows:
            hidden = self.was_reset and start >= self.highest  # as if there had been no reset
            self.truth.unseen += start - self.highest if hidden else self.elsewhere
            self.truth.refunded += self.taken_back
            self.truth.resets += self.was_reset and not hidden
            self.truth.refilled |= self.was_reset and not hidden and 8 * start > 7 * self.highest
        if self.was_reset:
            self.highest = 0
        self.highest = max(self.highest, start + cost)
        self.elsewhere = self.taken_back = 0
        self.was_reset = False
        self.truth.rows += [(date, start, start + cost)]

    def call(self, lasts: int = 0) -> None:
        """Charge a call at its start; its row is dated at its end."""
        cost = self.cost()
        self.add_row(self.now + lasts, self.counter, cost)
        self.counter += cost

    def calls_side_by_side(self, count: int) -> None:
        """Make calls that run side by side, each for less than two minutes."""
        if not self.habits.reads_at_start:
            for _ in range(count):
                self.happen()
                self.call(self.draw.randrange(110))
                self.now += self.draw.randrange(3)
            self.now += 110
            return
        started, calls = self.now, []
        for _ in range(count):
            begin = self.draw.randrange(30)
            calls.append((begin, begin + 1 + self.draw.randrange(80), self.cost()))
        events = sorted(
            [(begin, 1, index) for index, (begin, _, _) in enumerate(calls)]
            + [(end, 0, index) for index, (_, end, _) in enumerate(calls)]
        )
        for _, starts, index in events:
            if starts:
                self.happen()
                self.add_row(started + calls[index][1], self.counter, calls[index][2])
            else:
                self.counter += calls[index][2]
        self.now = started + 115

    def run(self, bursts: int) -> Truth:
        """Use the account; return what can be known of it."""
        for _ in range(bursts):
            self.wait(30 + self.draw.expovariate(1 / self.habits.idle))
            count = self.draw.randint(1, self.habits.burst)
            if count > 1 and self.draw.random() < self.habits.concurrent:
                self.calls_side_by_side(count)
                continue
            for _ in range(count):
                self.happen()
                self.call()
                self.wait(1 + self.draw.randrange(self.habits.pause))
        return self.truth


def simulate(seed: int, *, refunds: float = 0.0, concurrent: float = 0.0, bursts: int = 80) -> Truth:
    """Simulate an account; the same seed gives the same account."""
    draw = random.Random(seed)
    return Account(draw, Habits.drawn(draw, refunds=refunds, concurrent=concurrent)).run(bursts)
