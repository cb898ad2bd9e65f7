// The rows of the present order that are loaded, and the windows that are asked for around what is seen.

import type { Channel } from "./channel";
import { Overtaken } from "./channel";
import type { Row, RowWindow } from "./protocol";

/** Rows beyond each end of those seen that are drawn, too. */
export const SPARE = 3;
const MOST = 200;
/** Milliseconds between requests while rows fly past: a notebook shows the state of its kernel at each, which takes time. */
const PAUSE = 80;
/** Milliseconds after a new order in which rows out of view aren't asked for: the headings and the chart come first. */
const FIRST = 400;

export class Rows {
  count = 0;
  version = -1;
  /** `Row.n` of the first row. */
  base = 0;
  readonly #channel: Channel;
  readonly #kept: number;
  readonly #loaded: () => void;
  readonly #failed: (error: unknown) => void;
  #rows = new Map<number, Row>();
  #seen: [number, number] = [0, 0];
  #asked: [number, number] = [0, 0];
  #askedAt = -PAUSE;
  #resetAt = -FIRST;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** About `kept` rows stay loaded, those around the rows seen. */
  constructor(channel: Channel, loaded: () => void, failed: (error: unknown) => void, kept = 20_000) {
    this.#kept = kept;
    this.#channel = channel;
    this.#loaded = loaded;
    this.#failed = failed;
  }

  /** Begin a new version with its first rows. */
  reset(version: number, count: number, first: RowWindow): void {
    this.version = version;
    this.count = count;
    this.#rows = new Map();
    this.#asked = [0, 0];
    this.#resetAt = performance.now();
    this.#store(first);
  }

  /** Forget the rows, as after a change of columns or of ticks elsewhere. */
  forget(): void {
    this.#rows = new Map();
    this.#asked = [0, 0];
    this.see(...this.#seen);
  }

  get(index: number): Row | undefined {
    return this.#rows.get(index);
  }

  *loaded(): Iterable<[number, Row]> {
    yield* this.#rows;
  }

  /** Ask for what is not loaded of the rows seen, and of as many ahead and half as many behind. */
  see(first: number, last: number, direction = 1): void {
    this.#seen = [first, last];
    const seen = Math.max(last - first, 1);
    const [before, after] = direction < 0 ? [2 * seen, seen] : [seen, 2 * seen];
    const inView = this.#missing(first, last);
    const missing = inView ?? this.#missing(first - before, last + after);
    if (!missing) return;
    // What is seen is asked for with its surroundings, so that the next turn of the wheel finds its rows.
    const [start, stop] = this.#trim(Math.min(missing[0], first) - (direction < 0 ? seen : SPARE), Math.max(missing[1], last) + (direction > 0 ? seen : SPARE));
    if (start >= stop) return;
    const inFlight = this.#channel.inFlight("rows");
    if (inFlight && this.#asked[0] <= missing[0] && missing[1] <= this.#asked[1]) return;
    clearTimeout(this.#timer);
    const wait = Math.max(this.#askedAt + PAUSE, inView ? 0 : this.#resetAt + FIRST) - performance.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.see(...this.#seen, direction);
      }, wait);
    } else this.#ask(start, stop);
  }

  #missing(first: number, last: number): [number, number] | null {
    let start = Math.max(first, 0);
    let stop = Math.min(last, this.count);
    while (start < stop && this.#rows.has(start)) start += 1;
    while (stop > start && this.#rows.has(stop - 1)) stop -= 1;
    return start < stop ? [start, stop] : null;
  }

  /** Cut a window to the rows there are and leave out loaded rows at its ends. */
  #trim(first: number, last: number): [number, number] {
    const [start, stop] = this.#missing(first, last) ?? [0, 0];
    return [start, Math.min(stop, start + MOST)];
  }

  #ask(start: number, stop: number): void {
    const version = this.version;
    this.#asked = [start, stop];
    this.#askedAt = performance.now();
    this.#resetAt = -FIRST;
    this.#channel.latest("rows", { version, start, stop }, { keep: true }).then(
      ({ reply }) => {
        if (reply.version !== this.version) return; // of an older order
        const size = this.#rows.size;
        this.#store(reply);
        this.#loaded();
        if (this.#rows.size > size) this.see(...this.#seen);
      },
      (error: unknown) => {
        if (!(error instanceof Overtaken) && version === this.version) this.#failed(error);
      },
    );
  }

  dispose(): void {
    clearTimeout(this.#timer);
  }

  #store({ start, rows }: RowWindow): void {
    for (const [offset, row] of rows.entries()) this.#rows.set(start + offset, row);
    const first = rows[0];
    if (first) this.base = first.n - start;
    if (this.#rows.size <= this.#kept) return;
    const [low, high] = [this.#seen[0] - this.#kept / 4, this.#seen[1] + this.#kept / 4];
    for (const index of this.#rows.keys()) if (index < low || index > high) this.#rows.delete(index);
  }
}
