// A kernel that answers the protocol for made-up rows, so that the front end can be seen and tested without Python.

import type { Model } from "../src/channel";
import { NO_FILTERS } from "../src/filters";
import type {
  Bars,
  ChartChoice,
  ClipReply,
  Column,
  DetailReply,
  Filters,
  Histogram,
  JobAction,
  JobEvent,
  Kind,
  Profile,
  QueryReply,
  QueryRequest,
  QueryState,
  Row,
  RowWindow,
  SortKey,
  Ticked,
  TickRequest,
  Word,
} from "../src/protocol";

const VOICES = ["Rachel", "Adam", "Charlotte", "Ναταλία", "דנה", "Mimi", "Bill", "Sarah", "Liam", "Ethan", "George", "Lily"];
const MODELS = ["eleven_multilingual_v2", "eleven_turbo_v2_5", "eleven_v3"];
const SOURCES = ["TTS", "STS", "Dubbing"];
const WORDS = "the river carries a quiet song over old stones while lanterns drift past every window of this small town".split(" ");
const START = Date.UTC(2025, 0, 1) / 1000;
const DAY = 86_400;

interface Item {
  voice: number;
  model: number;
  source: number;
  date: number;
  characters: number;
  credits: number | null;
}

/** A number from 0 to 1 that depends on two whole numbers only. */
function random(seed: number, salt: number): number {
  let x = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(salt + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

export interface KernelOptions {
  rows: number;
  /** Milliseconds before each answer. */
  delay?: number;
}

const COLUMNS: Column[] = [
  ["date", "Date", "date", "left", 150, "date", true],
  ["voice_name", "Voice", "category", "left", 140, "voice", true],
  ["text", "Text", "text", "left", 320, "text", false],
  ["characters", "Characters", "count", "right", 120, "characters", true],
  ["credits", "Credits", "count", "right", 120, "credits", true],
  ["model_id", "Model", "category", "left", 170, "model", true],
  ["source", "Source", "category", "left", 110, "source", true],
  ["history_item_id", "Item", "text", "left", 120, null, false],
].map(([key, label, kind, align, width, filter, profile]) => ({
  key,
  label,
  kind,
  align,
  width,
  shown: key !== "history_item_id",
  filter,
  sortable: true,
  profile,
})) as Column[];

/** The answers of a kernel for a number of rows, and what it has been asked. */
export class FakeKernel {
  readonly asked: { kind: Kind; payload: Record<string, unknown> }[] = [];
  readonly items: Item[];
  delay: number;
  /** The length of all clips, if not that of their texts. */
  clipSeconds: number | null = null;
  /** Answer nothing, as a kernel that runs another cell. */
  busy = false;
  /** Take no request, as a kernel that was restarted. */
  gone = false;
  /** Refuse the next request of a kind. */
  refuse: Kind | null = null;
  /** Rows without sound, by their positions. */
  readonly broken = new Set<number>();
  /** Send no events of jobs, and make no progress in them. */
  mute = false;
  stuck = false;
  readonly jobs: JobEvent[] = [];
  columns: Column[] = structuredClone(COLUMNS);
  /** What the chart shows at first. */
  shown: ChartChoice = { by: "voice", freq: "auto", measure: "credits" };
  filters: Filters = structuredClone(NO_FILTERS);
  sort: SortKey[] = [];
  shownOnly = false;
  ticks = new Set<number>();
  order: Uint32Array;
  version = 1;
  readonly #listeners = new Set<(content: object, buffers: DataView[]) => void>();
  readonly #queue: (() => void)[] = [];

  constructor({ rows, delay = 0 }: KernelOptions) {
    this.delay = delay;
    this.items = Array.from({ length: rows }, (_, index) => makeItem(index));
    this.order = Uint32Array.from(this.items.keys());
  }

  /** A model of anywidget over this kernel. */
  model(traits: Record<string, unknown> = {}): Model {
    const own = new Map<unknown, (content: object, buffers: DataView[]) => void>();
    return {
      get: (name) => traits[name],
      send: (content, callbacks) => {
        this.#receive(structuredClone(content) as Record<string, unknown>, callbacks as Callbacks | undefined);
      },
      on: (event, callback) => {
        if (event !== "msg:custom") return;
        const listener = (message: object, buffers: DataView[]): void => {
          (callback as (...values: unknown[]) => void)(message, buffers);
        };
        own.set(callback, listener);
        this.#listeners.add(listener);
      },
      off: (_, callback) => {
        const listener = own.get(callback);
        if (listener) this.#listeners.delete(listener);
      },
    };
  }

  /** Send a message to all views. */
  emit(content: object, buffers: DataView[] = []): void {
    for (const listener of this.#listeners) listener(structuredClone(content), buffers);
  }

  /** Work off what waited while it was busy. */
  free(): void {
    this.busy = false;
    for (const answer of this.#queue.splice(0)) answer();
  }

  #receive(message: Record<string, unknown>, callbacks?: Callbacks): void {
    const { id, view, kind, ...payload } = message as { id: string; view: string; kind: Kind };
    this.asked.push({ kind, payload });
    const status = (state: string): void => callbacks?.iopub?.status?.({ content: { execution_state: state } });
    const run = (): void => {
      status("busy");
      if (!this.gone) {
        let reply: object & { sound?: DataView; error?: string };
        try {
          reply = this.answer(kind, payload, view);
        } catch (error) {
          reply = { error: (error as Error).message };
        }
        const { sound, ...fields } = reply;
        this.emit({ id, view, kind, ...fields }, sound ? [sound] : []);
      }
      status("idle");
    };
    setTimeout(() => {
      if (this.busy) this.#queue.push(run);
      else run();
    }, this.delay);
  }

  answer(kind: Kind, payload: Record<string, unknown>, view: string): object {
    if (this.refuse === kind) {
      this.refuse = null;
      throw new Error(`The made-up kernel refuses ${kind}.`);
    }
    switch (kind) {
      case "open":
        return {
          ...this.#reply(),
          tz: "UTC",
          total: { rows: this.items.length, credits: this.#credits(this.items.keys()) },
          page: 60,
          page_size: 25,
          chart: this.shown,
          defaults: { folder: "audio", zip: "audio.zip", csv: "rows.csv", parquet: "rows.parquet" },
          account_columns: false,
          alignments: false,
          notes: [],
        };
      case "query":
        this.#query(payload);
        this.emit({ event: "changed", by: view, ...this.#state() });
        return this.#reply();
      case "columns":
        this.#choose(payload);
        this.emit({ event: "changed", by: view, ...this.#state() });
        return this.#reply();
      case "rows": {
        const { start, stop } = payload as { start: number; stop: number };
        return { version: this.version, ...this.#window(start, stop) };
      }
      case "profiles":
        return {
          version: this.version,
          profiles: Object.fromEntries((payload as { keys: string[] }).keys.map((key) => [key, this.profile(key)])),
        };
      case "tick":
        this.#tick(payload as unknown as TickRequest);
        this.emit({ event: "changed_ticks", by: view, version: this.version, ticked: this.#ticked() });
        return { version: this.version, ticked: this.#ticked() };
      case "detail":
        return this.#detail(payload.position as number);
      case "find": {
        const n = this.order.indexOf(payload.position as number);
        return { version: this.version, n: n < 0 ? null : n };
      }
      case "words":
        return { words: this.#timed(payload.position as number) };
      case "clip":
        if (this.broken.has(payload.position as number)) throw new Error("The clip is gone.");
        return this.#clip(payload.position as number);
      case "job":
        return { job: this.#startJob(payload as { action: JobAction; target: string; rows: string; ask?: boolean }, view), started: true };
      case "confirm":
        this.#goOn(this.#jobOf(payload));
        return { job: payload.job, started: true };
      case "cancel": {
        const job = this.#jobOf(payload);
        if (job.state === "running" || job.state === "waiting") this.tellJob(job, { state: "cancelled", line: "Cancelled." });
        return { job: job.job };
      }
      case "jobs":
        return { jobs: this.jobs };
      case "chart":
        return { version: this.version, ...this.chart(payload as { by: "voice"; freq: string; measure: string }) };
      case "ping":
        return {};
      case "stop":
        return { stopped: false };
      default:
        throw new Error(`The made-up kernel has no ${kind}.`);
    }
  }

  #detail(position: number): DetailReply {
    const item = this.items[position];
    const dialogue = position % 11 === 4;
    const text = textOf(position);
    const takes = [position - 1, position, position + 1].filter((other) => position % 3 === 1 && this.items[other]);
    return {
      position,
      fields: [
        { label: "Voice", value: VOICES[item?.voice ?? 0] ?? "" },
        { label: "Date", value: new Date(1000 * (item?.date ?? 0)).toISOString().slice(0, 19).replace("T", " ") },
        { label: "Item", value: `item${position}` },
      ],
      text: dialogue ? "" : text,
      rtl: /^[\u0590-\u06ff]/.test(text),
      dialogue: dialogue ? ["Rachel", "Adam"].map((voice, line) => ({ voice, text: textOf(position + line) })) : [],
      settings: [
        { label: "Stability", value: "0.5" },
        { label: "Speed", value: "1.1" },
      ],
      takes: takes.map((other) => ({
        position: other,
        date: `2026-01-0${1 + (other % 9)} 12:00:00`,
        credits: this.items[other]?.credits ?? null,
        text: textOf(other),
        same: other === position,
      })),
    };
  }

  #seconds(position: number): number {
    return this.clipSeconds ?? 1 + textOf(position).length / 15;
  }

  #timed(position: number): Word[] {
    const text = textOf(position);
    const step = this.#seconds(position) / text.length;
    let at = 0;
    return text.split(" ").map((word) => {
      const start = at * step;
      at += word.length + 1;
      return { text: word, start, end: start + word.length * step };
    });
  }

  #clip(position: number): ClipReply & { sound: DataView } {
    const text = textOf(position);
    const seconds = this.#seconds(position);
    return {
      mime: "audio/wav",
      seconds,
      from: "service",
      words: position % 2 === 0 ? this.#timed(position) : null,
      voice: VOICES[this.items[position]?.voice ?? 0] ?? null,
      text,
      sound: makeWav(position, seconds),
    };
  }

  #jobOf({ job }: Record<string, unknown>): JobEvent {
    const found = this.jobs.find((one) => one.job === job);
    if (!found) throw new Error(`There is no job ${String(job)}.`);
    return found;
  }

  #startJob({ action, target, rows, ask }: { action: JobAction; target: string; rows: string; ask?: boolean }, view: string): string {
    if (target === "") throw new Error("A path must be a non-empty string.");
    const total = rows === "ticked" ? this.ticks.size : this.order.length;
    const text = "Looking at what there is to do";
    const job: JobEvent = { job: String(this.jobs.length + 1), action, target, by: view, state: "running", done: 0, total: 0, text, confirm: null, line: "" };
    this.jobs.push(job);
    setTimeout(() => {
      if (job.state !== "running") return;
      const question = `${total} files would be pulled into ${target}: ${total} requests, about 1.2 GB. That takes about 9 minutes.`;
      const plan = { requests: total, bytes: 1.2e9, seconds: 540, text: question };
      if (ask === true || (total > 1000 && action === "pull")) this.tellJob(job, { state: "waiting", confirm: plan });
      else this.#goOn(job);
    }, 100);
    this.tellJob(job, {});
    return job.job;
  }

  /** Ten steps of 100 milliseconds. */
  #goOn(job: JobEvent): void {
    this.tellJob(job, { state: "running", confirm: null, total: 10, text: "0 of 10 clips" });
    const step = (): void => {
      if (job.state !== "running" || this.stuck) return;
      const done = job.done + 1;
      if (done === 10) this.tellJob(job, { done, state: "done", line: `${job.target}: 10 done.` });
      else {
        this.tellJob(job, { done, text: `${done} of 10 clips` });
        setTimeout(step, 100);
      }
    };
    setTimeout(step, 100);
  }

  /** Change a job and send its event, unless no event gets through. */
  tellJob(job: JobEvent, change: Partial<JobEvent>): void {
    Object.assign(job, change);
    if (!this.mute) this.emit({ event: "job", ...job });
  }

  #query({ filters = {}, sort, shown_only }: QueryRequest): void {
    const next = { ...this.filters, ...filters };
    if (next.pattern) new RegExp(next.text);
    this.filters = next;
    this.sort = sort ?? this.sort;
    this.shownOnly = shown_only ?? this.shownOnly;
    this.version += 1;
    const kept: number[] = [];
    const passes = this.#predicate(null);
    for (let index = 0; index < this.items.length; index += 1) {
      if (this.shownOnly ? this.ticks.has(index) : passes(index)) kept.push(index);
    }
    this.order = Uint32Array.from(kept);
    if (this.sort.length > 0) this.order = Uint32Array.from([...this.order].sort(this.#compare()));
  }

  #compare(): (one: number, other: number) => number {
    const keys = this.sort.map(({ key, descending }) => ({ of: (index: number) => this.#value(index, key), sign: descending ? -1 : 1 }));
    return (one, other) => {
      for (const { of, sign } of keys) {
        const [a, b] = [of(one), of(other)];
        if (a === b) continue;
        if (a === null) return 1; // missing is last in both directions
        if (b === null) return -1;
        return a < b ? -sign : sign;
      }
      return one - other;
    };
  }

  #value(index: number, key: string): number | string | null {
    const item = this.items[index];
    if (!item) return null;
    switch (key) {
      case "date":
        return item.date;
      case "voice_name":
        return VOICES[item.voice] ?? null;
      case "model_id":
        return MODELS[item.model] ?? null;
      case "source":
        return SOURCES[item.source] ?? null;
      case "characters":
        return item.characters;
      case "credits":
        return item.credits;
      case "history_item_id":
        return `item${index}`;
      default:
        return textOf(index);
    }
  }

  /** Whether a row passes all filters but those of a field. */
  #predicate(without: string | null): (index: number) => boolean {
    const { filters } = this;
    const tests: ((item: Item, index: number) => boolean)[] = [];
    const lists = { voice: VOICES, model: MODELS, source: SOURCES };
    for (const field of ["voice", "model", "source"] as const) {
      if (field === without || filters[field].length === 0) continue;
      const chosen = new Set(filters[field].map((value) => lists[field].indexOf(value)));
      tests.push((item) => chosen.has(item[field]));
    }
    for (const field of ["credits", "characters"] as const) {
      const [least, most] = filters[field];
      if (field === without || (least === null && most === null)) continue;
      tests.push((item) => {
        const value = item[field];
        return value !== null && value >= (least ?? -Infinity) && value <= (most ?? Infinity);
      });
    }
    if (without !== "date" && (filters.after !== null || filters.before !== null)) {
      const [after, before] = [seconds(filters.after) ?? -Infinity, seconds(filters.before) ?? Infinity];
      tests.push(({ date }) => date >= after && date < before);
    }
    if (filters.text !== "") {
      const pattern = filters.pattern ? new RegExp(filters.text, "i") : null;
      const text = filters.text.toLowerCase();
      tests.push((_, index) => (pattern ? pattern.test(textOf(index)) : textOf(index).toLowerCase().includes(text)));
    }
    return (index) => {
      const item = this.items[index];
      return item !== undefined && tests.every((test) => test(item, index));
    };
  }

  profile(key: string): Profile {
    const field = COLUMNS.find((column) => column.key === key)?.filter ?? null;
    const passes = this.#predicate(field);
    return ["credits", "characters", "date"].includes(key) ? this.#histogram(key as "credits", passes) : this.#bars(field as "voice", passes);
  }

  #histogram(key: "credits" | "characters" | "date", passes: (index: number) => boolean): Histogram {
    const values = this.items.map((item) => item[key]);
    const bins = 24;
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low > high) return { kind: "histogram", edges: [], labels: [], bounds: [], counts: [], all: [], missing: values.length };
    const step = Math.max(Math.ceil((high - low + 1) / bins), 1);
    const edges = Array.from({ length: bins + 1 }, (_, bin) => low + bin * step);
    const [counts, all] = [new Array<number>(bins).fill(0), new Array<number>(bins).fill(0)];
    let missing = 0;
    values.forEach((value, index) => {
      if (value === null) {
        missing += 1;
        return;
      }
      const bin = Math.floor((value - low) / step);
      all[bin] = (all[bin] ?? 0) + 1;
      if (passes(index)) counts[bin] = (counts[bin] ?? 0) + 1;
    });
    const date = key === "date";
    const text = (value: number): string => (date ? new Date(1000 * value).toISOString() : value.toLocaleString("en-US"));
    const bounds = edges.slice(0, -1).map((edge): [number | string, number | string] => (date ? [text(edge), text(edge + step)] : [edge, edge + step - 1]));
    const labels = bounds.map(([from, to]) => (date ? String(from).slice(0, 10) : from === to ? text(Number(from)) : `${text(Number(from))} – ${text(Number(to))}`));
    return { kind: "histogram", edges, labels, bounds, counts, all, missing };
  }

  #bars(field: "voice" | "model" | "source", passes: (index: number) => boolean): Bars {
    const labels = { voice: VOICES, model: MODELS, source: SOURCES }[field];
    const values = labels.map((label) => ({ value: label, label, count: 0, all: 0 }));
    this.items.forEach((item, index) => {
      const value = values[item[field]];
      if (!value) return;
      value.all += 1;
      if (passes(index)) value.count += 1;
    });
    values.sort((one, other) => other.all - one.all);
    return { kind: "bars", values, other: { count: 0, all: 0 }, missing: 0 };
  }

  /** Sums by day or month of UTC; "auto" is months beyond 90 days. */
  chart({ by, freq, measure }: { by: "voice" | "model" | "source"; freq: string; measure: string }): object {
    if (freq === "h") throw new Error("The chart would have more than 2,000 hours; choose days.");
    const passes = this.#predicate(null);
    const items = this.items.filter((_, index) => passes(index));
    const [first, last] = items.reduce(([low, high], { date }) => [Math.min(low, date), Math.max(high, date)], [Infinity, -Infinity]);
    const unit = freq === "auto" ? (last - first > 90 * DAY ? "MS" : "D") : freq;
    const next = (start: number): number => {
      const day = new Date(1000 * start);
      return unit === "MS" ? Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1) / 1000 : start + DAY;
    };
    const edges: number[] = [];
    if (items.length > 0) {
      const day = new Date(1000 * first);
      edges.push(Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), unit === "MS" ? 1 : day.getUTCDate()) / 1000);
      while ((edges.at(-1) ?? 0) <= last) edges.push(next(edges.at(-1) ?? 0));
    }
    const starts = edges.slice(0, -1);
    const names = { voice: VOICES, model: MODELS, source: SOURCES }[by];
    const sums = new Map<number, (number | null)[]>();
    for (const item of items) {
      const value = measure === "items" ? 1 : measure === "characters" ? item.characters : item.credits;
      const values = sums.get(item[by]) ?? new Array<number | null>(starts.length).fill(0);
      sums.set(item[by], values);
      const period = edges.findLastIndex((edge) => edge <= item.date);
      const former = values[period] ?? null;
      values[period] = value === null ? (former === 0 ? null : former) : (former ?? 0) + value;
    }
    const text = (edge: number): string => new Date(1000 * edge).toISOString();
    const all = [...sums].map(([place, values]) => {
      const label = names[place] ?? "";
      return { key: label, label, values, total: values.reduce<number>((sum, value) => sum + (value ?? 0), 0) };
    });
    all.sort((one, other) => other.total - one.total);
    const series: { key: string | null; label: string; values: (number | null)[]; total: number }[] = all.slice(0, 10);
    const rest = all.slice(10);
    if (rest.length > 0) {
      const values = starts.map((_, period) => rest.reduce((sum, one) => sum + (one.values[period] ?? 0), 0));
      series.push({ key: null, label: "Other", values, total: values.reduce((sum, value) => sum + value, 0) });
    }
    const periods = starts.map((start) => text(start).slice(0, unit === "MS" ? 7 : 10));
    return {
      ...{ by, freq: unit, measure, periods, starts, series },
      bounds: starts.map((start, period) => [text(start), text(edges[period + 1] ?? start)]),
      totals: starts.map((_, period) => series.reduce((sum, { values }) => sum + (values[period] ?? 0), 0)),
      alt: items.length === 0 ? "Chart without rows." : `${measure} by ${by}, ${periods[0] ?? ""} to ${periods.at(-1) ?? ""}`,
      note: null,
    };
  }

  #choose({ shown, widths = {} }: { shown?: string[]; widths?: Record<string, number> }): void {
    for (const column of this.columns) column.width = widths[column.key] ?? column.width;
    if (!shown) return;
    this.version += 1;
    for (const column of this.columns) column.shown = shown.includes(column.key);
    const place = ({ key, shown: isShown }: Column): number => (isShown ? shown.indexOf(key) : shown.length);
    this.columns.sort((one, other) => place(one) - place(other));
  }

  #tick(request: TickRequest): void {
    const set = (index: number, on: boolean): void => {
      if (on) this.ticks.add(index);
      else this.ticks.delete(index);
    };
    if (request.op === "none") this.ticks.clear();
    else if (request.op === "set") for (const position of request.positions) set(position, request.on);
    else if (request.op === "all") for (const index of this.order) set(index, request.on);
    else for (const index of this.order.subarray(request.from_n, request.to_n + 1)) set(index, request.on);
  }

  #ticked(): Ticked {
    const passes = this.#predicate(null);
    let hidden = 0;
    for (const index of this.ticks) if (!passes(index)) hidden += 1;
    return { count: this.ticks.size, credits: this.#credits(this.ticks), hidden, shown_only: this.shownOnly };
  }

  #credits(indices: Iterable<number>): number {
    let sum = 0;
    for (const index of indices) sum += this.items[index]?.credits ?? 0;
    return sum;
  }

  #window(start: number, stop: number): RowWindow {
    const end = Math.min(stop, this.order.length);
    const rows: Row[] = [];
    for (let n = start; n < end; n += 1) rows.push(this.row(this.order[n] ?? 0, n));
    return { start, rows };
  }

  row(index: number, n: number): Row {
    const text = textOf(index);
    const cut = text.length > 120;
    const cells = this.columns.filter(({ shown }) => shown).map(({ key }) => {
      if (key === "text") return cut ? `${text.slice(0, 119)}…` : text;
      const value = this.#value(index, key);
      if (value === null) return "";
      if (key === "date") return new Date(1000 * Number(value)).toISOString().slice(0, 16).replace("T", " ");
      return typeof value === "number" ? value.toLocaleString("en-US") : value;
    });
    return { p: index, n, t: this.ticks.has(index), c: cells, playable: index % 7 !== 3, ...(cut ? { full: true } : {}) };
  }

  #state(): QueryState {
    const count = this.order.length;
    return {
      version: this.version,
      filters: this.filters,
      sort: this.sort,
      shown_only: this.shownOnly,
      count,
      credits: this.#credits(this.order),
      ticked: this.#ticked(),
      columns: this.columns,
      code: "df",
      empty: count > 0 ? null : this.items.length === 0 ? "The history has no rows: generate speech, then read it again." : "No row passes the filters.",
    };
  }

  #reply(): QueryReply {
    return { ...this.#state(), rows: this.#window(0, 60) };
  }
}

