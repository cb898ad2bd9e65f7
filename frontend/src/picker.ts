// The picker of takes: a line at a time, its takes beside one another, and a list of all lines.

import { Channel, Overtaken, type Model } from "./channel";
import { activeElement, Announcer, debounce, formatNumber, h, icon } from "./dom";
import { markView, markWaiting } from "./kept";
import { keepKeys, keyName, takesText } from "./keys";
import { LineList } from "./lines";
import { Notices } from "./notices";
import { Player, type PlayerHost } from "./player";
import type { Kept, LineReply, PickerReply, Progress, Take } from "./protocol";
import { spokenText, TakeCard, type TakeEvents } from "./take";
import { watchTheme } from "./theme";
import { LitText } from "./words";

const TYPING_PAUSE = 150;
/** A line that is shown for so long has its clips loaded, so that a key plays them at once. */
const PREPARE_AFTER = 300;
const PREPARED = 9;
const FIRST_LINES = 100;
const PAGE = 5;
const KEYS: [string, string][] = [
  ["1 – 9", "play a take"],
  ["Space", "pause"],
  ["← →", "takes"],
  ["↑ ↓", "lines"],
  ["Enter", "keep and go on"],
  ["Delete", "take the choice back"],
  ["U", "undo"],
  ["/", "search"],
];

