// The chart: usage over time by voice, model or source, of the rows that the filters keep. A brush over periods and a
// click on a series filter.

import { Brush, type Bins } from "./brush";
import { KernelError, type Status } from "./channel";
import { countNoun, formatNumber, h } from "./dom";
import type { Host, Part } from "./host";
import { rove } from "./keys";
import { colorOf, Plot } from "./plot";
import { Floating } from "./popup";
import type { ChartReply, Filters, Requests } from "./protocol";
import { periodFilter, segmentAt, undated } from "./stack";

type Group = "voice" | "model" | "source";

const GROUPS: [Group, string][] = [
  ["voice", "Voice"],
  ["model", "Model"],
  ["source", "Source"],
];
const PERIODS: [string, string][] = [
  ["auto", "Auto"],
  ["h", "Hour"],
  ["D", "Day"],
  ["W", "Week"],
  ["MS", "Month"],
  ["QS", "Quarter"],
  ["YS", "Year"],
];
const MEASURES: [string, string][] = [
  ["credits", "Credits"],
  ["characters", "Characters"],
  ["items", "Items"],
];
const NOT_KNOWN = "–";
const BUSY_AFTER = 300;
const HEIGHT = 230;

export function makeChart(host: Host): Part {
  return new Chart(host);
}

class Chart implements Part {
  readonly el: HTMLElement;
  readonly #host: Host;
  readonly #by = select("Group", GROUPS);
  readonly #freq = select("Period", PERIODS);
  readonly #measure = select("Measure", MEASURES);
  readonly #busy = h("span", { class: "hk-busy", "aria-hidden": "true", hidden: true });
  readonly #all = h("button", { type: "button", class: "hk-button", hidden: true }, "All dates");
  readonly #asTable = h("button", { type: "button", class: "hk-button" }, "Show as table");
  readonly #canvas = h("div", { class: "hk-chart-canvas", role: "img" });
  readonly #column = h("div", { class: "hk-chart-column", hidden: true });
  readonly #bars = h("div", { class: "hk-chart-bars hk-fixed" }, this.#column);
  readonly #text = h("p", { class: "hk-chart-text", hidden: true });
  readonly #picture = h("div", { class: "hk-chart-picture" }, this.#canvas, this.#bars, this.#text);
  readonly #table = h("div", { class: "hk-chart-table", role: "group", tabindex: 0, hidden: true });
  readonly #legend = h("div", { class: "hk-legend", role: "group" });
  readonly #note = h("p", { class: "hk-chart-note", hidden: true });
  readonly #tip = new Floating("hk-tip hk-chart-tip", "tooltip");
  readonly #brush: Brush;
  readonly #sizes: ResizeObserver;
  readonly #off: (() => void)[] = [];
  #reply: ChartReply | null = null;
  #plot: Plot | null = null;
  /** The filters and choices that were last asked for, in one text. */
  #asked = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #frame = 0;
  #hovered: [period: number, series: number | null] | null = null;