interface Callbacks {
  iopub?: { status?: (message: { content: { execution_state: string } }) => void };
}

function seconds(instant: string | number | null): number | null {
  return typeof instant === "string" ? Date.parse(instant) / 1000 : instant;
}

function makeItem(index: number): Item {
  const characters = Math.ceil(8 + 380 * random(index, 1) ** 3);
  return {
    voice: Math.floor(VOICES.length * random(index, 2) ** 2),
    model: Math.floor(MODELS.length * random(index, 3) ** 2),
    source: Math.floor(SOURCES.length * random(index, 4) ** 4),
    date: START + Math.floor(500 * DAY * Math.sqrt(random(index, 5))),
    characters,
    credits: random(index, 6) < 0.02 ? null : Math.ceil(characters / (index % 3 === 0 ? 2 : 1)),
  };
}

/** A WAV of 8,000 samples a second: hums that swell and fade. */
function makeWav(seed: number, seconds: number): DataView {
  const count = Math.floor(8000 * seconds);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const words: [number, string][] = [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]];
  for (const [at, word] of words) for (let place = 0; place < 4; place += 1) view.setUint8(at + place, word.charCodeAt(place));
  for (const [at, value] of [[4, 36 + 2 * count], [16, 16], [24, 8000], [28, 16000], [40, 2 * count]] as const) view.setUint32(at, value, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]] as const) view.setUint16(at, value, true);
  const pitch = 110 + 90 * random(seed, 90);
  for (let sample = 0; sample < count; sample += 1) {
    const time = sample / 8000;
    const swell = Math.abs(Math.sin(3.1 * time + seed)) * (0.3 + 0.7 * random(seed, 100 + Math.floor(2 * time)));
    view.setInt16(44 + 2 * sample, 9000 * swell * Math.sin(2 * Math.PI * pitch * time), true);
  }
  return view;
}

/** The whole text of a row. */
export function textOf(index: number): string {
  if (index % 23 === 5) return `שלום עולם, זו שורה ${index}`;
  if (index % 29 === 7) return `مرحبا بالعالم ${index}`;
  const words = 3 + Math.floor(30 * random(index, 7) ** 2);
  const text = Array.from({ length: words }, (_, at) => WORDS[Math.floor(WORDS.length * random(index, 8 + at))]).join(" ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${index % 5 === 0 ? " 🎧" : ""}.`;
}
