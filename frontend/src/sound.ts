// Sound in the rows, a play button and a waveform in each, and the bar of the clip that plays.

import { activeElement, h, icon, isNarrow, type IconName } from "./dom";
import type { Host, LeadColumn, Part } from "./host";
import { Player, type PlayState } from "./player";
import type { Row } from "./protocol";
import { SeekBar, Waveform } from "./waveform";
import { LitText } from "./words";

interface Cell {
  button: HTMLButtonElement;
  wave: Waveform;
  row: Row | undefined;
  /** What the button shows, to leave it alone while that stays. */
  shown: string | null;
}

const ROW_BARS = 26;
const BAR_BARS = 120;
const BUTTON_WIDTH = 34;
const WIDTH = 112;
/** The class of an explorer with waveforms in its rows: there is one as soon as a clip was heard. */
const HEARD = "hk-heard";

export class Sound implements Part {
  readonly el: HTMLElement;
  readonly lead: LeadColumn;
  readonly #host: Host;
  readonly #player: Player;
  readonly #cells = new Map<HTMLElement, Cell>();
  readonly #button = playButton();
  readonly #title = h("b", { dir: "auto" });
  readonly #words: LitText;
  readonly #seek: SeekBar;
  readonly #playOn = h("input", { type: "checkbox" });
  readonly #off: (() => void)[];

