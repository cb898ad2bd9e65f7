// The panel beside the table: everything about a row, its sound, and the takes of its line.

import { Overtaken } from "./channel";
import { activeElement, creditsText, h, icon } from "./dom";
import type { Host, Part } from "./host";
import { keyName, takesText } from "./keys";
import type { Player, Track } from "./player";
import type { DetailReply, Row } from "./protocol";
import { playButton, showState } from "./sound";
import { SeekBar } from "./waveform";
import { LitText } from "./words";

const BARS = 96;
const FOLLOW_AFTER = 120;

type Take = DetailReply["takes"][number];

export class Panel implements Part {
  readonly el: HTMLElement;
  readonly #host: Host;
  readonly #player: Player;
  readonly #heading = h("div", { class: "hk-panel-title", role: "heading", "aria-level": 3, tabindex: -1, dir: "auto" });
  readonly #note = h("p", { class: "hk-muted", hidden: true }, "The filters leave this row out of the table.");
  readonly #button = playButton();
  readonly #seek: SeekBar;
  readonly #sound: HTMLElement;
  readonly #text: LitText;
  readonly #rest = h("div", {});
  readonly #off: (() => void)[];
  #track: Track | null = null;
  #playable = false;
  #detail: DetailReply | null = null;
  #takes: { button: HTMLButtonElement; take: Take }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(host: Host, player: Player) {
    this.#host = host;
    this.#player = player;
    this.#seek = new SeekBar(BARS, (seconds) => {
      const shown = this.#track;
      const duration = shown && player.secondsOf(shown.p);
      if (this.#plays()) player.seek(seconds);
      else if (shown && duration) player.play(shown, seconds / duration);
    });
    this.#text = new LitText("hk-whole", ({ start }) => {
      if (this.#plays()) player.seek(start);
    });
    this.#button.addEventListener("click", () => {
      if (this.#track) player.toggle(this.#track);
    });
    this.#sound = h("div", { class: "hk-panel-sound" }, this.#button, this.#seek.el);
    const close = h(
      "button",
      {
        type: "button",
        class: "hk-small",
        "aria-label": "Close the panel",
        title: "Close (Escape)",
        onclick: () => {
          this.close();
        },
      },
      icon("close"),
    );
    this.el = h(
      "div",
      { class: "hk-panel", role: "group", "aria-label": "Row details", hidden: true },
      h("div", { class: "hk-panel-head" }, this.#heading, close),
      this.#note,
      this.#sound,
      this.#text.el,
      this.#rest,
    );
    this.el.addEventListener("keydown", (event) => {
      this.#onKey(event);
    });
    const onEscape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || event.defaultPrevented || this.el.hidden || takesText(event.target)) return;
      event.preventDefault();
      this.close();
    };
    host.root.addEventListener("keydown", onEscape);
    this.#off = [
      () => {
        host.root.removeEventListener("keydown", onEscape);
      },
      host.on("focused", (row) => {
        this.#follow(row);
      }),
      host.on("changed", () => {
        if (!this.el.hidden && this.#track) void this.#locate(this.#track);
      }),
      player.on("changed", () => {
        this.#drawSound();
      }),
      player.on("time", () => {
        this.#drawTime();
      }),
      player.on("peaks", () => {
        this.#drawSound();
      }),
      player.on("stepped", ({ to }) => {
        if (!this.el.hidden && this.#track) this.#show(to);
      }),
    ];
  }

  /** Show a row and move the focus into the panel. */
  open(row: Row): void {
    this.#show(row);
    this.#heading.focus();
  }

  close(): void {
    if (this.el.hidden) return;
    clearTimeout(this.#timer);
    const inside = this.el.contains(activeElement(this.el));
    this.#setOpen(false);
    this.#track = null;
    this.#detail = null;
    if (inside) this.#host.focusRow(this.#host.focusedIndex());
  }

  #setOpen(open: boolean): void {
    this.el.hidden = !open;
    this.#host.root.classList.toggle("hk-panel-open", open);
  }

  /** While it is open, it shows the row that has the focus. */
  #follow(row: Row | null): void {
    clearTimeout(this.#timer);
    if (this.el.hidden || !row || row.p === this.#track?.p) return;
    const focused = activeElement(this.#host.root);
    if (!focused?.closest(".hk-body")) return;
    this.#timer = setTimeout(() => {
      this.#show(row);
    }, FOLLOW_AFTER);
  }

  #show(track: Track & { playable?: boolean }): void {
    clearTimeout(this.#timer);
    this.#setOpen(true);
    if (track.p === this.#track?.p && this.#detail?.position === track.p) return;
    this.#track = { p: track.p, n: track.n };
    this.#playable = track.playable ?? true;
    this.#showPlace();
    this.#drawSound();
    this.el.setAttribute("aria-busy", "true");
    this.#host.channel.latest("detail", { position: track.p }, { lane: "panel" }).then(
      ({ reply }) => {
        if (reply.position !== this.#track?.p) return;
        this.el.setAttribute("aria-busy", "false");
        this.#fill(reply);
      },
      (error: unknown) => {
        this.el.setAttribute("aria-busy", "false");
        if (!(error instanceof Overtaken)) this.#host.fail(error);
      },
    );
  }

  #fill(detail: DetailReply): void {
    this.#detail = detail;
    const value = (label: string): string | undefined => detail.fields.find((field) => field.label === label)?.value;
    this.#heading.textContent = [value("Voice"), value("Date")].filter(Boolean).join(" · ") || "Row";
    this.#text.el.dir = detail.rtl ? "rtl" : "auto";
    this.#takes = [];
    const dialogue = detail.dialogue.flatMap(({ voice, text }) => [h("dt", { dir: "auto" }, voice), h("dd", { dir: "auto" }, text)]);
    this.#rest.replaceChildren(
      ...section("Dialogue", dialogue.length > 0 && h("dl", { class: "hk-dialogue" }, ...dialogue)),
      ...section(`Takes of this line (${detail.takes.length})`, detail.takes.length > 0 && this.#takeList(detail.takes)),
      ...section("Settings", facts(detail.settings)),
      ...section("Fields", facts(detail.fields)),
    );
    this.el.scrollTop = 0;
    this.#drawSound();
    this.#drawTime();
  }

  #takeList(takes: Take[]): HTMLElement {
    const items = takes.map((take) => {
      const button = playButton();
      this.#takes.push({ button, take });
      button.addEventListener("click", () => {
        this.#player.toggle({ p: take.position, n: null });
      });
      const words = h("span", {}, take.date ?? "no date", h("span", { class: "hk-muted" }, `, ${creditsText(take.credits)}`));
      const link = take.same
        ? h("span", { "aria-current": "true" }, words, " (this row)")
        : h("button", { type: "button", class: "hk-link", title: take.text, onclick: () => void this.#go(take) }, words);
      return h("li", {}, button, link);
    });
    return h("ol", { class: "hk-takes" }, ...items);
  }

  /** Go to a take's row where the table has it; else show it here only. */
  async #go(take: Take): Promise<void> {
    const track: Track = { p: take.position, n: null };
    await this.#locate(track);
    this.#show(track);
    if (track.n !== null) this.#host.focusRow(track.n);
    else this.#heading.focus();
  }

  async #locate(track: Track): Promise<void> {
    try {
      const { reply } = await this.#host.channel.request("find", { position: track.p });
      track.n = reply.n;
      if (track === this.#track) this.#showPlace();
    } catch (error) {
      this.#host.fail(error);
    }
  }

  #showPlace(): void {
    this.#note.hidden = this.#track?.n !== null;
  }

  #plays(): boolean {
    const { track, clip } = this.#player;
    return clip !== null && track?.p === this.#track?.p;
  }

  #drawSound(): void {
    const player = this.#player;
    if (this.el.hidden || !this.#track) return;
    const state = player.stateOf(this.#track.p);
    this.#sound.hidden = !this.#playable;
    showState(this.#button, state, "this row", player.error);
    this.#seek.draw(player.peaksOf(this.#track.p));
    for (const { button, take } of this.#takes) showState(button, player.stateOf(take.position), `the take of ${take.date ?? "no date"}`, player.error);
    const detail = this.#detail;
    if (detail?.position === this.#track.p) this.#text.show(detail.text, this.#plays() ? (player.clip?.words ?? null) : null);
    this.#drawTime();
  }

  #drawTime(): void {
    if (this.el.hidden) return;
    const player = this.#player;
    const plays = this.#plays();
    this.#seek.at(plays ? player.seconds : 0, plays ? player.duration : this.#track && player.secondsOf(this.#track.p));
    const word = this.#text.at(plays && player.state !== "loading" ? player.seconds : null);
    if (word && player.state === "playing") keepInView(this.el, word);
  }

  #onKey(event: KeyboardEvent): void {
    const { target } = event;
    if (keyName(event) !== "Space" || takesText(target) || target instanceof HTMLButtonElement || target instanceof HTMLInputElement) return;
    event.preventDefault();
    if (this.#track && this.#playable) this.#player.toggle(this.#track);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const off of this.#off) off();
  }
}

function section(label: string, content: HTMLElement | false): HTMLElement[] {
  return content ? [h("div", { class: "hk-panel-label", role: "heading", "aria-level": 4 }, label), content] : [];
}

function facts(values: { label: string; value: string }[]): HTMLElement | false {
  const parts = values.flatMap(({ label, value }) => [h("dt", {}, label), h("dd", { dir: "auto" }, value)]);
  return parts.length > 0 && h("dl", { class: "hk-facts" }, ...parts);
}

/** Scroll a panel, and nothing around it, so that one of its words is in view. */
function keepInView(panel: HTMLElement, word: HTMLElement): void {
  const [box, inside] = [panel.getBoundingClientRect(), word.getBoundingClientRect()];
  if (inside.bottom > box.bottom) panel.scrollTop += inside.bottom - box.bottom + box.height / 3;
  else if (inside.top < box.top) panel.scrollTop -= box.top - inside.top + box.height / 3;
}
