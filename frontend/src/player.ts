// Plays the clip of one row at a time. Clips are asked for once, kept within bounds, and played on if wanted.

import { KernelError, Overtaken } from "./channel";
import { Emitter } from "./dom";
import type { Host, State } from "./host";
import type { Row, Word } from "./protocol";
import { decodePeaks, type Peaks } from "./waveform";

/** What a row needs to be played: its position in the frame, and its number in the present order if it is in the table. */
export interface Track {
  p: number;
  n: number | null;
}

/** What a player needs of its view. */
export interface PlayerHost extends Pick<Host, "channel" | "fail" | "say" | "rowAt"> {
  readonly state: Pick<State, "version" | "count" | "alignments">;
}

export interface Clip {
  url: string;
  bytes: number;
  wav: boolean;
  seconds: number | null;
  words: readonly Word[] | null;
  /** When the words are heard is to be asked for, once. */
  askWords: boolean;
  voice: string | null;
  text: string | null;
}

/** failed: there is no sound of the row; `error` says why. */
export type PlayState = "idle" | "loading" | "playing" | "paused" | "failed";

interface Topics {
  /** Another row, or another state. */
  changed: undefined;
  /** The position in the clip; several times a second while it plays. */
  time: undefined;
  /** The peaks of a row's clip are known. */
  peaks: number;
  /** The next clip began by itself, or a step was made. */
  stepped: { from: number | null; to: Row };
}

const KEPT_BYTES = 64_000_000;
const KEPT_PEAKS = 2_000;
/** Rows without sound that are passed over to find the next one. */
const MOST_SKIPPED = 500;
const ASKED_ROWS = 50;
const STARTED = "histkit:play";
/** Clips in a row that can't be played before it stops playing on. */
const MOST_FAILURES = 3;

export class Player extends Emitter<Topics> {
  /** Stands in the document, so that the browser stops it when the view is taken away. */
  readonly el = document.createElement("audio");
  state: PlayState = "idle";
  track: Track | null = null;
  error = "";
  /** Whether the next clip starts by itself. */
  playOn = false;
  readonly #host: PlayerHost;
  readonly #clips = new Map<number, Clip>();
  readonly #peaks = new Map<number, Peaks>();
  readonly #asked = new Map<string, Promise<Clip>>();
  readonly #off: (() => void)[] = [];
  /** Grows with each wish to play; what belongs to an older one is dropped. */
  #turn = 0;
  #version = -1;
  #frame = 0;
  /** Clips that failed since one was heard, and whether the present one began by itself. */
  #failures = 0;
  #byItself = false;
  #disposed = false;

