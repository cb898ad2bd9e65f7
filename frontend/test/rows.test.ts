import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Channel } from "../src/channel";
import { Rows } from "../src/rows";
import { FakeKernel } from "./kernel";

let kernel: FakeKernel;
let channel: Channel;
let rows: Rows;
const failed: unknown[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  failed.length = 0;
  kernel = new FakeKernel({ rows: 100_000, delay: 10 });
  channel = new Channel(kernel.model());
  rows = new Rows(
    channel,
    () => undefined,
    (error) => failed.push(error),
    1_000,
  );
  rows.reset(1, 100_000, { start: 0, rows: [] });
});

afterEach(() => {
  rows.dispose();
  channel.dispose();
  vi.useRealTimers();
});

const asked = (): [number, number][] => kernel.asked.map(({ payload }) => [payload.start as number, payload.stop as number]);
const loaded = (from: number, to: number): boolean =>
  Array.from({ length: to - from }, (_, offset) => rows.get(from + offset)?.n === from + offset).every(Boolean);

describe("the rows seen", () => {
  it("are asked for with those around them, and not again", async () => {
    rows.see(50_000, 50_020);
    expect(asked()).toEqual([[49_997, 50_040]]); // with those drawn beyond both ends
    await vi.advanceTimersByTimeAsync(1_000);
    expect(loaded(49_980, 50_060)).toBe(true);
    const count = kernel.asked.length;
    rows.see(50_000, 50_020);
    rows.see(50_010, 50_030);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(kernel.asked.length).toBeLessThanOrEqual(count + 1); // what lies ahead
    expect(asked().every(([start, stop]) => stop > start && stop - start <= 200)).toBe(true);
  });

  it("after a fling are those at its end; few of those passed are asked for", async () => {
    for (let first = 0; first < 60_000; first += 500) {
      rows.see(first, first + 20);
      await vi.advanceTimersByTimeAsync(5);
    }
    await vi.advanceTimersByTimeAsync(500);
    expect(loaded(59_500, 59_520)).toBe(true);
    expect(kernel.asked.length).toBeLessThan(15);
  });

  it("at both ends are no more than there are", async () => {
    rows.see(0, 20, -1);
    await vi.advanceTimersByTimeAsync(500);
    rows.see(99_980, 100_000);
    await vi.advanceTimersByTimeAsync(500);
    expect(loaded(0, 20)).toBe(true);
    expect(loaded(99_980, 100_000)).toBe(true);
    expect(asked().every(([start, stop]) => start >= 0 && stop <= 100_000)).toBe(true);
  });
});

it("an answer of an older order is dropped", async () => {
  rows.see(0, 20);
  rows.reset(2, 50, { start: 0, rows: [] });
  await vi.advanceTimersByTimeAsync(5);
  kernel.version = 1;
  await vi.advanceTimersByTimeAsync(30);
  expect(rows.get(0)).toBeUndefined();
});

it("forgotten rows are asked for again", async () => {
  rows.see(0, 20);
  await vi.advanceTimersByTimeAsync(500);
  kernel.ticks.add(3);
  rows.forget();
  await vi.advanceTimersByTimeAsync(500);
  expect(rows.get(3)?.t).toBe(true);
});

it("many rows seen are not all kept", async () => {
  for (let first = 0; first < 6_000; first += 100) {
    rows.see(first, first + 100);
    await vi.advanceTimersByTimeAsync(200);
  }
  expect([...rows.loaded()].length).toBeLessThan(1_300);
  expect(loaded(5_900, 6_000)).toBe(true);
});

it("a refusal is told", async () => {
  kernel.refuse = "rows";
  rows.see(0, 20);
  await vi.advanceTimersByTimeAsync(50);
  expect(String(failed[0])).toContain("refuses rows");
});
