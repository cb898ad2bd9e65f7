// Requests to the kernel over the custom messages of a widget, their answers, and what its silence means.

import { Emitter } from "./dom";
import type { Events, Kind, Requests } from "./protocol";

/** The part of anywidget's model that is used here. */
export interface Model {
  get(name: string): unknown;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  on(event: string, callback: (...values: never[]) => void): void;
  off(event: string, callback: (...values: never[]) => void): void;
}

/**
 * idle: nothing is awaited, or not for long; working: the kernel works on a request; busy: it doesn't answer, it runs
 * something else; silent: for so long that it may be gone; gone: it doesn't know the widget any more.
 */
export type Status = "idle" | "working" | "busy" | "silent" | "gone";

/** An error that the kernel tells in one line. */
export class KernelError extends Error {}

/** A newer request of the same kind took the place of this one, or the view was closed. */
export class Overtaken extends Error {}

export interface Answer<K extends Kind> {
  reply: Requests[K][1];
  buffers: DataView[];
}

interface Waiting {
  kind: Kind;
  sent: number;
  /** The kernel says that it has begun with the request, and that it has ended it. */
  begun: boolean;
  ended: number | null;
  /** It is late, and it was asked whether the widget is known. */
  checked: boolean;
  resolve(answer: Answer<Kind>): void;
  reject(error: Error): void;
}

interface Lane {
  sent: number;
  stop?: ReturnType<typeof setTimeout>;
  next: { payload: object; resolve: (answer: Answer<Kind>) => void; reject: (error: unknown) => void } | null;
}

interface Latest<K extends Kind> {
  lane?: string;
  keep?: boolean;
  stop?: boolean;
  merge?: (older: Requests[K][0], newer: Requests[K][0]) => Requests[K][0];
}

interface Message {
  id?: string;
  view?: string;
  kind?: string;
  error?: string;
  event?: keyof Events;
}

const WORKING_AFTER = 300;
const BUSY_AFTER = 400;
const PING_AFTER = 5_000;
const SILENT_AFTER = 15_000;
/** Requests that may take long by themselves; their silence means nothing. */
const SLOW: readonly Kind[] = ["clip", "words"];
/** Requests that are answered on another thread, after the kernel says that it has ended them. */
const LATE: readonly Kind[] = ["query"];
/** Milliseconds after which a request that is overtaken is stopped. */
const STOP_AFTER = 250;
/** A kernel that has ended a request and sends no answer within this time has no widget to answer it. */
const ANSWER_AFTER_END = 1_500;
/** The time after which it is asked whether the widget is known, where the answer may come late. */
const CHECK_AFTER_END = 500;

interface Topics extends Events {
  status: Status;
}