  constructor(host: PlayerHost) {
    super();
    this.#host = host;
    this.el.hidden = true;
    this.el.preload = "auto";
    for (const type of ["play", "playing", "pause", "ended", "timeupdate", "seeked", "error"] as const) {
      this.el.addEventListener(type, () => {
        this.#onMedia(type);
      });
    }
    const other = (event: Event): void => {
      const mine = event.target === this.el || (event instanceof CustomEvent && event.detail === this);
      if (!mine && (this.state === "playing" || this.state === "loading")) this.pause();
    };
    document.addEventListener("play", other, true);
    window.addEventListener(STARTED, other);
    this.#off.push(
      () => {
        document.removeEventListener("play", other, true);
      },
      () => {
        window.removeEventListener(STARTED, other);
      },
    );
  }

  /** The clip of the row that plays or was played last. */
  get clip(): Clip | null {
    return (this.track && this.#clips.get(this.track.p)) ?? null;
  }

  get seconds(): number {
    return this.clip ? this.el.currentTime : 0;
  }

  /** The length of a row's clip, if it was loaded. */
  secondsOf(position: number): number | null {
    return this.#clips.get(position)?.seconds ?? null;
  }

  /** The length of the clip: as its container says, else as the browser finds it. */
  get duration(): number | null {
    const { clip } = this;
    if (!clip) return null;
    return Number.isFinite(this.el.duration) && this.el.duration > 0 ? this.el.duration : clip.seconds;
  }

  stateOf(position: number): PlayState {
    return this.track?.p === position ? this.state : "idle";
  }

  peaksOf(position: number): Peaks | null {
    return this.#peaks.get(position) ?? null;
  }

  /** Play a row from its beginning; pause or go on if it is the one that plays. */
  toggle(track: Track): void {
    if (this.track?.p === track.p && this.state !== "failed" && this.state !== "idle") {
      if (this.state === "paused") this.#start(this.#turn);
      else this.pause();
    } else this.play(track);
  }

  /** Play a row, from a share (0 to 1) of its length. */
  play(track: Track, share = 0): void {
    this.#byItself = false;
    this.#failures = 0;
    this.#play(track, share);
  }

  #play(track: Track, share: number): void {
    this.#turn += 1;
    const turn = this.#turn;
    this.el.pause();
    this.track = { ...track };
    this.#version = this.#host.state.version;
    this.#set("loading");
    this.#load(track.p, false).then(
      (clip) => {
        if (turn !== this.#turn) return;
        this.#use(clip, share);
        this.#start(turn);
        this.#askWords(track.p, clip);
      },
      (error: unknown) => {
        if (turn === this.#turn) this.#fail(error);
      },
    );
  }

  /** Load a clip that may be played soon; an error is for the caller alone. */
  async prepare(position: number): Promise<void> {
    await this.#load(position, false, true);
  }

  pause(): void {
    if (this.state === "loading") this.#turn += 1; // it may not start when it arrives
    this.el.pause();
    if (this.state === "loading" || this.state === "playing") this.#set(this.clip && this.el.src !== "" ? "paused" : "idle");
  }

  seek(seconds: number): void {
    const { duration } = this;
    if (duration === null) return;
    this.el.currentTime = Math.max(0, Math.min(seconds, duration));
    this.emit("time", undefined);
  }

  /** Play the next (1) or the one before (-1) of the rows that have sound; false if there is none. */
  async step(by: 1 | -1): Promise<boolean> {
    return await this.#step(by, false);
  }

  async #step(by: 1 | -1, byItself: boolean): Promise<boolean> {
    const { track } = this;
    const turn = this.#turn;
    const row = track && (await this.#neighbour(track, by));
    if (!row || turn !== this.#turn || this.#disposed) return false;
    if (!byItself) this.#failures = 0;
    this.#byItself = byItself;
    this.#play(row, 0);
    this.emit("stepped", { from: track.n, to: row });
    return true;
  }

  #start(turn: number): void {
    this.el.play().catch((error: unknown) => {
      if (turn !== this.#turn || this.#disposed) return;
      const { name } = error as Error;
      if (name === "AbortError" || name === "NotSupportedError") return; // paused again, or told by the event "error"
      if (name === "NotAllowedError") {
        this.#set("paused");
        this.#host.say("The browser wants a click before it plays sound: press play again.");
      } else this.#fail(error);
    });
  }

  #use(clip: Clip, share: number): void {
    this.el.src = clip.url;
    if (share <= 0) return;
    const { el } = this;
    el.addEventListener(
      "loadedmetadata",
      () => {
        el.currentTime = share * (this.duration ?? 0);
      },
      { once: true },
    );
  }

  /** Ask for a clip, or take it from those kept. */
  #load(position: number, wav: boolean, quiet = false): Promise<Clip> {
    const kept = this.#clips.get(position);
    if (kept && (kept.wav || !wav)) {
      this.#clips.delete(position); // the newest is last
      this.#clips.set(position, kept);
      return Promise.resolve(kept);
    }
    const key = `${position} ${wav}`;
    const asked = this.#asked.get(key);
    if (asked) return asked;
    const request = this.#ask(position, wav, quiet).finally(() => this.#asked.delete(key));
    this.#asked.set(key, request);
    return request;
  }

  async #ask(position: number, wav: boolean, quiet: boolean): Promise<Clip> {
    const options = { ...(wav ? { wav } : {}), ...(quiet ? { quiet } : {}) };
    const { reply, buffers } = await this.#host.channel.request("clip", { position, ...options });
    if (this.#disposed) throw new Overtaken();
    const [bytes] = buffers;
    if (!bytes) throw new KernelError("The kernel sent no sound.");
    const url = URL.createObjectURL(new Blob([bytes as DataView<ArrayBuffer>], { type: reply.mime }));
    const { seconds, words, voice, text } = reply;
    const askWords = !words && reply.from === "service" && !this.#host.state.alignments;
    const clip = { url, bytes: bytes.byteLength, wav, seconds, words, askWords, voice, text };
    this.#keep(position, clip);
    if (!this.#peaks.has(position)) {
      void decodePeaks(bytes).then((peaks) => {
        if (!peaks || this.#disposed) return;
        this.#peaks.set(position, peaks);
        const [oldest] = this.#peaks.keys();
        if (this.#peaks.size > KEPT_PEAKS && oldest !== undefined) this.#peaks.delete(oldest);
        this.emit("peaks", position);
      });
    }
    return clip;
  }

  /** Ask when each word is heard; the sound doesn't wait for it. */
  #askWords(position: number, clip: Clip): void {
    if (!clip.askWords) return;
    clip.askWords = false;
    this.#host.channel.request("words", { position }).then(
      ({ reply }) => {
        if (!reply.words || this.#disposed) return;
        clip.words = reply.words;
        if (this.track?.p === position) this.emit("changed", undefined);
      },
      () => undefined, // there are none
    );
  }

  #keep(position: number, clip: Clip): void {
    this.#drop(position);
    this.#clips.set(position, clip);
    let total = 0;
    for (const { bytes } of this.#clips.values()) total += bytes;
    for (const [place, { bytes }] of this.#clips) {
      if (total <= KEPT_BYTES) break;
      if (place === position || place === this.track?.p) continue;
      this.#drop(place);
      total -= bytes;
    }
  }

  #drop(position: number): void {
    const clip = this.#clips.get(position);
    if (!clip) return;
    this.#clips.delete(position);
    URL.revokeObjectURL(clip.url);
  }

  #onMedia(type: "play" | "playing" | "pause" | "ended" | "timeupdate" | "seeked" | "error"): void {
    switch (type) {
      case "play":
        window.dispatchEvent(new CustomEvent(STARTED, { detail: this }));
        for (const sound of document.querySelectorAll<HTMLAudioElement>(".histkit-players audio")) sound.pause();
        return;
      case "playing":
        this.#failures = 0;
        this.#set("playing");
        this.#follow();
        if (this.playOn && this.track) {
          void this.#neighbour(this.track, 1).then((row) => row && this.#load(row.p, false)).catch(() => undefined);
        }
        return;
      case "pause":
        if (this.state === "playing") this.#set("paused"); // also by the browser, as when the view is taken away
        return;
      case "ended":
        this.#set("paused");
        if (!this.playOn) return;
        this.#goOn();
        return;
      case "error":
        this.#onError();
        return;
      default:
        this.emit("time", undefined);
    }
  }

  /** The browser can't play what it got: as WAV it can. */
  #onError(): void {
    const { track, clip } = this;
    if (!track || !clip || !this.el.getAttribute("src")) return;
    if (clip.wav) {
      this.#fail(new Error("This browser can't play the clip."));
      return;
    }
    const turn = this.#turn;
    this.#set("loading");
    this.#load(track.p, true).then(
      (other) => {
        if (turn !== this.#turn) return;
        this.#use(other, 0);
        this.#start(turn);
      },
      (error: unknown) => {
        if (turn === this.#turn) this.#fail(error);
      },
    );
  }

  /** Tell of the time at each frame while the clip plays. */
  #follow(): void {
    if (this.#frame) return;
    const tell = (): void => {
      this.#frame = 0;
      if (this.state !== "playing" || this.#disposed) return;
      this.emit("time", undefined);
      this.#frame = requestAnimationFrame(tell);
    };
    this.#frame = requestAnimationFrame(tell);
  }

  #fail(error: unknown): void {
    if (error instanceof Overtaken || this.#disposed) return;
    this.error = error instanceof Error ? error.message : String(error);
    this.#set("failed");
    if (!this.playOn || !this.#byItself) {
      this.#host.fail(error);
      return;
    }
    this.#failures += 1;
    const row = this.track?.n === null || !this.track ? "A row" : `Row ${this.track.n + 1}`;
    if (this.#failures < MOST_FAILURES) {
      this.#host.say(`${row} was passed over: ${this.error}`);
      this.#goOn();
    } else this.#host.say(`Playing on has stopped: ${MOST_FAILURES} clips in a row can't be played. ${this.error}`);
  }

  /** Play the next clip by itself. */
  #goOn(): void {
    const turn = this.#turn;
    this.#step(1, true).catch((error: unknown) => {
      if (turn !== this.#turn) return;
      this.#byItself = false;
      this.#fail(error);
    });
  }

  #set(state: PlayState): void {
    if (state !== "failed") this.error = "";
    this.state = state;
    this.emit("changed", undefined);
    this.emit("time", undefined);
  }

  /** The nearest row with sound after or before one in the present order; null if there is none. */
  async #neighbour(track: Track, by: 1 | -1): Promise<Row | null> {
    if (track.n === null || this.#version !== this.#host.state.version) await this.#locate(track);
    if (track.n === null) return null;
    let known = new Map<number, Row>();
    for (let n = track.n + by, skipped = 0; n >= 0 && n < this.#host.state.count && skipped < MOST_SKIPPED; n += by, skipped += 1) {
      let row = this.#host.rowAt(n) ?? known.get(n);
      if (!row) {
        const start = by > 0 ? n : Math.max(0, n - ASKED_ROWS + 1);
        const { version } = this.#host.state;
        const { reply } = await this.#host.channel.request("rows", { version, start, stop: start + ASKED_ROWS });
        if (reply.version !== version) return await this.#neighbour({ ...track, n: null }, by); // the order has changed
        known = new Map(reply.rows.map((one) => [one.n, one]));
        row = known.get(n);
      }
      if (row?.playable) return row;
    }
    return null;
  }

  /** Find where a row is in the present order. */
  async #locate(track: Track): Promise<void> {
    const { reply } = await this.#host.channel.request("find", { position: track.p });
    track.n = reply.n;
    this.#version = reply.version;
  }

  dispose(): void {
    this.#disposed = true;
    this.#turn += 1;
    for (const off of this.#off) off();
    cancelAnimationFrame(this.#frame);
    this.el.pause();
    this.el.removeAttribute("src");
    this.el.remove();
    for (const position of [...this.#clips.keys()]) this.#drop(position);
  }
}
