// Waveforms: the peaks of a sound, and their picture. It is an SVG, so that it follows themes and high contrast by itself.

import { h, svg } from "./dom";

/** Peaks of a sound, 0 to 1, the loudest 1. */
export type Peaks = readonly number[];

const COUNT = 360;
/** Bytes beyond which a clip is not decoded as a whole. */
const MOST_BYTES = 40_000_000;
/** The least rate that all browsers decode to; a picture needs no more. */
const RATE = 8_000;

/** Decode a sound and return its peaks; null where that isn't possible. */
export async function decodePeaks(bytes: DataView): Promise<Peaks | null> {
  if (typeof OfflineAudioContext === "undefined" || bytes.byteLength > MOST_BYTES) return null;
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  try {
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(copy);
    return peaksOf(sound.getChannelData(0), COUNT);
  } catch {
    return null; // it may still be played
  }
}

/** The largest samples of equal parts of a sound, against the largest of all. */
export function peaksOf(samples: ArrayLike<number>, count: number): Peaks {
  const peaks = new Array<number>(Math.min(count, samples.length)).fill(0);
  let loudest = 0;
  for (let part = 0; part < peaks.length; part += 1) {
    const stop = Math.floor(((part + 1) * samples.length) / peaks.length);
    let peak = 0;
    for (let at = Math.floor((part * samples.length) / peaks.length); at < stop; at += 1) {
      peak = Math.max(peak, Math.abs(samples[at] ?? 0));
    }
    peaks[part] = peak;
    loudest = Math.max(loudest, peak);
  }
  return peaks.map((peak) => (loudest > 0 ? peak / loudest : 0));
}

/** The path of bars for peaks, in a box of one unit a bar by 100. */
export function barsPath(peaks: Peaks, bars: number): string {
  const parts: string[] = [];
  for (let bar = 0; bar < bars; bar += 1) {
    const [from, to] = [Math.floor((bar * peaks.length) / bars), Math.ceil(((bar + 1) * peaks.length) / bars)];
    const peak = Math.max(0.03, ...peaks.slice(from, to));
    const half = Math.round(48 * peak);
    parts.push(`M${bar + 0.5} ${50 - half}V${50 + half}`);
  }
  return parts.join("");
}

/** The picture of a sound, and how much of it was played. */
export class Waveform {
  readonly el: HTMLElement;
  readonly #bars: number;
  readonly #paths = [svg("path", { class: "hk-wave-all" }), svg("path", { class: "hk-wave-played" })];
  #peaks: Peaks | null = null;
  #progress = 0;

  constructor(bars: number) {
    this.#bars = bars;
    const picture = svg("svg", { viewBox: `0 0 ${bars} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...this.#paths);
    this.el = h("div", { class: "hk-wave" }, picture);
  }

  draw(peaks: Peaks | null): void {
    if (peaks === this.#peaks) return;
    this.#peaks = peaks;
    this.el.classList.toggle("hk-drawn", peaks !== null);
    const path = peaks ? barsPath(peaks, this.#bars) : "";
    for (const element of this.#paths) element.setAttribute("d", path);
  }

  /** Show how much was played, 0 to 1. */
  progress(share: number): void {
    if (share === this.#progress) return;
    this.#progress = share;
    this.el.style.setProperty("--hk-played", `${(100 * share).toFixed(2)}%`);
  }
}

/** A waveform in which a position is chosen, with the mouse or the arrow keys. */
export class SeekBar {
  readonly el: HTMLElement;
  readonly #wave: Waveform;
  readonly #range = h("input", { type: "range", min: 0, max: 0, step: 0.1, value: 0, "aria-label": "Position in the clip" });
  readonly #time = h("span", { class: "hk-time" });
  #text = "";

  constructor(bars: number, seek: (seconds: number) => void) {
    this.#wave = new Waveform(bars);
    this.#wave.el.append(this.#range);
    this.el = h("div", { class: "hk-seek" }, this.#wave.el, this.#time);
    this.#range.addEventListener("input", () => {
      seek(Number(this.#range.value));
    });
  }

  draw(peaks: Peaks | null): void {
    this.#wave.draw(peaks);
  }

  /** Show a position; a duration of null is not known. */
  at(seconds: number, duration: number | null): void {
    const text = duration === null ? clock(seconds) : `${clock(seconds)} / ${clock(duration)}`;
    this.#wave.progress(duration ? Math.min(seconds / duration, 1) : 0);
    this.#range.disabled = duration === null;
    if (this.#range.max !== String(duration ?? 0)) this.#range.max = String(duration ?? 0);
    this.#range.value = String(seconds);
    if (text === this.#text) return;
    this.#text = text;
    this.#time.textContent = text;
    this.#range.setAttribute("aria-valuetext", text.replace("/", "of"));
  }
}

/** Seconds as minutes and seconds, "1:05". */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
