// The table: rows in a pool of elements over a scroll area of any length, with one roving focus.

import { activeElement, h } from "./dom";
import type { LeadColumn } from "./host";
import { keyName } from "./keys";
import { Floating } from "./popup";
import type { Column, Row } from "./protocol";
import { SPARE, type Rows } from "./rows";
import { ScaledScroll } from "./scroll";

/** A column in the order of the table, and its cell in the rows of the kernel. */
export interface ShownColumn extends Column {
  cell: number;
}

export interface GridActions {
  /** The table has another size. */
  resized(): void;
  /** The rows from first to last (exclusive) are in view. */
  see(first: number, last: number, direction: number): void;
  tick(from: number, to: number, on: boolean): void;
  tickAll(on: boolean): void;
  play(row: Row): void;
  open(row: Row): void;
  /** The focus went to a row, or its row was loaded. */
  focused(row: Row | undefined): void;
  /** The focus leaves the first row upwards, to the header of a column. */
  up(column: number): void;
  /** The whole text of a row whose text was cut. */
  wholeText(row: Row): Promise<string>;
}

interface RowElement {
  el: HTMLElement;
  tick: HTMLInputElement;
  leads: HTMLElement[];
  cells: HTMLElement[];
  /** What it shows, to leave it alone while that stays. */
  index: number;
  /** The number of the row that it had last, also when it is to be drawn anew. */
  place: number;
  /** null: nothing is drawn yet. */
  row: Row | undefined | null;
  ticked: boolean;
  /** The cell that Tab reaches, if one. */
  stop: HTMLElement | undefined;
}

const TICK_WIDTH = 34;
const LEAST_TEXT = 160;
const HOVER_WAIT = 450;
const SETTLED = 120;

export class Grid {
  readonly el: HTMLElement;
  readonly #grid: HTMLElement;
  readonly head = h("div", { class: "hk-head", role: "rowgroup" });
  readonly #canvas = h("div", { class: "hk-canvas", role: "presentation" });
  readonly #body = h("div", { class: "hk-body", role: "rowgroup" });
  readonly #layer = h("div", { class: "hk-layer", role: "presentation" });
  /** Lies over the rows while they move, which would each be hovered for a moment: that costs half of the time of a frame. */
  readonly #cover = h("div", { class: "hk-cover", role: "presentation", hidden: true });
  readonly #tip = new Floating("hk-tip", "tooltip");
  readonly #rows: Rows;
  readonly #actions: GridActions;
  readonly #leads: LeadColumn[];
  readonly #scroll = new ScaledScroll();
  readonly #resizes: ResizeObserver;
  #columns: ShownColumn[] = [];
  #widths: number[] = [];
  /** The column of texts was given a width, and takes no longer what room there is. */
  #fixed = false;
  #drawn = "";
  #shown = new Map<number, RowElement>();
  #free: RowElement[] = [];
  #focus = { index: 0, column: 1 };
  #anchor: number | null = null;
  #extended: [number, number] | null = null;
  #rowHeight = 30;
  #viewport = 0;
  #base = 0;
  #exactUntil = 0;
  #touching = false;
  #frame = 0;
  #settle: ReturnType<typeof setTimeout> | undefined;
  #hover: ReturnType<typeof setTimeout> | undefined;
  #lastTop = 0;
  #direction = 1;

