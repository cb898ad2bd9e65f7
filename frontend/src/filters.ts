// The search field, and the filters in force as chips that take them off again.

import { activeElement, debounce, h, icon } from "./dom";
import { keyName } from "./keys";
import type { Bounds, Filters } from "./protocol";

export const NO_FILTERS: Filters = {
  voice: [],
  model: [],
  source: [],
  first: null,
  last: null,
  after: null,
  before: null,
  text: "",
  pattern: false,
  credits: [null, null],
  characters: [null, null],
};

const TYPING_PAUSE = 100;

export interface Chip {
  label: string;
  value: string;
  /** What takes the filter off. */
  off: Partial<Filters>;
}

/** Return a chip for each filter in force; `name` gives the label of a voice, model or source. */
export function chipsOf(filters: Filters, name: (field: string, value: string) => string = (_, value) => value): Chip[] {
  const chips: Chip[] = [];
  for (const field of ["voice", "model", "source"] as const) {
    for (const value of filters[field]) {
      chips.push({ label: capital(field), value: name(field, value), off: { [field]: filters[field].filter((one) => one !== value) } });
    }
  }
  if (filters.first !== null || filters.last !== null) {
    chips.push({ label: "Days", value: rangeOf([filters.first, filters.last]), off: { first: null, last: null } });
  }
  if (filters.after !== null || filters.before !== null) {
    const from = filters.after === null ? null : instantText(filters.after);
    const to = filters.before === null ? null : lastText(filters.before);
    chips.push({ label: "Date", value: rangeOf([from, to]), off: { after: null, before: null } });
  }
  for (const field of ["credits", "characters"] as const) {
    if (isSet(filters[field])) chips.push({ label: capital(field), value: rangeOf(filters[field]), off: { [field]: [null, null] } });
  }
  if (filters.text !== "") {
    const value = filters.pattern ? `/${filters.text}/` : `“${filters.text}”`;
    chips.push({ label: "Text", value, off: { text: "" } });
  }
  return chips;
}

function isSet(bounds: Bounds): boolean {
  return bounds[0] !== null || bounds[1] !== null;
}

/** "5 – 10", "≥ 5" or "≤ 10". */
function rangeOf([least, most]: [number | string | null, number | string | null]): string {
  const text = (one: number | string): string => (typeof one === "number" ? one.toLocaleString("en-US") : one);
  if (least !== null && most !== null) return least === most ? text(least) : `${text(least)} – ${text(most)}`;
  if (least !== null) return typeof least === "number" ? `≥ ${text(least)}` : `from ${least}`;
  return most === null ? "" : typeof most === "number" ? `≤ ${text(most)}` : `to ${most}`;
}

/** "2026-03-01T00:00:00+01:00" as "2026-03-01", and with the time where it isn't midnight. */
function instantText(instant: string | number): string {
  const text = typeof instant === "number" ? new Date(1000 * instant).toISOString() : instant;
  const [day = "", time = ""] = text.split("T");
  return time.startsWith("00:00:00") || time === "" ? day : `${day} ${time.slice(0, 5)}`;
}

