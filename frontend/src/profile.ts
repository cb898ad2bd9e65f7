// The picture in a header: a histogram with a brush, or bars of the commonest values. Both filter.

import { Brush, type Bins } from "./brush";
import { activeElement, countNoun, formatNumber, h, svg } from "./dom";
import { rove } from "./keys";
import { Popup } from "./popup";
import type { Bars, BinBounds, Histogram } from "./protocol";

/** Return the bins that a filter's bounds cover; null if the bounds are not set. */
export function binsOf(bounds: BinBounds[], low: number | string | null, high: number | string | null): Bins | null {
  if (low === null && high === null) return null;
  const text = typeof bounds[0]?.[0] === "string";
  const value = (one: number | string): number => (typeof one === "number" ? one : Date.parse(one) / 1000);
  const exclusive = text || typeof low === "string" || typeof high === "string";
  const last = bounds.length - 1;
  const from = low === null ? 0 : bounds.findIndex(([, end]) => (exclusive ? value(end) > value(low) : value(end) >= value(low)));
  const to =
    high === null ? last : bounds.findLastIndex(([start]) => (exclusive ? value(start) < value(high) : value(start) <= value(high)));
  const first = from < 0 ? last : from;
  return [first, Math.max(to, first)];
}

/** The path of bars of given heights (0 to 1), each one unit wide in a box one unit high. */
export function barsPath(heights: number[]): string {
  return heights
    .map((height, index) => (height > 0 ? `M${index + 0.06} 1V${(1 - Math.max(height, 0.04)).toFixed(3)}h.88V1z` : ""))
    .join("");
}

export class HistogramProfile {
  readonly el: HTMLElement;
  readonly #all = svg("path", { class: "hk-all" });
  readonly #counts = svg("path", { class: "hk-counts" });
  readonly #picture = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" }, this.#all, this.#counts);
  readonly #note = h("div", { class: "hk-note" });
  readonly #brush: Brush;
  #profile: Histogram | null = null;

  constructor(label: string, brushed: (bins: Bins | null) => void) {
    const plot = h("div", { class: "hk-plot" }, this.#picture);
    this.el = h("div", { class: "hk-profile hk-histogram", role: "group", "aria-label": `${label}: histogram` }, plot, this.#note);
    this.#brush = new Brush(label, plot, {
      brushed,
      hovered: (bin) => {
        this.#describe(bin);
      },
    });
  }

  show(profile: Histogram, bins: Bins | null): void {
    this.#profile = profile;
    const most = Math.max(...profile.all, 1);
    this.#picture.setAttribute("viewBox", `0 0 ${Math.max(profile.all.length, 1)} 1`);
    this.#all.setAttribute("d", barsPath(profile.all.map((count) => count / most)));
    this.#counts.setAttribute("d", barsPath(profile.counts.map((count) => count / most)));
    this.#brush.show(profile.labels, bins, profile.bounds !== null);
  }

  /** Say what is under the pointer, else what is brushed, else how far the values reach. */
  #describe(bin: number | null): void {
    const profile = this.#profile;
    if (!profile || profile.all.length === 0) {
      this.#note.textContent = "no values";
      return;
    }
    if (bin !== null) {
      this.#note.textContent = `${profile.labels[bin] ?? ""}: ${formatNumber(profile.counts[bin] ?? 0)}`;
      return;
    }
    const [from, to] = this.#brush.bins ?? [0, profile.all.length - 1];
    this.#note.textContent = rangeText(profile.labels, from, to);
    const missing = profile.missing > 0 ? `, ${countNoun(profile.missing, "row")} without a value` : "";
    this.#note.title = `${this.#note.textContent}${missing}`;
  }
}

/** The text of a range of bins from their labels, as "0 – 1,200". */
export function rangeText(labels: string[], from: number, to: number): string {
  const [first = "", last = ""] = [labels[from], labels[to]];
  if (from === to) return first;
  const start = first.split(/\s*(?:–|\.\.\.|…| to )\s*/)[0] ?? first;
  const end = last.split(/\s*(?:–|\.\.\.|…| to )\s*/).at(-1) ?? last;
  return `${start} – ${end}`;
}

const SHOWN_BARS = 3;
/** With more values the popup can be searched. */
const MANY = 10;

export class BarsProfile {
  readonly el: HTMLElement;
  readonly #list: HTMLElement;
  readonly #more = h("button", { type: "button", class: "hk-more", "aria-haspopup": "dialog", "aria-expanded": "false" });
  readonly #popup: Popup;
  readonly #label: string;
  readonly #chosen: ((values: string[]) => void) | null;
  readonly #search = h("input", { type: "search", class: "hk-value-search", "data-value": "search", placeholder: "Search", spellcheck: "false", autocomplete: "off" });
  readonly #items = h("div", { class: "hk-values" });
  #profile: Bars | null = null;
  #values: string[] = [];

