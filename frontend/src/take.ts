// A take of a line as a card: its facts, the words that differ, its sound, and whether it is kept.

import { creditsText, h, icon } from "./dom";
import type { Player } from "./player";
import type { LineReply, Span, Take } from "./protocol";
import { playButton, showState } from "./sound";
import { SeekBar } from "./waveform";

const BARS = 90;

export interface TakeEvents {
  play(take: Take): void;
  seek(take: Take, seconds: number): void;
  keep(take: Take): void;
  /** It was clicked, or has got the focus. */
  entered(take: Take): void;
}

export class TakeCard {
  readonly el: HTMLElement;
  readonly take: Take;
  readonly #player: Player;
  readonly #play = playButton();
  readonly #seek: SeekBar;
  readonly #facts = h("div", { class: "hk-muted" });
  readonly #badge = h("span", { class: "hk-badge", hidden: true });
  readonly #problem = h("p", { class: "hk-problem", hidden: true });
  readonly #keep = h("button", { type: "button", class: "hk-button hk-keep" });

  constructor(take: Take, player: Player, events: TakeEvents) {
    this.take = take;
    this.#player = player;
    this.#seek = new SeekBar(BARS, (seconds) => {
      events.seek(take, seconds);
    });
    this.#play.addEventListener("click", () => {
      events.play(take);
    });
    this.#keep.addEventListener("click", (event) => {
      if (event.detail <= 1) events.keep(take); // the second click of a double one is meant for the line before
    });
    const settings = take.settings.flatMap(({ label, value }) => [h("dt", {}, label), h("dd", { dir: "auto" }, value)]);
    this.el = h(
      "li",
      { class: "hk-take", tabindex: -1, "aria-label": `Take ${take.take}` },
      h("div", { class: "hk-take-head" }, h("b", {}, `Take ${take.take}`), this.#badge),
      this.#facts,
      settings.length > 0 && h("dl", { class: "hk-facts" }, ...settings),
      take.spans && h("p", { class: "hk-diff", dir: take.rtl ? "rtl" : "auto" }, ...take.spans.map(spanElement)),
      h("div", { class: "hk-take-sound" }, this.#play, this.#seek.el),
      this.#problem,
      this.#keep,
    );
    for (const type of ["focusin", "pointerdown"]) {
      this.el.addEventListener(type, () => {
        events.entered(take);
      });
    }
  }

  /** Show whether it is kept, and whether that was chosen. */
  show({ chosen, keeper }: Pick<LineReply, "chosen" | "keeper">): void {
    const { position, take } = this.take;
    const isChosen = chosen === position;
    const isKept = keeper === position;
    this.el.classList.toggle("hk-chosen", isChosen);
    this.#badge.hidden = !isKept;
    this.#badge.replaceChildren(...(isChosen ? [icon("check"), "Kept"] : ["Kept: the newest"]));
    this.#badge.title = isChosen ? "" : "Of a line without a choice the newest take is kept.";
    this.#keep.classList.toggle("hk-primary", isChosen);
    this.#keep.setAttribute("aria-label", `${isChosen ? "Kept" : "Keep"}: take ${take}`);
    this.#keep.title = isChosen ? "Take the choice back (Delete)" : "Keep and go on (Enter)";
    this.#keep.replaceChildren(...(isChosen ? [icon("check"), "Kept"] : ["Keep"]));
  }

  /** The take that keys act on. */
  mark(current: boolean): void {
    this.el.classList.toggle("hk-current", current);
    this.el.tabIndex = current ? 0 : -1;
    if (current) this.el.setAttribute("aria-current", "true");
    else this.el.removeAttribute("aria-current");
  }

  drawSound(): void {
    const { position, take, date, credits } = this.take;
    const seconds = this.#player.secondsOf(position);
    const length = seconds === null ? [] : [`${seconds.toFixed(1)} s`];
    this.#facts.textContent = [date ?? "no date", creditsText(credits), ...length].join(" · ");
    const state = this.#player.stateOf(position);
    showState(this.#play, state, `take ${take}`, this.#player.error);
    this.#seek.draw(this.#player.peaksOf(position));
    this.#problem.hidden = state !== "failed";
    this.#problem.textContent = state === "failed" ? this.#player.error : "";
    this.drawTime();
  }

  drawTime(): void {
    const player = this.#player;
    const plays = player.track?.p === this.take.position && player.clip !== null;
    this.#seek.at(plays ? player.seconds : 0, plays ? player.duration : player.secondsOf(this.take.position));
  }
}

/** The text of a take, as it was spoken. */
export function spokenText(spans: readonly Span[]): string {
  return spans
    .filter(({ op }) => op !== "del")
    .map(({ text }) => text)
    .join("")
    .replace(/ +/g, " ") // those on both sides of words that were left out
    .trim();
}

function spanElement({ op, text }: Span): Node {
  if (op === "same") return document.createTextNode(text);
  const spoken = (words: string): HTMLElement => h("span", { class: "hk-visually-hidden" }, words);
  return h(op, {}, spoken(op === "ins" ? " added: " : " left out: "), text, spoken(" end "));
}