export class Picker implements TakeEvents {
  readonly root: HTMLElement;
  readonly channel: Channel;
  readonly player: Player;
  readonly #announcer = new Announcer();
  readonly #notices: Notices;
  readonly #list: LineList;
  readonly #search = h("input", {
    type: "search",
    class: "hk-search",
    placeholder: "Search the lines",
    "aria-label": "Search the lines",
    autocomplete: "off",
    spellcheck: "false",
    dir: "auto",
  });
  readonly #found = h("span", { class: "hk-found hk-muted" });
  readonly #typed = debounce(() => {
    this.#searchLines();
  }, TYPING_PAUSE);
  readonly #bar = h("progress", { "aria-label": "Lines with a choice", max: 1, value: 0 });
  readonly #count = h("span", { class: "hk-count" });
  readonly #undo: HTMLElement;
  readonly #number = h("h3", { class: "hk-line-number", tabindex: -1 });
  readonly #voice = h("div", { class: "hk-line-voice" });
  readonly #text: LitText;
  readonly #note = h("p", { class: "hk-muted", hidden: true });
  readonly #cards = h("ol", { class: "hk-cards", "aria-label": "Takes of this line" });
  readonly #done = h("p", { class: "hk-done", hidden: true });
  readonly #main: HTMLElement;
  readonly #empty = h("p", { class: "hk-no-takes", hidden: true });
  readonly #off: (() => void)[];
  #state: PickerReply | null = null;
  #line: LineReply | null = null;
  #takes: TakeCard[] = [];
  #current = 0;
  /** The share of the clip from which the take that is being loaded is to play. */
  #share = 0;
  #opening = false;
  /** The search that was sent last; the list may still show an older one. */
  #asked = "";
  /** A choice is on its way, or another line: keys that act on takes wait, since they are meant for what comes. */
  #sending = false;
  #coming = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(el: HTMLElement, model: Model) {
    // The root takes the focus of a click beside its controls, so that keys work there, too.
    this.root = h("div", { class: "histkit-explorer histkit-picker", role: "group", "aria-label": "Picker of takes", tabindex: -1 });
    el.append(this.root);
    this.channel = new Channel(model);
    this.#notices = new Notices(this.channel, this.root);
    const fail = (error: unknown): void => {
      this.#notices.fail(error);
    };
    this.player = new Player(this.#playerHost());
    this.#list = new LineList(
      this.channel,
      (place) => {
        this.#go(place);
      },
      fail,
    );
    this.#text = new LitText("hk-whole", ({ start }) => {
      if (this.player.clip) this.player.seek(start);
    });
    const button = (label: string, title: string, action: () => void, ...content: (Node | string)[]): HTMLElement =>
      h("button", { type: "button", class: "hk-button", "aria-label": label, title, onclick: action }, ...content);
    this.#undo = button("Undo", "Undo the last choice (U)", () => { this.#undoLast(); }, icon("undo"), "Undo");
    const earlier = button("Earlier line", "Earlier line (↑)", () => { this.#move(-1); }, icon("previous"));
    const later = button("Later line", "Later line (↓)", () => { this.#move(1); }, icon("next"));
    this.#search.addEventListener("input", this.#typed);
    const help = KEYS.map(([key, words]) => h("span", {}, h("kbd", {}, key), ` ${words}`));
    this.#main = h(
      "div",
      { class: "hk-pick", hidden: true },
      h("div", { class: "hk-lines-side" }, h("div", { class: "hk-find" }, icon("search"), this.#search), this.#found, this.#list.el),
      h(
        "div",
        { class: "hk-stage" },
        h("div", { class: "hk-stage-head" }, earlier, this.#number, later, this.#voice),
        this.#text.el,
        this.#note,
        this.#cards,
        this.#done,
      ),
    );
    this.root.append(
      h("div", { class: "hk-tools hk-progress-line" }, this.#bar, this.#count, this.#undo, this.#notices.busy),
      this.#main,
      this.#empty,
      h("div", { class: "hk-keys", role: "note", "aria-label": "Keys" }, ...help),
      this.#notices.el,
      this.#announcer.el,
      this.player.el,
    );
    this.#off = [
      keepKeys(this.root),
      watchTheme(this.root, () => undefined),
      markWaiting(this.root, this.channel),
      this.channel.on("chosen", (event) => {
        if (event.by !== this.channel.view) this.#apply(event.n, event, event.progress);
      }),
      this.player.on("changed", () => {
        this.#drawSound();
      }),
      this.player.on("time", () => {
        this.#drawTime();
      }),
      this.player.on("peaks", (position) => {
        this.#takes.find(({ take }) => take.position === position)?.drawSound();
      }),
    ];
    this.root.addEventListener("keydown", (event) => {
      this.#onKey(event);
    });
    this.#open();
  }

  #playerHost(): PlayerHost {
    const stateNow = (): PlayerHost["state"] => ({ version: 0, count: 0, alignments: this.#state?.alignments ?? false });
    return {
      channel: this.channel,
      get state() {
        return stateNow();
      },
      rowAt: () => undefined,
      fail: () => {
        this.#announcer.say(this.player.error); // the card shows it
      },
      say: (text) => {
        this.#notices.say(text);
      },
    };
  }

  #open(): void {
    if (this.#opening) return;
    this.#opening = true;
    this.channel
      .request("open_picker", {})
      .then(({ reply }) => {
        this.#state = reply;
        markView(this.root, "open");
        this.#notices.setNotes(reply.notes);
        this.#empty.hidden = reply.empty === null;
        this.#empty.textContent = reply.empty ?? "";
        this.#main.hidden = reply.empty !== null;
        this.root.classList.toggle("hk-without-lines", reply.empty !== null);
        this.#asked = "";
        this.#list.reset("", reply.lines, reply.line?.place ?? null);
        this.#showProgress(reply.progress);
        if (reply.line) this.#show(reply.line);
      })
      .catch((error: unknown) => {
        if (this.channel.status !== "gone") markView(this.root, "open"); // to show the error
        this.#notices.fail(error);
      })
      .finally(() => {
        this.#opening = false;
      });
  }

  // Lines

  #show(line: LineReply): void {
    const focused = activeElement(this.root);
    const inCards = this.#cards.contains(focused);
    this.player.pause();
    this.#line = line;
    this.#done.hidden = true;
    const total = this.#state?.total ?? 0;
    this.#number.textContent = `Line ${formatNumber(line.n + 1)} of ${formatNumber(total)}`;
    const account = line.account === null ? [] : [h("span", { class: "hk-muted", dir: "auto" }, line.account)];
    this.#voice.replaceChildren(h("b", { dir: "auto" }, line.voice ?? "No voice"), ...account);
    this.#note.hidden = line.left_out === 0;
    this.#note.textContent = `The newest ${line.takes.length} of ${formatNumber(line.takes.length + line.left_out)} takes; keys play the first nine of them.`;
    this.#takes = line.takes.map((take) => new TakeCard(take, this.player, this));
    this.#cards.replaceChildren(...this.#takes.map(({ el }) => el));
    this.#list.select(line.place);
    this.#showKept();
    this.#setCurrent(Math.max(line.takes.findIndex(({ position }) => position === line.keeper), 0));
    if (inCards) this.#takes[this.#current]?.el.focus();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      void this.#prepare(line);
    }, PREPARE_AFTER);
  }

  #showKept(): void {
    const line = this.#line;
    if (line) for (const card of this.#takes) card.show(line);
  }

  /** Show the line at a place of the list. */
  #go(place: number): void {
    this.#list.select(place);
    this.#coming = true;
    this.channel.latest("line", { place, text: this.#list.text }).then(
      ({ reply }) => {
        this.#coming = false;
        this.#notices.say("");
        this.#show(reply);
        this.#announceLine("");
      },
      (error: unknown) => {
        if (error instanceof Overtaken) return; // another one comes
        this.#coming = false;
        this.#list.select(this.#line?.place ?? null);
        this.#notices.fail(error);
      },
    );
  }

  #move(by: number): void {
    if (this.#sending) return;
    const place = this.#list.placeFrom(by);
    if (place !== null) this.#go(place);
  }

  #searchLines(): void {
    const text = this.#search.value;
    if (text === this.#asked || !this.#state) return;
    this.#asked = text;
    const n = this.#line ? { n: this.#line.n } : {};
    this.channel.latest("lines", { text, start: 0, stop: FIRST_LINES, ...n }, { lane: "search" }).then(
      ({ reply }) => {
        this.#notices.say("");
        this.#list.reset(text, reply, reply.place);
        this.#found.textContent = text === "" ? "" : `${formatNumber(reply.count)} of ${formatNumber(this.#state?.total ?? 0)} lines`;
        this.#announcer.say(this.#found.textContent);
      },
      (error: unknown) => {
        if (!(error instanceof Overtaken)) this.#asked = this.#list.text;
        this.#notices.fail(error);
      },
    );
  }

  // The choice

  keep(take: Take): void {
    if (this.#line?.chosen === take.position) this.#choose(null);
    else this.#choose(take);
  }

  #choose(take: Take | null): void {
    const line = this.#line;
    if (!line || this.#sending || this.#coming || (take === null && line.chosen === null)) return;
    this.#sending = true;
    this.channel
      .request("choose", { n: line.n, position: take?.position ?? null, text: this.#list.text })
      .then(({ reply }) => {
        this.#notices.say("");
        this.#apply(reply.n, reply, reply.progress);
        const said = take ? `Kept take ${take.take}.` : "No take of this line is chosen.";
        if (reply.next && this.#line?.n === line.n) this.#show(reply.next);
        else if (take) this.#showDone(reply.progress);
        this.#announceLine(said);
      })
      .catch((error: unknown) => {
        this.#notices.fail(error);
      })
      .finally(() => {
        this.#sending = false;
      });
  }

  #undoLast(): void {
    if (this.#sending || this.#coming) return;
    this.#sending = true;
    this.channel
      .request("undo", { text: this.#list.text })
      .then(({ reply: { line, progress } }) => {
        this.#notices.say("");
        if (line) {
          this.#apply(line.n, line, progress);
          this.#show(line);
        }
        this.#announceLine(line ? "Undone." : "There is nothing to undo.");
      })
      .catch((error: unknown) => {
        this.#notices.fail(error);
      })
      .finally(() => {
        this.#sending = false;
      });
  }

  /** A take was chosen, or its choice was taken back, here or in another view. */
  #apply(n: number, kept: Kept, progress: Progress): void {
    this.#list.mark(n, kept);
    this.#showProgress(progress);
    if (this.#line?.n !== n) return;
    const { chosen, chosen_take, keeper } = kept;
    this.#line = { ...this.#line, chosen, chosen_take, keeper };
    this.#showKept();
  }

  #showProgress({ chosen, steps }: Progress): void {
    const total = this.#state?.total ?? 0;
    this.#bar.max = Math.max(total, 1);
    this.#bar.value = chosen;
    this.#count.textContent = `${formatNumber(chosen)} of ${formatNumber(total)} chosen`;
    this.#undo.setAttribute("aria-disabled", String(steps === 0));
  }

  #showDone({ chosen }: Progress): void {
    const all = chosen === this.#state?.total;
    this.#done.textContent = all ? "All lines are chosen: picker.keepers has the rows to keep." : "All lines that the search finds are chosen.";
    this.#done.hidden = false;
  }

  /** Tell screen readers what has happened, and which line is shown. */
  #announceLine(said: string): void {
    const line = this.#line;
    if (!line) return;
    const done = this.#done.hidden ? "" : this.#done.textContent;
    this.#announcer.say([said, done, `${this.#number.textContent}, ${line.takes.length} takes: ${line.text.slice(0, 120)}`].join(" "), 200);
  }

  // Takes

  #setCurrent(index: number): void {
    this.#current = index;
    for (const [at, card] of this.#takes.entries()) card.mark(at === index);
    this.#drawSound();
  }

  entered(take: Take): void {
    const index = this.#takes.findIndex((card) => card.take === take);
    if (index >= 0 && index !== this.#current) this.#setCurrent(index);
  }

  #focusTake(index: number): void {
    const card = this.#takes[index];
    if (!card) return;
    this.#setCurrent(index);
    // In the list the arrow keys go on to move among lines.
    if (!this.#list.has(activeElement(this.root))) card.el.focus();
    card.el.scrollIntoView({ block: "nearest" });
  }

  /** Play a take: if another one of the line plays, from the same place in it. */
  play(take: Take): void {
    if (this.player.track?.p === take.position) this.player.toggle({ p: take.position, n: null });
    else this.#playFrom(take, this.#placeOfOther(take));
  }

  #placeOfOther(take: Take): number {
    const { player } = this;
    if (player.track?.p === take.position || !this.#takes.some((card) => card.take.position === player.track?.p)) return 0;
    if (player.state === "loading") return this.#share;
    return player.state === "playing" && player.duration ? Math.min(player.seconds / player.duration, 1) : 0;
  }

  #playFrom(take: Take, share: number): void {
    this.#share = share;
    this.player.play({ p: take.position, n: null }, share);
  }

  seek(take: Take, seconds: number): void {
    const { player } = this;
    const duration = player.secondsOf(take.position);
    if (player.track?.p === take.position && player.clip) player.seek(seconds);
    else if (duration) this.#playFrom(take, seconds / duration);
  }

  /** Load the clips of a line ahead, that of the keeper first, up to one that fails: it says why when it is played. */
  async #prepare(line: LineReply): Promise<void> {
    const positions = line.takes.slice(0, PREPARED).map(({ position }) => position);
    try {
      for (const position of new Set([line.keeper, ...positions])) {
        await this.player.prepare(position);
        if (line.n !== this.#line?.n) return;
        this.#takes.find(({ take }) => take.position === position)?.drawSound();
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  }

  #drawSound(): void {
    for (const card of this.#takes) card.drawSound();
    const [line, take] = [this.#line, this.#takes[this.#current]?.take];
    if (!line || !take) return;
    const plays = this.player.track?.p === take.position;
    this.#text.el.dir = (take.spans ? take.rtl : line.rtl) ? "rtl" : "auto";
    this.#text.show(take.spans ? spokenText(take.spans) : line.text, plays ? (this.player.clip?.words ?? null) : null);
    this.#drawTime();
  }

  #drawTime(): void {
    const { player } = this;
    const card = this.#takes[this.#current];
    for (const each of this.#takes) if (each.take.position === player.track?.p) each.drawTime();
    const plays = card !== undefined && player.track?.p === card.take.position && player.state !== "loading";
    this.#text.at(plays ? player.seconds : null);
  }

  // Keys

  #onKey(event: KeyboardEvent): void {
    const { target } = event;
    if (event.defaultPrevented || event.isComposing) return;
    const handled = takesText(target) ? this.#onSearchKey(event) : this.#onCommand(event, target as HTMLElement);
    if (handled) event.preventDefault();
  }

  #onSearchKey(event: KeyboardEvent): boolean {
    switch (keyName(event)) {
      case "Escape":
        this.#search.value = "";
        this.#typed.cancel();
        this.#searchLines();
        this.#list.focus();
        return true;
      case "Enter":
      case "ArrowDown":
        this.#typed.flush();
        if (this.#list.count > 0) this.#list.focus();
        return true;
      default:
        return false;
    }
  }

  #onCommand(event: KeyboardEvent, target: HTMLElement): boolean {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    // Before digits: many keyboards have it above the 7.
    if (plain && event.key === "/") {
      this.#search.focus();
      this.#search.select();
      return true;
    }
    const digit = plain ? digitOf(event) : null;
    if (digit !== null) {
      const card = this.#coming ? undefined : this.#takes[digit - 1];
      if (!card) return false;
      const share = this.#placeOfOther(card.take);
      this.#focusTake(digit - 1);
      this.#playFrom(card.take, share);
      return true;
    }
    const onButton = target instanceof HTMLButtonElement;
    const onRange = target instanceof HTMLInputElement || target === this.#text.el; // a long text scrolls
    const card = this.#takes[this.#current];
    switch (keyName(event)) {
      case "Space":
        if (onButton) return false;
        if (card && !this.#coming) this.play(card.take);
        return true;
      case "Enter":
        if (onButton) return false;
        if (card) this.#choose(card.take);
        return true;
      case "Delete":
      case "Backspace":
        this.#choose(null);
        return true;
      case "u":
      case "Ctrl+z":
        this.#undoLast();
        return true;
      case "ArrowLeft":
      case "ArrowRight":
        if (onRange) return false;
        this.#focusTake(this.#current + (event.key === "ArrowRight" ? 1 : -1));
        return true;
      case "ArrowUp":
      case "ArrowDown":
        if (onRange) return false;
        this.#move(event.key === "ArrowDown" ? 1 : -1);
        return true;
      case "PageUp":
      case "PageDown":
        if (!this.#list.has(target)) return false;
        this.#move(event.key === "PageDown" ? PAGE : -PAGE);
        return true;
      case "Home":
      case "End":
        if (!this.#list.has(target)) return false;
        this.#move(event.key === "End" ? this.#list.count : -this.#list.count);
        return true;
      default:
        return false;
    }
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#typed.cancel();
    for (const off of this.#off) off();
    this.#list.dispose();
    this.player.dispose();
    this.#announcer.dispose();
    this.#notices.dispose();
    this.channel.dispose();
    this.root.remove();
  }
}

/** The digit of a key, 1 to 9; also of keyboards that want Shift for digits. Without NumLock a number pad has arrows. */
function digitOf(event: KeyboardEvent): number | null {
  const [, digit] = /^(?:Digit)?([1-9])$/.exec(/^[1-9]$/.test(event.key) ? event.key : event.code) ?? [];
  return digit === undefined ? null : Number(digit);
}
