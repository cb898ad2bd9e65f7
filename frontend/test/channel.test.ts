import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Channel, KernelError, Overtaken } from "../src/channel";
import { mergeQueries } from "../src/app";
import { FakeKernel } from "./kernel";

let kernel: FakeKernel;
let channel: Channel;

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new FakeKernel({ rows: 300, delay: 20 });
  channel = new Channel(kernel.model());
});

afterEach(() => {
  channel.dispose();
  vi.useRealTimers();
});

describe("requests", () => {
  it("resolve with the reply of their own id", async () => {
    const replies = Promise.all([
      channel.request("rows", { version: 1, start: 5, stop: 7 }),
      channel.request("rows", { version: 1, start: 50, stop: 51 }),
    ]);
    await vi.advanceTimersByTimeAsync(30);
    expect((await replies).map(({ reply }) => reply.rows.map(({ n }) => n))).toEqual([[5, 6], [50]]);
  });

  it("reject with the kernel's line", async () => {
    const refused = expect(channel.request("query", { filters: { text: "(", pattern: true } })).rejects.toThrow(KernelError);
    await vi.advanceTimersByTimeAsync(30);
    await refused;
  });

  it("leave the replies of another view alone", async () => {
    const other = new Channel(kernel.model());
    const events: number[] = [];
    other.on("changed", ({ version }) => events.push(version));
    void channel.request("query", { sort: [{ key: "date", descending: true }] });
    await vi.advanceTimersByTimeAsync(30);
    expect(events).toEqual([2]);
    expect(other.status).toBe("idle");
    other.dispose();
  });
});

describe("latest", () => {
  it("keeps one request in flight, and of the waiting ones the newest", async () => {
    const texts = ["a", "ab", "abc", "abcd"];
    const outcomes = Promise.allSettled(texts.map((text) => channel.latest("query", { filters: { text } })));
    expect(kernel.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    const settled = await outcomes;
    expect(kernel.asked.map(({ payload }) => payload)).toEqual([{ filters: { text: "a" } }, { filters: { text: "abcd" } }]);
    expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected", "fulfilled"]);
    expect(settled.slice(0, 3).every((one) => one.status === "rejected" && one.reason instanceof Overtaken)).toBe(true);
  });

  it("stops a search that takes long and is overtaken by another, and only such a one", async () => {
    kernel.busy = true;
    const search = (text: string): Promise<unknown> => channel.latest("query", { filters: { text } }, { stop: true }).catch(() => undefined);
    const stops = (): number => kernel.asked.filter(({ kind }) => kind === "stop").length;
    void search("(a+)+");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(stops()).toBe(0);
    void search("(a+)+b");
    void search("b");
    await vi.advanceTimersByTimeAsync(50);
    expect(stops()).toBe(1);
    kernel.free();
    await vi.advanceTimersByTimeAsync(100);
    void search("bc");
    void search("bcd");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(stops()).toBe(1);
    expect(kernel.asked.at(-1)?.payload).toEqual({ filters: { text: "bcd" } });
  });

  it("joins what overtaken requests change", async () => {
    const outcomes = Promise.allSettled([
      channel.latest("query", { filters: { text: "a" } }, { merge: mergeQueries }),
      channel.latest("query", { filters: { text: "ab" } }, { merge: mergeQueries }),
      channel.latest("query", { sort: [{ key: "date", descending: false }] }, { merge: mergeQueries }),
    ]);
    await vi.advanceTimersByTimeAsync(100);
    await outcomes;
    expect(kernel.asked[1]?.payload).toEqual({ filters: { text: "ab" }, sort: [{ key: "date", descending: false }] });
  });

  it("delivers an overtaken answer where it is kept", async () => {
    const ask = (start: number): Promise<number> =>
      channel.latest("rows", { version: 1, start, stop: start + 1 }, { keep: true }).then(({ reply }) => reply.start);
    const outcomes = Promise.allSettled([ask(1), ask(2), ask(3)]);
    await vi.advanceTimersByTimeAsync(100);
    expect((await outcomes).map((one) => (one.status === "fulfilled" ? one.value : null))).toEqual([1, null, 3]);
  });
});

describe("status", () => {
  it("is working after 0.3 s and busy after 0.4 s without a sign of the kernel, and idle with the answer", async () => {
    kernel.busy = true;
    const answer = channel.request("ping", {});
    const seen: string[] = [];
    channel.on("status", (status) => seen.push(status));
    await vi.advanceTimersByTimeAsync(290);
    expect(channel.status).toBe("idle");
    await vi.advanceTimersByTimeAsync(20);
    expect(channel.status).toBe("working");
    await vi.advanceTimersByTimeAsync(100);
    expect(channel.status).toBe("busy");
    kernel.free();
    await answer;
    expect(seen).toEqual(["working", "busy", "working", "idle"]); // it begins with the request before it answers
  });

  it("is gone when the kernel ends a request and knows no widget, and idle when it is heard again", async () => {
    kernel.gone = true;
    const lost = expect(channel.request("rows", { version: 1, start: 0, stop: 1 })).rejects.toThrow("run this cell again");
    await vi.advanceTimersByTimeAsync(2_000);
    await lost;
    expect(channel.status).toBe("gone");
    kernel.gone = false;
    const answer = channel.request("ping", {});
    await vi.advanceTimersByTimeAsync(30);
    await answer;
    expect(channel.status).toBe("idle");
  });

  it("is silent after a while, and asks in the meantime whether it is known", async () => {
    kernel.busy = true;
    channel.request("rows", { version: 1, start: 0, stop: 1 }).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(61_000);
    expect(channel.status).toBe("silent");
    expect(kernel.asked.filter(({ kind }) => kind === "ping")).toHaveLength(1);
  });
});