  constructor(host: Host) {
    this.#host = host;
    this.#brush = new Brush(
      "Period of the chart",
      this.#bars,
      {
        brushed: (bins) => {
          this.#brushed(bins);
        },
        hovered: (period, event) => {
          this.#hover(period, event);
        },
        clicked: (period, event) => {
          this.#click(period, event);
        },
      },
      { late: true },
    );
    const controls = h("div", { class: "hk-chart-controls" }, this.#measure, h("span", {}, "by"), this.#by, h("span", {}, "per"), this.#freq, this.#busy);
    this.el = h(
      "div",
      { class: "hk-chart", role: "group", "aria-label": "Chart of usage" },
      controls,
      this.#picture,
      this.#table,
      this.#legend,
      h("div", { class: "hk-chart-foot" }, this.#note, h("div", { class: "hk-chart-buttons" }, this.#all, this.#asTable)),
      this.#tip.el,
    );
    for (const control of [this.#by, this.#freq, this.#measure]) {
      control.addEventListener("change", () => {
        this.#ask(true);
      });
    }
    this.#all.addEventListener("click", () => {
      this.#allDates();
    });
    this.#asTable.addEventListener("click", () => {
      this.#toggleTable();
    });
    this.#picture.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#all.hidden) return; // with a brush it goes first
      event.preventDefault();
      event.stopPropagation();
      this.#allDates();
    });
    rove(this.#legend, () => [...this.#legend.querySelectorAll<HTMLElement>("button")]);
    this.#off.push(
      host.on("changed", () => {
        this.#follow();
      }),
      host.on("theme", () => {
        this.#draw();
        this.#showLegend();
      }),
      host.channel.on("status", (status) => {
        this.#onStatus(status);
      }),
    );
    this.#sizes = new ResizeObserver(() => {
      cancelAnimationFrame(this.#frame);
      this.#frame = requestAnimationFrame(() => {
        this.#draw();
      });
    });
    this.#sizes.observe(this.#picture);
  }

  get #group(): Group | null {
    const by = this.#reply?.by;
    return by === "voice" || by === "model" || by === "source" ? by : null;
  }

  /** What the chart depends on: order and ticks of rows are no part of it. */
  #question(): string {
    return JSON.stringify([this.#host.state.filters, this.#by.value, this.#freq.value, this.#measure.value]);
  }

  /** The explorer has changed: ask for the numbers of its filters, if these are others. */
  #follow(): void {
    const { filters, columns, chart } = this.#host.state;
    if (this.#asked === "") {
      const others = columns.filter(({ kind, filter }) => kind === "category" && filter === null);
      this.#by.append(...others.map(({ key, label }) => h("option", { value: key }, label)));
      for (const [control, value] of [[this.#by, chart.by], [this.#freq, chart.freq], [this.#measure, chart.measure]] as const) {
        control.value = value;
        if (control.selectedIndex < 0) control.selectedIndex = 0;
      }
    }
    this.#all.hidden = filters.after === null && filters.before === null && filters.first === null && filters.last === null;
    if (this.#asked !== this.#question()) this.#ask();
  }

  /** Ask for the numbers; `chosen` if people chose what the chart shows, so that the kernel keeps it. */
  #ask(chosen = false): void {
    const asked = this.#question();
    this.#asked = asked;
    this.#wait(true);
    const choice = { by: this.#by.value, freq: this.#freq.value, measure: this.#measure.value };
    const request = { version: this.#host.state.version, ...choice, ...(chosen ? { chosen } : {}) };
    const merge = (older: Requests["chart"][0], newer: Requests["chart"][0]): Requests["chart"][0] => ({ ...(older.chosen ? { chosen: true } : {}), ...newer });
    this.#host.channel.latest("chart", request, { merge }).then(
      ({ reply }) => {
        if (asked !== this.#question()) return; // the numbers of earlier filters; others are asked for
        if (reply.version > this.#host.state.version) {
          this.#asked = "later"; // filters have changed, and the news of it comes next
          return;
        }
        this.#wait(false);
        this.#show(reply);
      },
      (error: unknown) => {
        if (error instanceof KernelError && asked === this.#question()) {
          this.#wait(false);
          if (this.#host.channel.status !== "gone") this.#refuse(error.message);
        }
      },
    );
  }

  #wait(on: boolean): void {
    clearTimeout(this.#timer);
    this.el.setAttribute("aria-busy", String(on));
    if (on) {
      this.#timer = setTimeout(() => {
        this.#busy.hidden = false;
      }, BUSY_AFTER);
    } else this.#busy.hidden = true;
  }

  #onStatus(status: Status): void {
    if (status === "gone") this.#wait(false);
  }

  #show(reply: ChartReply): void {
    this.#reply = reply;
    const auto = this.#freq.options[0];
    const name = PERIODS.find(([freq]) => freq === reply.freq)?.[1] ?? "";
    if (auto) auto.textContent = this.#freq.value === "auto" ? `Auto: ${name.toLowerCase()}` : "Auto";
    this.#message(reply.periods.length > 0 ? "" : reply.alt);
    this.#draw();
    this.#brush.show(this.#periodLabels(reply), null, reply.periods.length > 1);
    this.#showLegend();
    this.#note.textContent = reply.note;
    this.#note.hidden = reply.note === null;
    if (!this.#table.hidden) this.#fillTable();
  }

  /** The kernel can't answer: say why in place of the bars. */
  #refuse(reason: string): void {
    this.#reply = null;
    this.#plot?.destroy();
    this.#plot = null;
    this.#brush.show([], null, false);
    this.#legend.replaceChildren();
    this.#table.replaceChildren(h("p", { class: "hk-muted" }, reason));
    this.#note.hidden = true;
    this.#message(reason);
  }

  #message(text: string): void {
    this.#text.textContent = text;
    this.#text.hidden = text === "";
    this.#canvas.hidden = text !== "";
    this.#bars.hidden = text !== "";
  }

  #periodLabels({ periods, totals }: ChartReply): string[] {
    return periods.map((period, index) => `${period}: ${this.#amount(totals[index] ?? null)}`);
  }

  #amount(value: number | null): string {
    const measure = this.#reply?.measure ?? "credits";
    return value === null ? `${measure} not known` : countNoun(value, measure.slice(0, -1));
  }

  #draw(): void {
    this.#plot?.destroy();
    this.#plot = null;
    const reply = this.#reply;
    const width = this.#picture.clientWidth;
    if (!reply || reply.periods.length === 0 || width === 0) return;
    const context = h("canvas").getContext("2d");
    if (!context) {
      this.#message(reply.alt); // a browser that doesn't draw
      return;
    }
    this.#canvas.setAttribute("aria-label", reply.alt);
    this.#plot = new Plot(reply, this.#host.theme, context, this.#canvas, width, HEIGHT);
    const { left, top, width: wide, height } = this.#plot.box;
    this.#bars.style.cssText = `left: ${left}px; top: ${top}px; width: ${wide}px; height: ${height}px`;
  }

  #showLegend(): void {
    const reply = this.#reply;
    if (!reply) return;
    const { theme } = this.#host;
    const buttons = [...this.#legend.children];
    const focused = buttons.findIndex((button) => button.matches(":focus"));
    this.#legend.setAttribute("aria-label", `${this.#by.selectedOptions[0]?.textContent ?? ""}: click to filter`);
    const items = reply.series.map(({ key, label, total }, index) => {
      const amount = this.#amount(total);
      const only = this.#isOnly(key);
      const item = h(
        "button",
        {
          type: "button",
          class: "hk-legend-item",
          tabindex: -1,
          "aria-pressed": key === null ? null : String(only),
          "aria-disabled": this.#canFilter(key) ? null : "true",
          title: this.#canFilter(key) ? `${label}: ${amount}. ${only ? "Click to show all" : "Click to show only these rows"}` : `${label}: ${amount}`,
          onclick: () => {
            this.#choose(key);
          },
          onpointerenter: () => this.#plot?.highlight(index),
          onpointerleave: () => this.#plot?.highlight(null),
          onfocus: () => this.#plot?.highlight(index),
          onblur: () => this.#plot?.highlight(null),
        },
        h("span", { class: "hk-swatch", style: `background: ${colorOf(theme, reply.series, index)}` }),
        h("span", { class: "hk-legend-label", dir: "auto" }, label),
        " ",
        h("span", { class: "hk-number" }, formatNumber(total)),
      );
      return item;
    });
    const stop = items[Math.min(Math.max(focused, 0), items.length - 1)];
    if (stop) stop.tabIndex = 0;
    this.#legend.replaceChildren(...items);
    if (this.#plot?.stack.unknown.includes(true)) {
      this.#legend.append(h("span", { class: "hk-legend-unknown" }, h("span", { class: "hk-swatch hk-striped" }), "not known in part"));
    }
    if (focused >= 0) stop?.focus();
  }

  #canFilter(key: string | null): key is string {
    return key !== null && this.#group !== null;
  }

  /** Whether a series is the only one that its filter keeps. */
  #isOnly(key: string | null): boolean {
    const group = this.#group;
    const values = group ? this.#host.state.filters[group] : [];
    return key !== null && values.length === 1 && values[0] === key;
  }

  /** Keep only the rows of a series; if these are the only ones already, all. */
  #choose(key: string | null): void {
    const group = this.#group;
    if (group && this.#canFilter(key)) this.#host.filter({ [group]: this.#isOnly(key) ? [] : [key] });
  }

  #brushed(bins: Bins | null): void {
    const reply = this.#reply;
    if (!reply || !bins) return;
    const filters: Partial<Filters> = periodFilter(reply.bounds, bins);
    if (Object.keys(filters).length > 0) this.#host.filter(filters);
  }

  #allDates(): void {
    if (this.#all.matches(":focus")) this.#asTable.focus(); // the button goes
    this.#host.filter({ after: null, before: null, first: null, last: null });
  }

  #seriesAt(period: number, event: PointerEvent): number | null {
    if (!this.#plot) return null;
    const y = event.clientY - this.#picture.getBoundingClientRect().top;
    return segmentAt(this.#plot.stack, period, this.#plot.valueAt(y));
  }

  #click(period: number, event: PointerEvent): void {
    const series = this.#seriesAt(period, event);
    if (series !== null) this.#choose(this.#reply?.series[series]?.key ?? null);
  }

  /** Show the numbers of the period under the pointer. */
  #hover(period: number | null, event?: PointerEvent): void {
    const series = period === null || !event ? null : this.#seriesAt(period, event);
    this.#bars.classList.toggle("hk-clickable", series !== null && this.#canFilter(this.#reply?.series[series]?.key ?? null));
    if (String(this.#hovered) === String(period === null ? null : [period, series])) return;
    const reply = this.#reply;
    if (period === null || !reply || !this.#plot) {
      this.#hovered = null;
      this.#column.hidden = true;
      this.#tip.hide();
      return;
    }
    this.#hovered = [period, series];
    const size = reply.periods.length;
    this.#column.hidden = false;
    this.#column.style.left = `${(100 * period) / size}%`;
    this.#column.style.width = `${100 / size}%`;
    const lines = reply.series.flatMap(({ label, values }, index) => {
      const value = values[period] ?? null;
      if (value === 0) return [];
      const swatch = h("span", { class: "hk-swatch", style: `background: ${colorOf(this.#host.theme, reply.series, index)}` });
      const number = value === null ? "not known" : formatNumber(value);
      return [h("div", { class: index === series ? "hk-tip-line hk-tip-here" : "hk-tip-line" }, swatch, h("span", { dir: "auto" }, label), h("span", { class: "hk-number" }, number))];
    });
    const head = h("div", { class: "hk-tip-head" }, h("b", {}, reply.periods[period] ?? ""), h("span", {}, this.#amount(reply.totals[period] ?? null)));
    this.#tip.el.replaceChildren(head, ...lines.reverse());
    this.#tip.show(this.#column);
  }

  #toggleTable(): void {
    const shown = this.#table.hidden;
    this.#table.hidden = !shown;
    this.#picture.hidden = shown;
    this.#asTable.textContent = shown ? "Show as chart" : "Show as table";
    if (shown) this.#fillTable();
    else this.#draw();
  }

  /** The numbers of the chart: a row for each period, and those of the rows without a date. */
  #fillTable(): void {
    const reply = this.#reply;
    if (!reply) return;
    this.#table.setAttribute("aria-label", reply.alt);
    const { periods, series, totals } = reply;
    const number = (value: number | null): HTMLElement =>
      value === null ? h("td", {}, h("span", { title: "not known" }, NOT_KNOWN)) : h("td", {}, formatNumber(value));
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    const row = (name: string, values: (number | null)[], total: number | null): HTMLElement =>
      h("tr", {}, h("th", { scope: "row" }, name), ...values.map(number), number(total));
    const rest = series.map(({ total, values }) => undated(total, values));
    const all = series.map(({ total }) => total);
    const rows = periods.map((period, index) => row(period, series.map(({ values }) => values[index] ?? null), totals[index] ?? null));
    if (rest.some((value) => value !== 0)) rows.push(row("without a date", rest, sum(rest)));
    const heads = ["Period", ...series.map(({ label }) => label), "Total"].map((label) => h("th", { scope: "col", dir: "auto" }, label));
    this.#table.replaceChildren(
      h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows), h("tfoot", {}, row("Total", all, sum(all)))),
    );
  }

  dispose(): void {
    for (const off of this.#off) off();
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#sizes.disconnect();
    this.#plot?.destroy();
    this.#tip.hide();
  }
}

function select(label: string, options: [value: string, text: string][]): HTMLSelectElement {
  return h("select", { class: "hk-select", "aria-label": label }, ...options.map(([value, text]) => h("option", { value }, text)));
}