  constructor(rows: Rows, leads: LeadColumn[], actions: GridActions) {
    this.#rows = rows;
    this.#leads = leads;
    this.#actions = actions;
    this.#body.append(this.#layer, this.#cover);
    this.#canvas.append(this.head, this.#body);
    this.#grid = h(
      "div",
      { class: "hk-grid", role: "grid", "aria-label": "History items", "aria-multiselectable": "true", tabindex: -1 },
      this.#canvas,
    );
    this.el = h("div", { class: "hk-table" }, this.#grid, this.#tip.el);
    this.#listen();
    this.#resizes = new ResizeObserver(() => {
      const wasHidden = this.#viewport === 0;
      this.#readRowHeight();
      this.layOut();
      this.measure();
      // A notebook takes what is out of its window off the page, and an element that comes back is scrolled to its top.
      if (wasHidden && this.#viewport > 0) this.#goTo(this.#scroll.top);
      this.#actions.resized();
    });
    this.#resizes.observe(this.#grid);
    this.#resizes.observe(this.head);
  }

  get columnCount(): number {
    return 1 + this.#leads.length + this.#columns.length;
  }

  get focus(): { index: number; column: number } {
    return { ...this.#focus };
  }

  /** Show other columns; their widths are those of `column.width`. */
  setColumns(columns: ShownColumn[]): void {
    this.#columns = columns;
    this.#focus.column = Math.min(this.#focus.column, this.columnCount - 1);
    this.setWidths(columns.map(({ width }) => width));
    for (const { el } of [...this.#shown.values(), ...this.#free]) el.remove();
    this.#shown.clear();
    this.#free = [];
    this.#grid.setAttribute("aria-colcount", String(this.columnCount));
    this.render();
  }

  /** Make the table high enough for a number of rows, if the window is. */
  setHeight(rows: number): void {
    this.#grid.style.setProperty("--hk-rows", String(rows));
  }

  /** Give the columns widths; `chosen` is the key of one that a user has sized. */
  setWidths(widths: number[], chosen?: string): void {
    this.#widths = widths;
    const fixed = this.#lead();
    this.#drawn = this.#layout();
    const texts = this.#columns.filter(({ kind }) => kind === "text");
    const text = texts.find(({ filter }) => filter === "text") ?? texts[0];
    if (text && text.key === chosen) this.#fixed = true;
    const stretched = this.#fixed ? undefined : text;
    const least = [...widths];
    if (stretched !== undefined && stretched === this.#columns[0] && this.#grid.clientWidth > 0) {
      // A text that stands first is read without scrolling sideways.
      const room = this.#grid.clientWidth - fixed.reduce((sum, width) => sum + width, 0);
      least[0] = Math.min(least[0] ?? room, Math.max(room, LEAST_TEXT));
    }
    const tracks = [
      ...fixed.map((width) => `${width}px`),
      ...least.map((width, index) => (this.#columns[index] === stretched ? `minmax(${width}px, 1fr)` : `${width}px`)),
    ];
    const total = [...fixed, ...least].reduce((sum, width) => sum + width, 0);
    this.#grid.style.setProperty("--hk-tracks", tracks.join(" "));
    this.#grid.style.setProperty("--hk-total", `${total}px`);
    let left = 0;
    for (const [index, width] of fixed.entries()) {
      this.#grid.style.setProperty(`--hk-left-${index}`, `${left}px`);
      left += width;
    }
  }

  /** Set the widths again if they depend on what has changed. */
  layOut(): void {
    if (this.#layout() !== this.#drawn) this.setWidths(this.#widths);
  }

  /** What the widths depend on beside those of the columns. */
  #layout(): string {
    return [...this.#lead(), this.#columns[0]?.kind === "text" ? this.#grid.clientWidth : ""].join();
  }

  /** The widths of the columns that stay in view; a lead column may be narrower in a narrow table. */
  #lead(): number[] {
    return [TICK_WIDTH, ...this.#leads.map(({ width }) => width)];
  }

  get widths(): number[] {
    return [...this.#widths];
  }

  /** Other rows stand in `rows` now: go to the top, or stay where it is. */
  reset(stay: boolean): void {
    this.#grid.setAttribute("aria-rowcount", String(this.#rows.count + 1));
    this.#body.setAttribute("role", this.#rows.count > 0 ? "rowgroup" : "presentation");
    this.#anchor = null;
    this.#extended = null;
    this.#focus.index = stay ? Math.max(Math.min(this.#focus.index, this.#rows.count - 1), 0) : 0;
    this.measure();
    if (!stay) this.#goTo(0);
    this.#hideTip();
    for (const element of this.#shown.values()) element.index = -1;
    this.render();
  }

  /** Rows were loaded or ticked: draw those in view again. */
  refresh(): void {
    this.render();
    const row = this.#rows.get(this.#focus.index);
    if (row) this.#actions.focused(row);
  }

  #readRowHeight(): void {
    this.#rowHeight = parseFloat(getComputedStyle(this.#grid).getPropertyValue("--hk-row")) || 30;
  }

  /** Take the size of the table. */
  measure(): void {
    const head = this.head.offsetHeight;
    const height = this.#rowHeight;
    this.#viewport = Math.max(this.#grid.clientHeight - head, 0);
    this.#scroll.resize(this.#rows.count * height, this.#viewport);
    this.el.style.setProperty("--hk-head", `${head}px`);
    this.#canvas.style.height = `${head + Math.max(this.#scroll.height, 1)}px`;
    this.#grid.style.setProperty("--hk-content", `${head + Math.max(this.#rows.count * height, 2 * height)}px`);
    this.#body.style.top = `${head}px`;
    this.#body.style.height = `${this.#viewport}px`;
    this.render();
  }

  /** The numbers of the rows in view: first, and one after the last. */
  range(): [number, number] {
    const first = Math.floor(this.#scroll.top / this.#rowHeight);
    const last = Math.ceil((this.#scroll.top + this.#viewport) / this.#rowHeight);
    return [Math.max(first, 0), Math.min(last, this.#rows.count)];
  }

  /** Tell which rows are in view. */
  #see(): [number, number] {
    const [first, last] = this.range();
    if (this.#scroll.top !== this.#lastTop) this.#direction = this.#scroll.top < this.#lastTop ? -1 : 1;
    this.#lastTop = this.#scroll.top;
    this.#actions.see(first, last, this.#direction);
    return [first, last];
  }

  /** Draw the rows in view. */
  render(): void {
    const [first, last] = this.#see();
    const [from, to] = [Math.max(first - SPARE, 0), Math.min(last + SPARE, this.#rows.count)];
    if (Math.abs(this.#base - from) > 10_000) {
      this.#base = from; // keeps the offsets small, where fractions of a pixel are exact
      for (const element of this.#shown.values()) element.index = -1;
    }
    const kept = this.#hasFocus() && this.#focus.index < this.#rows.count ? this.#focus.index : -1; // the focused row stays in the document out of view
    for (const [index, element] of this.#shown) {
      if ((index >= from && index < to) || index === kept) continue;
      this.#shown.delete(index);
      this.#setStop(element, undefined);
      this.#free.push(element);
    }
    this.#free.sort((one, other) => one.place - other.place); // taken in their order, few have to be moved to stand in it
    for (let index = from; index < to; index += 1) this.#show(index);
    if (kept >= 0) this.#show(kept);
    for (const { el } of this.#free) el.hidden = true;
    this.#layer.style.transform = `translateY(${this.#base * this.#rowHeight - this.#scroll.top}px)`;
  }

  #show(index: number): void {
    let element = this.#shown.get(index);
    if (!element) {
      element = this.#free.shift() ?? this.#makeRow();
      element.index = -1;
      element.place = index;
      element.el.hidden = false;
      this.#shown.set(index, element);
    }
    const row = this.#rows.get(index);
    if (element.index !== index) {
      element.el.style.transform = `translateY(${(index - this.#base) * this.#rowHeight}px)`;
      element.el.setAttribute("aria-rowindex", String(index + 2));
      element.el.classList.toggle("hk-odd", index % 2 === 1);
    }
    if (element.row !== row) this.#fill(element, row);
    else if (element.index !== index) this.#fillLeads(element, row);
    element.index = index;
    if (row && element.ticked !== row.t) this.#drawTick(element, row);
    const stop = index === this.#focus.index ? (element.el.children[this.#focus.column] as HTMLElement) : undefined;
    this.#setStop(element, stop);
  }

  #setStop(element: RowElement, stop: HTMLElement | undefined): void {
    if (stop === element.stop) return;
    if (element.stop) element.stop.tabIndex = -1;
    if (stop) stop.tabIndex = 0;
    element.el.classList.toggle("hk-focused", stop !== undefined);
    element.stop = stop;
  }

  #makeRow(): RowElement {
    const tick = h("input", { type: "checkbox", tabindex: -1, "aria-label": "Tick" });
    const leads = this.#leads.map((lead, index) => {
      const cell = h("div", { class: "hk-cell hk-lead", role: "gridcell", "aria-colindex": index + 2, tabindex: -1 });
      cell.style.left = `var(--hk-left-${index + 1})`;
      lead.create(cell);
      return cell;
    });
    const cells = this.#columns.map((column, index) =>
      h("div", {
        class: `hk-cell hk-${column.kind}${column.align === "right" ? " hk-right" : ""}`,
        role: "gridcell",
        "aria-colindex": index + 2 + leads.length,
        dir: column.kind === "text" || column.kind === "category" ? "auto" : null,
        tabindex: -1,
      }),
    );
    const first = h("div", { class: "hk-cell hk-tick", role: "gridcell", "aria-colindex": 1, tabindex: -1 }, tick);
    const el = h("div", { class: "hk-row", role: "row" }, first, ...leads, ...cells);
    this.#layer.append(el);
    return { el, tick, leads, cells, index: -1, place: -1, row: null, ticked: false, stop: undefined };
  }

  #fill(element: RowElement, row: Row | undefined): void {
    element.row = row;
    element.el.classList.toggle("hk-waiting", !row);
    element.cells.forEach((cell, index) => {
      const text = row?.c[this.#columns[index]?.cell ?? index] ?? "";
      if (!(cell.firstChild instanceof Text)) cell.textContent = text;
      else if (cell.firstChild.data !== text) cell.firstChild.data = text;
      if (row?.rtl && cell.classList.contains("hk-text")) cell.dir = "rtl";
      else if (cell.dir === "rtl") cell.dir = "auto";
    });
    this.#fillLeads(element, row);
    if (row) this.#drawTick(element, row);
    else {
      element.tick.checked = false;
      element.ticked = false;
      element.el.removeAttribute("aria-selected");
    }
  }

  #fillLeads(element: RowElement, row: Row | undefined): void {
    this.#leads.forEach((lead, index) => {
      const cell = element.leads[index];
      if (cell) lead.update(cell, row);
    });
  }

  #drawTick(element: RowElement, row: Row): void {
    element.ticked = row.t;
    element.tick.checked = row.t;
    element.tick.setAttribute("aria-label", `Tick row ${row.n - this.#rows.base + 1}`);
    element.el.setAttribute("aria-selected", String(row.t));
  }

  #hasFocus(): boolean {
    const active = activeElement(this.el);
    return active !== null && this.#body.contains(active);
  }

  #listen(): void {
    this.#grid.addEventListener("scroll", () => {
      this.#onScroll();
    }, { passive: true });
    const exact = (): void => {
      this.#exactUntil = performance.now() + 300;
    };
    this.#grid.addEventListener("wheel", exact, { passive: true });
    for (const type of ["touchstart", "touchmove"]) {
      this.#grid.addEventListener(type, () => {
        this.#touching = true; // until the fling that follows has settled
      }, { passive: true });
    }
    this.#body.addEventListener("click", (event) => {
      this.#onClick(event);
    });
    this.#body.addEventListener("dblclick", (event) => {
      const row = this.#rows.get(this.#indexOf(event.target));
      if (row && !(event.target instanceof HTMLInputElement)) this.#actions.open(row);
    });
    this.#body.addEventListener("keydown", (event) => {
      this.#onKey(event);
    });
    this.#body.addEventListener("focusin", (event) => {
      const element = this.#elementOf(event.target);
      const cell = (event.target as HTMLElement).closest<HTMLElement>(".hk-cell");
      if (!element || !cell) return;
      if (event.target === element.tick) {
        cell.focus({ preventScroll: true }); // keys belong to the cell
        return;
      }
      const column = [...element.el.children].indexOf(cell);
      if (element.index === this.#focus.index && column === this.#focus.column) return;
      this.#focus = { index: element.index, column };
      this.render();
      this.#actions.focused(element.row ?? undefined);
    });
    this.#body.addEventListener("mouseover", (event) => {
      this.#onHover(event);
    });
    this.#grid.addEventListener("mouseleave", () => {
      this.#hideTip();
    });
  }

  #elementOf(target: EventTarget | null): RowElement | undefined {
    const el = target instanceof Element ? target.closest(".hk-row") : null;
    for (const element of this.#shown.values()) if (element.el === el) return element;
    return undefined;
  }

  #indexOf(target: EventTarget | null): number {
    return this.#elementOf(target)?.index ?? -1;
  }

  #onScroll(): void {
    if (this.#viewport === 0) return;
    this.#hideTip();
    const exact = this.#touching || performance.now() < this.#exactUntil;
    if (this.#scroll.scrolled(this.#grid.scrollTop, exact)) this.#place();
    this.#grid.classList.toggle("hk-across", this.#grid.scrollLeft > 0);
    this.#cover.hidden = false;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#touching = false;
      this.#cover.hidden = true;
      this.#place();
      this.#putInOrder();
    }, SETTLED);
    if (this.#frame) return;
    this.#see(); // the request is under way while the frame is drawn
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.render();
    });
  }

  /** Scroll the element to where the rows in view are. */
  #place(): void {
    const wanted = this.#scroll.scrollTop;
    if (Math.abs(this.#grid.scrollTop - wanted) >= 1) this.#grid.scrollTop = wanted;
    this.#scroll.placed(this.#grid.scrollTop);
  }

  #goTo(top: number): void {
    this.#scroll.go(top);
    this.#place();
    this.render();
  }

  /** Put the elements into the order of their rows, for screen readers; not while they move. */
  #putInOrder(): void {
    const active = activeElement(this.el);
    const sorted = [...this.#shown.entries()].sort(([one], [other]) => one - other).map(([, element]) => element.el);
    const focused = sorted.findIndex((el) => el.contains(active));
    putInOrder(sorted, focused >= 0 ? focused : middleOfLongestRun(sorted));
  }

  /** Scroll so that a row is in view. */
  reveal(index: number): void {
    const top = index * this.#rowHeight;
    const bottom = top + this.#rowHeight;
    if (top < this.#scroll.top) this.#goTo(top);
    else if (bottom > this.#scroll.top + this.#viewport) this.#goTo(bottom - this.#viewport);
    else this.render();
  }

  /** Put the focus on a cell and scroll to it. */
  focusCell(index: number, column = this.#focus.column): void {
    if (this.#rows.count === 0) return;
    this.#focus = {
      index: Math.max(Math.min(index, this.#rows.count - 1), 0),
      column: Math.max(Math.min(column, this.columnCount - 1), 0),
    };
    this.reveal(this.#focus.index);
    this.#show(this.#focus.index);
    const element = this.#shown.get(this.#focus.index);
    const cell = element?.stop;
    cell?.focus({ preventScroll: true });
    if (cell) this.#revealAcross(cell);
    this.render();
    this.#actions.focused(this.#rows.get(this.#focus.index));
  }

  #revealAcross(cell: HTMLElement): void {
    if (this.#focus.column <= this.#leads.length) return; // these stay in view
    const fixed = this.#lead().reduce((sum, width) => sum + width, 0);
    const left = cell.offsetLeft;
    if (left < this.#grid.scrollLeft + fixed) this.#grid.scrollLeft = left - fixed;
    else if (left + cell.offsetWidth > this.#grid.scrollLeft + this.#grid.clientWidth) {
      this.#grid.scrollLeft = Math.min(left - fixed, left + cell.offsetWidth - this.#grid.clientWidth);
    }
  }

  #onClick(event: MouseEvent): void {
    const element = this.#elementOf(event.target);
    if (!element?.row) {
      if (event.target instanceof HTMLInputElement) event.preventDefault(); // the tick of a row that waits
      return;
    }
    const onTick = event.target instanceof Element && event.target.closest(".hk-tick") !== null;
    if (onTick || event.shiftKey) {
      if (!(event.target instanceof HTMLInputElement)) event.preventDefault();
      const from = event.shiftKey && this.#anchor !== null ? this.#anchor : element.index;
      const on = event.shiftKey && this.#anchor !== null ? (this.#rows.get(this.#anchor)?.t ?? true) : !element.row.t;
      this.#anchor = element.index;
      this.#extended = null;
      this.#actions.tick(Math.min(from, element.index), Math.max(from, element.index), on);
    }
  }

  #onKey(event: KeyboardEvent): void {
    const key = keyName(event);
    if (event.target instanceof HTMLButtonElement && (key === "Space" || key === "Enter")) return;
    if (!this.#handle(key)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #handle(key: string): boolean {
    const { index, column } = this.#focus;
    const page = Math.max(Math.floor(this.#viewport / this.#rowHeight) - 1, 1);
    const row = this.#rows.get(index);
    const last = this.#rows.count - 1;
    const steps: Record<string, number> = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      "Ctrl+Home": 0,
      "Ctrl+End": last,
      "Ctrl+ArrowUp": 0,
      "Ctrl+ArrowDown": last,
    };
    const step = steps[key];
    if (step !== undefined) {
      if (step < 0 && index === 0) this.#actions.up(column);
      else this.focusCell(step, key === "Ctrl+Home" ? 0 : column);
      this.#extended = null;
      return true;
    }
    if (key.startsWith("Shift+")) {
      const target = steps[key.slice(6)];
      if (target === undefined) return false;
      this.#extend(Math.max(Math.min(target, last), 0));
      return true;
    }
    switch (key) {
      case "ArrowRight":
        this.focusCell(index, column + 1);
        return true;
      case "ArrowLeft":
        this.focusCell(index, column - 1);
        return true;
      case "Home":
        this.focusCell(index, 0);
        return true;
      case "End":
        this.focusCell(index, this.columnCount - 1);
        return true;
      case "Space":
        if (column === 0) this.#toggle(index);
        else if (row) this.#actions.play(row);
        return true;
      case "t":
        this.#toggle(index);
        return true;
      case "Ctrl+a":
        this.#actions.tickAll(true);
        return true;
      case "Enter":
        if (row) this.#actions.open(row);
        return true;
      case "Escape":
        if (!this.#tip.shown) return false;
        this.#hideTip();
        return true;
      default:
        return false;
    }
  }

  #toggle(index: number): void {
    const row = this.#rows.get(index);
    if (!row) return;
    this.#anchor = index;
    this.#extended = null;
    this.#actions.tick(index, index, !row.t);
  }

  /** Tick from where the extension began to a row, and untick what it no longer reaches. */
  #extend(target: number): void {
    const start = this.#extended?.[0] ?? this.#focus.index;
    const before = this.#extended?.[1] ?? start;
    this.#extended = [start, target];
    this.#anchor = start;
    const [low, high] = [Math.min(start, target), Math.max(start, target)];
    if (before > high) this.#actions.tick(high + 1, before, false);
    if (before < low) this.#actions.tick(before, low - 1, false);
    this.#actions.tick(low, high, true);
    this.focusCell(target);
  }

  /** Show the whole text of a cell that is cut, after a moment. */
  #onHover(event: MouseEvent): void {
    const cell = event.target instanceof Element ? event.target.closest<HTMLElement>(".hk-cell") : null;
    this.#hideTip();
    const element = this.#elementOf(event.target);
    if (!cell || !element?.row || cell.classList.contains("hk-lead") || cell.classList.contains("hk-tick")) return;
    const { row } = element;
    this.#hover = setTimeout(() => {
      const cut = row.full === true && cell.classList.contains("hk-text");
      if (element.row !== row || (!cut && cell.scrollWidth <= cell.clientWidth)) return;
      this.#showTip(cell, cell.textContent);
      if (!cut) return;
      this.#actions.wholeText(row).then(
        (text) => {
          if (this.#tip.shown && element.row === row) this.#showTip(cell, text);
        },
        () => undefined, // the cut text stays
      );
    }, HOVER_WAIT);
  }

  #showTip(cell: HTMLElement, text: string): void {
    this.#tip.el.textContent = text;
    this.#tip.el.dir = "auto";
    this.#tip.show(cell);
  }

  #hideTip(): void {
    clearTimeout(this.#hover);
    this.#tip.hide();
  }

  dispose(): void {
    this.#resizes.disconnect();
    clearTimeout(this.#settle);
    clearTimeout(this.#hover);
    if (this.#frame) cancelAnimationFrame(this.#frame);
  }
}

/** Move elements to where they follow each other; one of them stays where it is, as an element that moves loses the focus. */
function putInOrder(elements: HTMLElement[], fixed: number): void {
  for (let index = fixed - 1; index >= 0; index -= 1) {
    const [el, next] = [elements[index], elements[index + 1]];
    if (el && next && el.nextElementSibling !== next) next.before(el);
  }
  for (let index = fixed + 1; index < elements.length; index += 1) {
    const [previous, el] = [elements[index - 1], elements[index]];
    if (previous && el && el.previousElementSibling !== previous) previous.after(el);
  }
}

/** The middle one of the most elements that follow each other already. */
function middleOfLongestRun(elements: HTMLElement[]): number {
  let [best, longest, start] = [0, 0, 0];
  for (let index = 1; index <= elements.length; index += 1) {
    if (index < elements.length && elements[index]?.previousElementSibling === elements[index - 1]) continue;
    if (index - start > longest) [best, longest] = [start, index - start];
    start = index;
  }
  return best + Math.floor(longest / 2);
}
