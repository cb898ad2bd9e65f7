// The header of the table: a button that sorts, the profile of the column, and an edge that sets its width.

import { activeElement, h, icon } from "./dom";
import type { LeadColumn } from "./host";
import { keyName } from "./keys";
import { BarsProfile, binsOf, HistogramProfile } from "./profile";
import type { Column, Filters, Histogram, Profile, SortKey } from "./protocol";

export interface HeaderActions {
  sort(sort: SortKey[]): void;
  filter(filters: Partial<Filters>): void;
  tickAll(on: boolean): void;
  /** While an edge is dragged (`done` false) and at its end. */
  resize(key: string, width: number, done: boolean): void;
  /** The focus leaves the header downwards, from a column of the grid. */
  down(column: number): void;
}

interface HeaderCell {
  column: Column;
  el: HTMLElement;
  button: HTMLButtonElement;
  mark: HTMLElement;
  slot: HTMLElement;
  profile: HistogramProfile | BarsProfile | null;
}

const LEAST_WIDTH = 48;
const MOST_WIDTH = 1200;

/** The sort after a click on a column: ascending, descending, none; `add` keeps the other keys. */
export function nextSort(sort: SortKey[], key: string, add: boolean): SortKey[] {
  const present = sort.find((one) => one.key === key);
  const next = present === undefined ? { key, descending: false } : present.descending ? null : { key, descending: true };
  if (!add) return next ? [next] : [];
  if (!present) return [...sort, { key, descending: false }];
  return sort.flatMap((one) => (one.key !== key ? [one] : next ? [next] : []));
}

/** The filters that a brush over bins sets. */
export function brushFilter(field: Column["filter"], profile: Histogram, bins: [number, number] | null): Partial<Filters> {
  const bounds = profile.bounds ?? [];
  const [low, high] = bins ? [bounds[bins[0]]?.[0] ?? null, bounds[bins[1]]?.[1] ?? null] : [null, null];
  // A brush that reaches an end of the values leaves that side open.
  const least = bins && bins[0] > 0 ? low : null;
  const most = bins && bins[1] < bounds.length - 1 ? high : null;
  if (field === "date") return { after: least, before: most };
  if (field === "credits" || field === "characters") return { [field]: [least, most] };
  return {};
}

export class Header {
  readonly el = h("div", { class: "hk-row hk-header", role: "row", "aria-rowindex": 1 });
  readonly #actions: HeaderActions;
  readonly #all = h("input", { type: "checkbox", "aria-label": "Tick all rows that match" });
  readonly #leads: HTMLElement[];
  #cells: HeaderCell[] = [];
  #sort: SortKey[] = [];
  #filters: Filters | null = null;
  #profiles: Record<string, Profile> = {};
  #stop = 0;

