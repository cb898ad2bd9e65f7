// A kernel that answers the picker's requests for made-up lines.

import type { ChooseReply, Kept, Kind, LineReply, LineRow, LinesReply, Progress, Span } from "../src/protocol";
import { FakeKernel, textOf } from "./kernel";

export interface PickerOptions {
  lines: number;
  /** Of each line. */
  takes?: number;
  delay?: number;
  /** The texts of takes differ. */
  near?: boolean;
  account?: boolean;
}

export class FakePicker extends FakeKernel {
  readonly lines: number;
  readonly takes: number;
  /** The place of the chosen take by line. */
  readonly choice = new Map<number, number>();
  readonly #options: PickerOptions;
  readonly #before: [number, number | undefined][] = [];

  constructor(options: PickerOptions) {
    super({ rows: options.lines * (options.takes ?? 3), delay: options.delay ?? 0 });
    this.#options = options;
    this.lines = options.lines;
    this.takes = options.takes ?? 3;
  }

  override answer(kind: Kind, payload: Record<string, unknown>, view: string): object {
    const text = (payload.text as string | undefined) ?? "";
    switch (kind) {
      case "open_picker":
        return {
          total: this.lines,
          tz: "UTC",
          alignments: false,
          notes: [],
          empty: this.lines > 0 ? null : "No text has several takes. Generate a line again.",
          progress: this.#progress(),
          lines: this.#window("", 0, 100, null),
          line: this.lines > 0 ? this.#line(0, "") : null,
        };
      case "lines": {
        const { start, stop, n } = payload as { start: number; stop: number; n?: number };
        return this.#window(text, start, stop, n ?? null);
      }
      case "line":
        return this.#line(this.found(text)[payload.place as number] ?? -1, text);
      case "choose":
        return this.#choose(payload as { n: number; position: number | null }, text, view);
      case "undo": {
        const [n, before] = this.#before.pop() ?? [];
        if (n === undefined) return { line: null, progress: this.#progress() };
        this.#set(n, before);
        this.emit({ event: "chosen", by: view, n, ...this.#kept(n), progress: this.#progress() });
        return { line: this.#line(n, text), progress: this.#progress() };
      }
      default:
        return super.answer(kind, payload, view);
    }
  }

  /** The lines that have a text. */
  found(text: string): number[] {
    return [...Array(this.lines).keys()].filter((line) => textOf(line * this.takes).toLowerCase().includes(text.toLowerCase()));
  }

  #window(text: string, start: number, stop: number, n: number | null): LinesReply {
    const found = this.found(text);
    const place = n === null ? -1 : found.indexOf(n);
    return { count: found.length, start, lines: found.slice(start, stop).map((line) => this.#row(line)), place: place < 0 ? null : place };
  }

  #row(n: number): LineRow {
    const text = textOf(n * this.takes);
    const rtl = /^[\u0590-\u06ff]/.test(text);
    return { n, voice: "Rachel", account: this.#options.account ? "studio" : null, text, rtl, takes: this.takes, chosen: this.#kept(n).chosen_take };
  }

  #line(n: number, text: string): LineReply {
    const place = this.found(text).indexOf(n);
    const row = this.#row(n);
    return {
      ...row,
      place: place < 0 ? null : place,
      text: textOf(n * this.takes),
      left_out: 0,
      takes: Array.from({ length: this.takes }, (_, at) => ({
        position: n * this.takes + at,
        take: at + 1,
        date: `2026-0${1 + (at % 9)}-03 12:00:0${at % 10}`,
        credits: this.items[n * this.takes + at]?.credits ?? null,
        settings: [
          { label: "Stability", value: String(0.3 + 0.1 * at) },
          { label: "Model id", value: at % 2 ? "eleven_v3" : "eleven_turbo_v2_5" },
        ],
        spans: this.#options.near ? spansOf(textOf(n * this.takes), at) : null,
        rtl: row.rtl,
      })),
      ...this.#kept(n),
    };
  }

  #kept(n: number): Kept {
    const at = this.choice.get(n);
    return {
      chosen: at === undefined ? null : n * this.takes + at,
      chosen_take: at === undefined ? null : at + 1,
      keeper: n * this.takes + (at ?? this.takes - 1),
    };
  }

  #progress(): Progress {
    return { chosen: this.choice.size, steps: this.#before.length };
  }

  #set(n: number, at: number | undefined): void {
    if (at === undefined) this.choice.delete(n);
    else this.choice.set(n, at);
  }

  #choose({ n, position }: { n: number; position: number | null }, text: string, view: string): ChooseReply {
    this.#before.push([n, this.choice.get(n)]);
    this.#set(n, position === null ? undefined : position - n * this.takes);
    const reply = { n, ...this.#kept(n), progress: this.#progress() };
    this.emit({ event: "chosen", by: view, ...reply });
    const open = this.found(text).filter((line) => !this.choice.has(line));
    const next = open.find((line) => line > n) ?? open[0];
    return { ...reply, next: position === null || next === undefined ? null : this.#line(next, text) };
  }
}

function spansOf(text: string, at: number): Span[] {
  const [first = "", ...rest] = text.split(" ");
  if (at === 0) return [{ op: "same", text }];
  return [
    { op: "del", text: first },
    { op: "same", text: " " },
    { op: "ins", text: `other${at}` },
    { op: "same", text: ` ${rest.join(" ")}` },
  ];
}