export class Channel extends Emitter<Topics> {
  /** The id of this view among those of the widget. */
  readonly view = randomId();
  status: Status = "idle";
  readonly #model: Model;
  readonly #waiting = new Map<string, Waiting>();
  readonly #lanes = new Map<string, Lane>();
  readonly #receive = (content: Message, buffers: DataView[] = []): void => {
    this.#onMessage(content, buffers);
  };
  readonly #check = (): void => {
    this.ping();
  };
  readonly #onVisible = (): void => {
    if (document.visibilityState === "visible" && this.status !== "idle") this.ping();
  };
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #heard = 0;

  constructor(model: Model) {
    super();
    this.#model = model;
    model.on("msg:custom", this.#receive);
    model.on("comm_live_update", this.#check); // the connection of the widget was lost or made again
    document.addEventListener("visibilitychange", this.#onVisible);
  }

  /** Send a request. */
  request<K extends Kind>(kind: K, payload: Requests[K][0]): Promise<Answer<K>> {
    return this.#send(kind, payload) as Promise<Answer<K>>;
  }

  /**
   * Send a request of which one is in flight at a time. Of those that wait only the newest is sent, and an answer for
   * which a newer request waits is dropped (rejected as Overtaken) unless `keep` is set. `merge` joins the payload of a
   * waiting request with that of the one that takes its place. With `stop` the request in flight is stopped if it takes
   * long.
   */
  latest<K extends Kind>(
    kind: K,
    payload: Requests[K][0],
    options: Latest<K> = {},
  ): Promise<Answer<K>> {
    const name = options.lane ?? kind;
    const lane = this.#lanes.get(name);
    if (lane) {
      if (options.stop) {
        lane.stop ??= setTimeout(() => {
          this.request("stop", {}).catch(() => undefined);
        }, Math.max(lane.sent + STOP_AFTER - performance.now(), 0));
      }
      return new Promise<Answer<K>>((resolve, reject) => {
        const older = lane.next;
        older?.reject(new Overtaken());
        lane.next = {
          payload: older && options.merge ? options.merge(older.payload, payload) : payload,
          resolve: resolve as (answer: Answer<Kind>) => void,
          reject,
        };
      });
    }
    const begun: Lane = { sent: performance.now(), next: null };
    this.#lanes.set(name, begun);
    const answer = this.#send(kind, payload) as Promise<Answer<K>>;
    return answer.then(
      (value) => {
        const overtaken = begun.next !== null;
        this.#advance(name, kind, begun, options);
        if (overtaken && !options.keep) throw new Overtaken();
        return value;
      },
      (error: unknown) => {
        const overtaken = begun.next !== null;
        this.#advance(name, kind, begun, options);
        throw overtaken && !options.keep ? new Overtaken() : error;
      },
    );
  }

  /** Whether a request of a lane is in flight. */
  inFlight(lane: string): boolean {
    return this.#lanes.has(lane);
  }

  #advance(name: string, kind: Kind, lane: Lane, options: object): void {
    this.#lanes.delete(name);
    clearTimeout(lane.stop);
    const next = lane.next;
    if (!next) return;
    this.latest(kind, next.payload as never, { ...options, lane: name }).then(next.resolve, next.reject);
  }

  /** Ask whether the widget is still known to the kernel. */
  ping(): void {
    for (const { kind } of this.#waiting.values()) if (kind === "ping") return;
    this.request("ping", {}).catch(() => undefined);
  }

  #send(kind: Kind, payload: object): Promise<Answer<Kind>> {
    if (this.#closed) return Promise.reject(new Overtaken());
    const id = randomId();
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { kind, sent: performance.now(), begun: false, ended: null, checked: false, resolve, reject };
      this.#waiting.set(id, waiting);
      const onStatus = (message: { content?: { execution_state?: string } }): void => {
        if (message.content?.execution_state === "busy") waiting.begun = true;
        if (message.content?.execution_state === "idle") waiting.ended = performance.now();
        this.#update();
      };
      try {
        // Jupyter takes an object of callbacks here, marimo a function.
        const callbacks = Object.assign(() => undefined, { iopub: { status: onStatus } });
        this.#model.send({ id, view: this.view, kind, ...payload }, callbacks);
      } catch (error) {
        this.#waiting.delete(id);
        this.#setStatus("gone");
        reject(new KernelError(`The kernel is gone: run this cell again. (${String(error)})`));
        return;
      }
      this.#update();
    });
  }

  #onMessage(content: Message, buffers: DataView[]): void {
    if (content.event) {
      this.#answered();
      this.emit(content.event, content as never);
      return;
    }
    if (content.view !== this.view || content.id === undefined) return;
    const waiting = this.#waiting.get(content.id);
    if (!waiting) return;
    this.#waiting.delete(content.id);
    this.#answered();
    if (content.error === undefined) waiting.resolve({ reply: content as never, buffers });
    else waiting.reject(new KernelError(content.error));
  }

  #answered(): void {
    this.#heard = performance.now();
    this.#setStatus("idle");
    this.#update();
  }

  /** Compute the status from the oldest request that is not answered, and look again when it may change. */
  #update(): void {
    clearTimeout(this.#timer);
    const pending = [...this.#waiting.values()].filter(({ kind }) => !SLOW.includes(kind));
    if (this.#closed || pending.length === 0) {
      if (this.status !== "gone") this.#setStatus("idle");
      return;
    }
    const now = performance.now();
    const oldest = pending.reduce((first, one) => (one.sent < first.sent ? one : first));
    const age = now - Math.max(oldest.sent, this.#heard);
    const overdue = pending.filter((one) => !one.checked && one.ended !== null && now - one.ended >= patience(one));
    if (overdue.some(({ kind }) => !LATE.includes(kind))) this.#lose();
    else if (overdue.length > 0) {
      for (const one of overdue) one.checked = true;
      this.ping(); // a kernel without the widget doesn't answer this either
    }
    if (this.status === "gone") return; // until it is heard again
    if (age >= SILENT_AFTER && !oldest.begun) this.#setStatus("silent");
    else if (age >= BUSY_AFTER && !pending.some((one) => one.begun && (one.ended === null || LATE.includes(one.kind)))) this.#setStatus("busy");
    else if (age >= WORKING_AFTER) this.#setStatus("working");
    const next = [WORKING_AFTER, BUSY_AFTER, PING_AFTER, SILENT_AFTER].map((wait) => wait - age).filter((wait) => wait > 0);
    for (const one of pending) if (one.ended !== null && !one.checked) next.push(patience(one) - (now - one.ended));
    if (age >= PING_AFTER && age < SILENT_AFTER) this.ping();
    if (next.length > 0) {
      this.#timer = setTimeout(() => {
        this.#update();
      }, Math.max(Math.min(...next), 10));
    }
  }

  /** The kernel has ended requests and not answered: it doesn't know the widget. */
  #lose(): void {
    this.#setStatus("gone");
    for (const [id, waiting] of this.#waiting) {
      this.#waiting.delete(id);
      waiting.reject(new KernelError("The kernel is gone: run this cell again."));
    }
  }

  #setStatus(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    this.emit("status", status);
  }

  dispose(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#model.off("msg:custom", this.#receive);
    this.#model.off("comm_live_update", this.#check);
    document.removeEventListener("visibilitychange", this.#onVisible);
    for (const waiting of this.#waiting.values()) waiting.reject(new Overtaken());
    this.#waiting.clear();
  }
}

function patience({ kind }: Waiting): number {
  return LATE.includes(kind) ? CHECK_AFTER_END : ANSWER_AFTER_END;
}

function randomId(): string {
  return Math.random().toString(36).slice(2, 12);
}