/** The end of a range that an instant is no part of: before a midnight, the day before. */
function lastText(instant: string | number): string {
  const text = instantText(instant);
  if (text.includes(" ")) return text;
  const day = new Date(`${text}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() - 1);
  return day.toISOString().slice(0, 10);
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export class FilterBar {
  readonly el: HTMLElement;
  readonly chips = h("div", { class: "hk-chips", role: "group", "aria-label": "Filters in force", hidden: true });
  readonly #input = h("input", {
    type: "search",
    class: "hk-search",
    placeholder: "Search the texts",
    "aria-label": "Search the texts",
    autocomplete: "off",
    spellcheck: "false",
    dir: "auto",
  });
  readonly #pattern = h(
    "button",
    { type: "button", class: "hk-button hk-toggle", "aria-pressed": "false", title: "Regular expression" },
    h("span", { "aria-hidden": "true" }, ".*"),
    h("span", { class: "hk-visually-hidden" }, "Regular expression"),
  );
  readonly #filter: (filters: Partial<Filters>) => void;
  readonly #search: ReturnType<typeof debounce>;
  #sent = "";
  /** The text of the last state that was shown, and whether none has come yet with the text that was sent. */
  #inForce = "";
  #isAwaited = false;

  constructor(filter: (filters: Partial<Filters>) => void) {
    this.#filter = filter;
    this.#search = debounce(() => {
      this.#send();
    }, TYPING_PAUSE);
    this.#input.addEventListener("input", () => {
      this.#search();
    });
    this.#input.addEventListener("keydown", (event) => {
      const key = keyName(event);
      if (key === "Enter") this.#search.flush();
      else if (key === "Escape" && this.#input.value !== "") {
        this.#input.value = "";
        this.#search.cancel();
        this.#send();
      } else return;
      event.preventDefault();
    });
    this.#pattern.addEventListener("click", () => {
      const pattern = this.#pattern.getAttribute("aria-pressed") !== "true";
      this.#pattern.setAttribute("aria-pressed", String(pattern));
      if (this.#input.value !== "") {
        this.#search.cancel();
        this.#send();
      }
    });
    this.el = h("div", { class: "hk-find" }, icon("search"), this.#input, this.#pattern);
  }

  focus(): void {
    this.#input.focus();
  }

  #send(): void {
    this.#sent = this.#input.value;
    this.#isAwaited = true;
    this.#filter({ text: this.#sent, pattern: this.#pattern.getAttribute("aria-pressed") === "true" });
  }

  /** The kernel refuses the search, or (null) takes it. */
  refuse(reason: string | null): void {
    if (reason === null) this.#input.removeAttribute("aria-invalid");
    else this.#input.setAttribute("aria-invalid", "true");
  }

  /** Show the filters in force. What is typed at this moment stays; so does a text that is on its way, or was refused. */
  show(filters: Filters, name: (field: string, value: string) => string): void {
    if (filters.text === this.#sent || filters.text !== this.#inForce) this.#isAwaited = false;
    this.#inForce = filters.text;
    const typing = activeElement(this.#input) === this.#input && this.#input.value !== filters.text;
    if (!this.#isAwaited && (!typing || this.#input.value === this.#sent)) {
      this.#input.value = filters.text;
      this.#sent = filters.text;
      if (filters.text !== "") this.#pattern.setAttribute("aria-pressed", String(filters.pattern));
    }
    const chips = chipsOf(filters, name);
    const focused = [...this.chips.children].findIndex((chip) => chip === activeElement(this.chips));
    this.chips.hidden = chips.length === 0;
    this.chips.replaceChildren(
      ...chips.map(({ label, value, off }) =>
        h(
          "button",
          {
            type: "button",
            class: "hk-chip",
            title: `Remove this filter: ${label} ${value}`,
            onclick: () => {
              this.#take(off);
            },
          },
          h("span", { class: "hk-visually-hidden" }, "Remove filter "),
          h("span", { class: "hk-chip-label" }, label),
          " ",
          h("span", { dir: "auto", class: "hk-chip-value" }, value),
          icon("close"),
        ),
      ),
    );
    if (chips.length === 0) return;
    this.chips.append(
      h(
        "button",
        {
          type: "button",
          class: "hk-button hk-clear",
          onclick: () => {
            this.clear();
          },
        },
        "Clear filters",
      ),
    );
    if (focused >= 0) (this.chips.children[Math.min(focused, chips.length)] as HTMLElement).focus();
  }

  #take(off: Partial<Filters>): void {
    if (off.text === "") this.#empty();
    this.#filter(off);
  }

  #empty(): void {
    this.#search.cancel();
    this.#input.value = "";
    this.#sent = "";
    this.#isAwaited = true;
  }

  /** Take every filter off. */
  clear(): void {
    this.#empty();
    this.#pattern.setAttribute("aria-pressed", "false");
    this.#filter(NO_FILTERS);
  }

  dispose(): void {
    this.#search.cancel();
  }
}
