// The list of lines beside the takes: all of them scroll, and only those near the ones in view are loaded and drawn.

import { Overtaken, type Channel } from "./channel";
import { formatNumber, h, icon } from "./dom";
import type { Kept, LineRow, LinesReply } from "./protocol";
import { MOST_HEIGHT } from "./scroll";

const ROW_HEIGHT = 66;
const AROUND = 6;
const ASKED = 100;

export class LineList {
  readonly el: HTMLElement;
  /** What is searched for. */
  text = "";
  count = 0;
  readonly #channel: Channel;
  readonly #failed: (error: unknown) => void;
  readonly #list: HTMLElement;
  readonly #none = h("p", { class: "hk-muted hk-none", hidden: true }, "No line has this text.");
  readonly #options = new Map<number, HTMLElement>();
  readonly #size: ResizeObserver | null;
  readonly #id = `hk-line-${Math.random().toString(36).slice(2, 8)}`;
  #rows = new Map<number, LineRow>();
  /** Where the line that is shown is in the list; null if the search leaves it out. */
  #place: number | null = null;

  /** `opened` is called with the place of a line that is clicked. */
  constructor(channel: Channel, opened: (place: number) => void, failed: (error: unknown) => void) {
    this.#channel = channel;
    this.#failed = failed;
    this.#list = h("div", { class: "hk-line-list", role: "listbox", "aria-label": "Lines with several takes", tabindex: 0 });
    this.#list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest<HTMLElement>("[role=option]") : null;
      if (option) opened(Number(option.getAttribute("aria-posinset")) - 1);
    });
    this.el = h("div", { class: "hk-lines" }, this.#list, this.#none);
    this.el.addEventListener("scroll", () => {
      this.#draw();
    });
    this.#size = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(() => {
      this.#draw();
    });
    this.#size?.observe(this.el);
  }

  /** Show the lines that a search has found. */
  reset(text: string, found: LinesReply, place: number | null): void {
    this.text = text;
    this.count = found.count;
    this.#rows = new Map();
    this.#store(found);
    for (const option of this.#options.values()) option.remove();
    this.#options.clear();
    this.#list.style.height = `${Math.min(this.count * ROW_HEIGHT, MOST_HEIGHT)}px`;
    this.#list.hidden = this.count === 0;
    this.#none.hidden = this.count > 0;
    this.el.scrollTop = 0;
    this.select(place);
  }

  /** Mark the line that is shown, and scroll to it. */
  select(place: number | null): void {
    this.#place = place;
    if (place !== null) {
      const [top, room] = [place * ROW_HEIGHT, this.el.clientHeight];
      if (top < this.el.scrollTop) this.el.scrollTop = top;
      else if (top + ROW_HEIGHT > this.el.scrollTop + room) this.el.scrollTop = top + ROW_HEIGHT - room;
    }
    this.#draw();
    const option = place === null ? undefined : this.#options.get(place);
    if (option) this.#list.setAttribute("aria-activedescendant", option.id);
    else this.#list.removeAttribute("aria-activedescendant");
  }

  /** The place some lines further on, within the list; null if there is none but the one that is shown. */
  placeFrom(by: number): number | null {
    if (this.count === 0) return null;
    const place = this.#place === null ? 0 : Math.max(0, Math.min(this.#place + by, this.count - 1));
    return place === this.#place ? null : place;
  }

  /** Show which take of a line was chosen. */
  mark(n: number, { chosen_take: chosen }: Kept): void {
    for (const [place, row] of this.#rows) {
      if (row.n !== n) continue;
      row.chosen = chosen;
      const option = this.#options.get(place);
      if (option) this.#fill(option, row);
    }
  }

  focus(): void {
    this.#list.focus({ preventScroll: true });
  }

  /** Whether it has the focus. */
  has(element: Element | null): boolean {
    return element === this.#list;
  }

  #store({ start, lines }: LinesReply): void {
    for (const [offset, row] of lines.entries()) this.#rows.set(start + offset, row);
  }

  #draw(): void {
    const { scrollTop, clientHeight } = this.el;
    const first = Math.max(Math.floor(scrollTop / ROW_HEIGHT) - AROUND, 0);
    const last = Math.min(Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + AROUND, this.count);
    for (const [place, option] of this.#options) {
      if (place >= first && place < last) continue;
      option.remove();
      this.#options.delete(place);
    }
    let missing: number | null = null;
    let before: Element | null = null;
    for (let place = first; place < last; place += 1) {
      const row = this.#rows.get(place);
      if (!row) missing ??= place;
      const option: HTMLElement = this.#options.get(place) ?? this.#make(place, row);
      option.setAttribute("aria-selected", String(place === this.#place));
      if (!option.isConnected || option.previousElementSibling !== before) this.#list.insertBefore(option, before ? before.nextSibling : this.#list.firstChild);
      before = option;
    }
    if (missing !== null) this.#ask(missing);
  }

  #make(place: number, row: LineRow | undefined): HTMLElement {
    const option = h("div", {
      class: "hk-line-row",
      role: "option",
      id: `${this.#id}-${place}`,
      "aria-posinset": place + 1,
      "aria-setsize": this.count,
      style: `top: ${place * ROW_HEIGHT}px`,
    });
    this.#fill(option, row);
    this.#options.set(place, option);
    return option;
  }

  #fill(option: HTMLElement, row: LineRow | undefined): void {
    if (!row) {
      option.replaceChildren("…");
      return;
    }
    const facts = [row.voice, row.account, `${formatNumber(row.takes)} takes`].filter((fact) => fact !== null).join(" · ");
    option.classList.toggle("hk-chosen", row.chosen !== null);
    option.replaceChildren(
      h("div", { class: "hk-line-text", dir: row.rtl ? "rtl" : "auto" }, row.text),
      h(
        "div",
        { class: "hk-line-facts" },
        h("span", { class: "hk-muted", dir: "auto" }, facts),
        row.chosen !== null && h("span", { class: "hk-line-mark" }, icon("check"), `Take ${formatNumber(row.chosen)}`),
      ),
    );
  }

  #ask(place: number): void {
    if (this.#channel.inFlight("lines")) return; // when it comes, what is missing then is asked for
    const { text } = this;
    const start = Math.max(place - ASKED / 4, 0);
    this.#channel.latest("lines", { text, start, stop: start + ASKED }, { keep: true }).then(
      ({ reply }) => {
        if (text !== this.text) return;
        this.#store(reply);
        for (const [at, option] of this.#options) this.#fill(option, this.#rows.get(at));
        this.#draw();
      },
      (error: unknown) => {
        if (!(error instanceof Overtaken)) this.#failed(error);
      },
    );
  }

  dispose(): void {
    this.#size?.disconnect();
  }
}