  constructor(leads: LeadColumn[], actions: HeaderActions) {
    this.#actions = actions;
    this.#all.addEventListener("change", () => {
      actions.tickAll(this.#all.checked);
    });
    const first = h("div", { class: "hk-cell hk-tick", role: "columnheader", "aria-colindex": 1 }, this.#all);
    this.#leads = leads.map(({ label }, index) => {
      const name = h("span", { class: "hk-visually-hidden" }, label);
      const cell = h("div", { class: "hk-cell hk-lead", role: "columnheader", "aria-colindex": index + 2 }, name);
      cell.style.left = `var(--hk-left-${index + 1})`;
      return cell;
    });
    this.#leads.unshift(first);
    this.el.append(...this.#leads);
    this.el.addEventListener("keydown", (event) => {
      this.#onKey(event);
    });
  }

  setColumns(columns: Column[]): void {
    const active = activeElement(this.el);
    const focused = this.#cells.find(({ el }) => active !== null && el.contains(active))?.column.key;
    for (const { el, profile } of this.#cells) {
      if (profile instanceof BarsProfile) profile.dispose();
      el.remove();
    }
    this.#cells = columns.map((column, index) => this.#makeCell(column, index));
    this.#stop = Math.min(this.#stop, Math.max(this.#cells.length - 1, 0));
    this.el.append(...this.#cells.map(({ el }) => el));
    this.#draw();
    if (focused !== undefined) this.#focusCell(columns.findIndex(({ key }) => key === focused));
  }

  #makeCell(column: Column, index: number): HeaderCell {
    const mark = h("span", { class: "hk-mark", "aria-hidden": "true" });
    const button = h(
      "button",
      {
        type: "button",
        class: "hk-sort",
        disabled: !column.sortable,
        title: column.sortable ? `${column.label}: sort. With Shift: by this column too. Shift and arrows: width` : column.label,
        onclick: (event: MouseEvent) => {
          this.#sort = nextSort(this.#sort, column.key, event.shiftKey); // at once, for a click that follows soon
          this.#draw();
          this.#actions.sort(this.#sort);
        },
      },
      h("span", {}, column.label),
      mark,
    );
    const edge = h("div", { class: "hk-resize", "aria-hidden": "true" });
    const slot = h("div", { class: "hk-slot" });
    const el = h(
      "div",
      {
        class: `hk-cell${column.align === "right" ? " hk-right" : ""}`,
        role: "columnheader",
        "aria-colindex": index + 1 + this.#leads.length,
      },
      button,
      slot,
      edge,
    );
    this.#dragEdge(edge, column.key, el);
    return { column, el, button, mark, slot, profile: null };
  }

  #dragEdge(edge: HTMLElement, key: string, cell: HTMLElement): void {
    let start: { x: number; width: number } | null = null;
    const width = (event: PointerEvent): number =>
      start ? clampWidth(start.width + event.clientX - start.x) : cell.offsetWidth;
    edge.addEventListener("pointerdown", (event) => {
      start = { x: event.clientX, width: cell.offsetWidth };
      edge.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    edge.addEventListener("pointermove", (event) => {
      if (start) this.#actions.resize(key, width(event), false);
    });
    edge.addEventListener("pointerup", (event) => {
      if (start) this.#actions.resize(key, width(event), true);
      start = null;
    });
    edge.addEventListener("pointercancel", () => {
      start = null;
    });
  }

  setSort(sort: SortKey[]): void {
    this.#sort = sort;
    this.#draw();
  }

  setFilters(filters: Filters): void {
    this.#filters = filters;
    this.#drawProfiles();
  }

  setProfiles(profiles: Record<string, Profile>): void {
    this.#profiles = profiles;
    this.#drawProfiles();
  }

  /** Show how many of the rows that match are ticked. */
  setTicked(ticked: number, count: number): void {
    this.#all.checked = count > 0 && ticked >= count;
    this.#all.indeterminate = ticked > 0 && ticked < count;
    this.#all.disabled = count === 0;
  }

  /** Put the focus on the header of a column of the grid. */
  focus(column: number): void {
    if (column === 0) this.#all.focus();
    else this.#focusCell(Math.max(column - this.#leads.length, 0));
  }

  #focusCell(index: number): void {
    this.#stop = Math.max(Math.min(index, this.#cells.length - 1), 0);
    this.#draw();
    const cell = this.#cells[this.#stop];
    cell?.button.focus();
  }

  #draw(): void {
    for (const [index, { column, el, button, mark }] of this.#cells.entries()) {
      const at = this.#sort.findIndex(({ key }) => key === column.key);
      const descending = this.#sort[at]?.descending ?? false;
      button.tabIndex = index === this.#stop ? 0 : -1;
      mark.replaceChildren();
      if (at < 0) {
        if (column.sortable) el.setAttribute("aria-sort", "none");
        continue;
      }
      el.setAttribute("aria-sort", descending ? "descending" : "ascending");
      mark.append(icon(descending ? "descending" : "ascending"));
      if (this.#sort.length > 1) mark.append(h("sub", {}, String(at + 1)));
    }
    this.#drawProfiles();
  }

  #drawProfiles(): void {
    const filters = this.#filters;
    if (!filters) return;
    for (const cell of this.#cells) {
      const profile = this.#profiles[cell.column.key];
      if (!profile) continue;
      const { filter, label, key } = cell.column;
      if (profile.kind === "histogram") {
        if (!(cell.profile instanceof HistogramProfile)) {
          cell.profile = new HistogramProfile(label, (bins) => {
            const present = this.#profiles[key];
            if (present?.kind === "histogram") this.#actions.filter(brushFilter(filter, present, bins));
          });
          cell.slot.replaceChildren(cell.profile.el);
        }
        const [low, high] = boundsOf(filters, filter);
        cell.profile.show(profile, binsOf(profile.bounds ?? [], low, high));
      } else {
        if (!(cell.profile instanceof BarsProfile)) {
          const list = filter === "voice" || filter === "model" || filter === "source" ? filter : null;
          cell.profile = new BarsProfile(
            label,
            list &&
              ((values) => {
                this.#actions.filter({ [list]: values });
              }),
          );
          cell.slot.replaceChildren(cell.profile.el);
        }
        cell.profile.show(profile, filter === "voice" || filter === "model" || filter === "source" ? filters[filter] : []);
      }
    }
  }

  #onKey(event: KeyboardEvent): void {
    const index = this.#cells.findIndex(({ button }) => button === event.target);
    const cell = this.#cells[index];
    const key = keyName(event);
    const first = event.target === this.#all;
    if (!cell && !first) return;
    if (key === "ArrowDown") this.#actions.down(first ? 0 : index + this.#leads.length);
    else if (first && key === "ArrowRight") this.#focusCell(0);
    else if (!cell) return;
    else if (key === "ArrowLeft" && index === 0) this.#all.focus();
    else if (key === "ArrowLeft") this.#focusCell(index - 1);
    else if (key === "ArrowRight") this.#focusCell(index + 1);
    else if (key === "Home") this.#focusCell(0);
    else if (key === "End") this.#focusCell(this.#cells.length - 1);
    else if (key === "Shift+ArrowRight" || key === "Shift+ArrowLeft") {
      const width = clampWidth(cell.el.offsetWidth + (key === "Shift+ArrowRight" ? 16 : -16));
      this.#actions.resize(cell.column.key, width, true);
    } else return; // Enter and the space bar click the button
    event.preventDefault();
    event.stopPropagation();
  }
}

function clampWidth(width: number): number {
  return Math.round(Math.max(Math.min(width, MOST_WIDTH), LEAST_WIDTH));
}

function boundsOf(filters: Filters, field: Column["filter"]): [number | string | null, number | string | null] {
  if (field === "date") return [filters.after, filters.before];
  return field === "credits" || field === "characters" ? filters[field] : [null, null];
}