  constructor(host: Host, player: Player) {
    this.#host = host;
    this.#player = player;
    this.lead = {
      key: "sound",
      label: "Sound",
      get width() {
        return isNarrow(host.root) || !host.root.classList.contains(HEARD) ? BUTTON_WIDTH : WIDTH;
      },
      create: (cell) => {
        this.#create(cell);
      },
      update: (cell, row) => {
        const known = this.#cells.get(cell);
        if (!known) return;
        known.row = row;
        this.#draw(known);
      },
    };
    this.#seek = new SeekBar(BAR_BARS, (seconds) => {
      player.seek(seconds);
    });
    this.#words = new LitText("hk-caption", ({ start }) => {
      player.seek(start);
    });
    const step = (by: 1 | -1, name: IconName, label: string): HTMLElement =>
      h("button", { type: "button", class: "hk-small", "aria-label": label, title: label, onclick: () => void this.#step(by) }, icon(name));
    this.#button.addEventListener("click", () => {
      if (player.track) player.toggle(player.track);
    });
    this.#playOn.addEventListener("change", () => {
      player.playOn = this.#playOn.checked;
    });
    this.el = h(
      "div",
      { class: "hk-player", role: "group", "aria-label": "Player", hidden: true },
      h("div", { class: "hk-player-buttons" }, step(-1, "previous", "Previous clip"), this.#button, step(1, "next", "Next clip")),
      h("div", { class: "hk-player-title" }, this.#title, this.#words.el),
      this.#seek.el,
      h("label", { class: "hk-choice", title: "The next clip starts by itself" }, this.#playOn, "Play on"),
      player.el,
    );
    this.#off = [
      player.on("changed", () => {
        this.#drawAll();
      }),
      player.on("time", () => {
        this.#drawTime();
      }),
      player.on("peaks", (position) => {
        if (!host.root.classList.contains(HEARD)) {
          host.root.classList.add(HEARD);
          host.layOut();
        }
        for (const cell of this.#cells.values()) if (cell.row?.p === position) this.#draw(cell);
        if (player.track?.p === position) this.#seek.draw(player.peaksOf(position));
      }),
      player.on("stepped", ({ from, to }) => {
        this.#followFocus(from, to);
      }),
    ];
  }

  play(row: Row): void {
    if (row.playable) this.#player.toggle(row);
    else this.#host.say("This row has no sound.");
  }

  async #step(by: 1 | -1): Promise<void> {
    try {
      if (!(await this.#player.step(by))) this.#host.announcer.say(by > 0 ? "There is no next clip." : "There is no clip before.");
    } catch (error) {
      this.#host.fail(error);
    }
  }

  /** Where the focus is on the row that was played, it goes on to the next one with the sound. */
  #followFocus(from: number | null, to: Row): void {
    const focused = activeElement(this.#host.root);
    const inTable = focused?.closest(".hk-body") !== null && this.#host.root.contains(focused);
    if (inTable && this.#host.focusedIndex() === from) this.#host.focusRow(to.n);
  }

  #create(el: HTMLElement): void {
    const button = playButton();
    button.tabIndex = -1;
    const wave = new Waveform(ROW_BARS);
    const cell: Cell = { button, wave, row: undefined, shown: null };
    button.addEventListener("click", () => {
      if (cell.row) this.play(cell.row);
    });
    wave.el.addEventListener("click", (event) => {
      if (!cell.row || !this.#player.peaksOf(cell.row.p) || event.shiftKey) return;
      const box = wave.el.getBoundingClientRect();
      this.#player.play(cell.row, box.width > 0 ? (event.clientX - box.left) / box.width : 0);
    });
    el.classList.add("hk-sound");
    el.append(button, wave.el);
    this.#cells.set(el, cell);
  }

  #draw(cell: Cell): void {
    const { row, wave } = cell;
    const state = row ? this.#player.stateOf(row.p) : "idle";
    wave.draw(row ? this.#player.peaksOf(row.p) : null);
    wave.progress(state === "playing" || state === "paused" ? this.#share() : 0);
    if (!row) return; // the button stays as it is until the row is there: a click does nothing
    const shown = row.playable ? `${state} ${row.n}` : "";
    if (shown === cell.shown) return;
    cell.shown = shown;
    cell.button.hidden = shown === "";
    showState(cell.button, state, `row ${row.n + 1}`, this.#player.error);
  }

  #share(): number {
    const { seconds, duration } = this.#player;
    return duration ? Math.min(seconds / duration, 1) : 0;
  }

  #drawAll(): void {
    const player = this.#player;
    for (const [el, cell] of this.#cells) {
      if (el.isConnected) this.#draw(cell);
      else this.#cells.delete(el); // of columns that were shown before
    }
    const { clip, track } = player;
    if (!track) return;
    this.el.hidden = false;
    showState(this.#button, player.state, "the clip", player.error);
    this.#seek.draw(player.peaksOf(track.p));
    const waiting = player.state === "loading" && !clip;
    this.#title.textContent = clip?.voice ?? (waiting ? "Loading …" : "");
    this.#words.show(clip ? (clip.text ?? "") : player.error, clip?.words ?? null);
    this.#words.el.classList.toggle("hk-problem", !clip && player.error !== "");
  }

  #drawTime(): void {
    const player = this.#player;
    this.#seek.at(player.seconds, player.duration);
    const word = this.#words.at(player.state === "playing" || player.state === "paused" ? player.seconds : null);
    if (word) {
      const line = this.#words.el; // a single line, which moves along with the words
      const [left, right] = [word.offsetLeft, word.offsetLeft + word.offsetWidth];
      if (left < line.scrollLeft || right > line.scrollLeft + line.clientWidth) line.scrollLeft = left - line.clientWidth / 4;
    }
    for (const cell of this.#cells.values()) {
      if (cell.row && cell.row.p === player.track?.p) cell.wave.progress(this.#share());
    }
  }

  dispose(): void {
    for (const off of this.#off) off();
    this.#cells.clear();
    this.#player.dispose();
  }
}

/** A button that plays or pauses; `showState` sets what it shows. */
export function playButton(): HTMLButtonElement {
  return h("button", { type: "button", class: "hk-small hk-play", "aria-label": "Play", "data-shown": "play" }, icon("play"));
}

export function showState(button: HTMLButtonElement, state: PlayState, what: string, error: string): void {
  const pauses = state === "playing" || state === "loading";
  const shown = state === "loading" ? "busy" : pauses ? "pause" : "play";
  if (button.dataset.shown !== shown) button.replaceChildren(shown === "busy" ? h("span", { class: "hk-busy" }) : icon(shown));
  button.dataset.shown = shown; // a row that scrolls into view takes over a button, mostly with the same icon
  button.classList.toggle("hk-failed", state === "failed");
  button.classList.toggle("hk-on", state === "playing");
  button.setAttribute("aria-label", `${pauses ? "Pause" : "Play"} ${what}`);
  button.title = state === "failed" ? error : "";
}