  /** `chosen` takes the values of the filter; without it the bars are only shown. */
  constructor(label: string, chosen: ((values: string[]) => void) | null) {
    this.#label = label;
    this.#chosen = chosen;
    this.#popup = new Popup(`${label}: values`);
    this.#list = h("div", { class: "hk-bars" });
    this.el = h(
      "div",
      { class: "hk-profile", role: "group", "aria-label": `${label}: values` },
      this.#list,
      this.#popup.el,
    );
    this.#search.setAttribute("aria-label", `Search in ${label}`);
    this.#search.addEventListener("input", () => {
      this.#showMatching();
    });
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#search.value === "") return;
      event.preventDefault();
      event.stopPropagation();
      this.#search.value = "";
      this.#showMatching();
    });
    this.#more.addEventListener("click", () => {
      this.#search.value = "";
      this.#fillPopup();
      this.#popup.toggle(this.#more);
    });
    rove(this.#list, () => [...this.#list.querySelectorAll("button")]);
    this.el.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#values.length === 0) return; // an open popup takes it for itself
      event.preventDefault();
      event.stopPropagation();
      this.#chosen?.([]);
    });
  }

  show(profile: Bars, values: string[]): void {
    this.#profile = profile;
    this.#values = values;
    const most = Math.max(...profile.values.map(({ all }) => all), 1);
    const chosen = profile.values.filter(({ value }) => values.includes(value));
    const others = profile.values.filter(({ value }) => !values.includes(value));
    const shown = [...chosen, ...others].slice(0, SHOWN_BARS);
    shown.sort((one, other) => profile.values.indexOf(one) - profile.values.indexOf(other));
    const active = activeElement(this.el);
    const focused = [...this.#list.querySelectorAll("button")].findIndex((button) => button === active);
    this.#list.replaceChildren(
      ...shown.map(({ value, label, count, all }) => {
        const pressed = values.includes(value);
        const bar = h(
          "button",
          {
            type: "button",
            class: "hk-bar",
            disabled: this.#chosen === null,
            tabindex: -1,
            "aria-pressed": String(pressed),
            title: `${label}: ${countNoun(count, "row")}${count === all ? "" : ` of ${formatNumber(all)}`}`,
            onclick: () => {
              this.#toggle(value);
            },
          },
          h("span", { class: "hk-bar-all", style: `width:${(100 * all) / most}%` }),
          h("span", { class: "hk-bar-count", style: `width:${(100 * count) / most}%` }),
          h("span", { class: "hk-bar-label" }, label),
          h("span", { class: "hk-bar-number" }, formatNumber(count)),
        );
        return bar;
      }),
    );
    const more = profile.values.length - shown.length;
    if (more > 0) {
      this.#more.textContent = `${formatNumber(more)} more`;
      this.#list.append(this.#more);
    }
    const buttons = [...this.#list.querySelectorAll("button")];
    const stop = buttons[Math.max(focused, 0)] ?? buttons[0];
    for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
    if (focused >= 0) stop?.focus();
    if (this.#popup.shown) this.#fillPopup();
  }

  #toggle(value: string): void {
    const on = this.#values.includes(value);
    this.#chosen?.(on ? this.#values.filter((one) => one !== value) : [...this.#values, value]);
  }

  /** Every value with a checkbox; its focus stays where it is. */
  #fillPopup(): void {
    const profile = this.#profile;
    if (!profile) return;
    const focused = this.#popup.el.querySelector<HTMLElement>(":focus")?.dataset.value;
    const items = profile.values.map(({ value, label, count, all }) => {
      const box = h("input", {
        type: "checkbox",
        "data-value": value,
        disabled: this.#chosen === null,
        onchange: () => {
          this.#toggle(value);
        },
      });
      box.checked = this.#values.includes(value);
      return h("label", { class: "hk-choice" }, box, h("span", { dir: "auto" }, label), h("span", { class: "hk-number" }, `${formatNumber(count)} of ${formatNumber(all)}`));
    });
    const clear = h(
      "button",
      {
        type: "button",
        class: "hk-button",
        "data-value": "",
        disabled: this.#chosen === null,
        onclick: () => {
          this.#chosen?.([]);
        },
      },
      "Clear",
    );
    const other = profile.other.all > 0 ? h("div", { class: "hk-number" }, `Other: ${formatNumber(profile.other.count)} of ${formatNumber(profile.other.all)}`) : null;
    this.#items.replaceChildren(...items, h("p", { class: "hk-muted", role: "status" }));
    this.#popup.el.replaceChildren(
      h("div", { class: "hk-popup-head" }, h("b", {}, this.#label), ...(items.length > MANY ? [this.#search] : [])),
      this.#items,
      ...(other ? [other] : []),
      clear,
    );
    this.#showMatching();
    if (focused !== undefined) this.#popup.el.querySelector<HTMLElement>(`[data-value="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Show the values whose labels have what is searched for. */
  #showMatching(): void {
    const wanted = fold(this.#search.value);
    let matches = 0;
    for (const item of this.#items.querySelectorAll<HTMLElement>("label")) {
      item.hidden = !fold(item.querySelector("span")?.textContent ?? "").includes(wanted);
      if (!item.hidden) matches += 1;
    }
    const note = this.#items.querySelector("p");
    if (note) note.textContent = matches === 0 ? "No value has this." : "";
  }

  dispose(): void {
    this.#popup.close(false);
  }
}

/** A text without letter case and marks over letters. */
function fold(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();
}
