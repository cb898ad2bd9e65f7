// The explorer: its layout, its state as the kernel tells it, and what goes where when it changes.

import { Channel, KernelError, type Model } from "./channel";
import { ColumnChooser } from "./columns";
import { activeElement, Announcer, creditsText, Emitter, formatNumber, h, isNarrow } from "./dom";
import { FilterBar } from "./filters";
import { Grid, type ShownColumn } from "./grid";
import { Header } from "./header";
import type { Host, LeadColumn, Part, PartFactory, Slot, State, Topics } from "./host";
import { markView, markWaiting } from "./kept";
import { keepKeys } from "./keys";
import { Notices } from "./notices";
import type { Column, Filters, Profile, QueryReply, QueryRequest, QueryState, Row, Ticked, TickRequest } from "./protocol";
import { Rows } from "./rows";
import { readTheme, watchTheme, type Theme } from "./theme";

export class App implements Host {
  readonly root: HTMLElement;
  readonly channel: Channel;
  readonly announcer = new Announcer();
  readonly #topics = new Emitter<Topics>();
  readonly #notices: Notices;
  readonly #sums = h("div", { class: "hk-sums" });
  readonly #empty = h("div", { class: "hk-empty", hidden: true });
  readonly #code = h("code", {});
  readonly #rows: Rows;
  readonly #grid: Grid;
  readonly #header: Header;
  readonly #filters: FilterBar;
  readonly #chooser: ColumnChooser;
  readonly #parts: Partial<Record<Slot, Part>> = {};
  readonly #off: (() => void)[] = [];
  readonly #texts = new Map<number, string>();
  #labels = new Map<string, string>();
  #state: State | null = null;
  #theme: Theme | null = null;
  /** The shown columns in the order of the table. */
  #shown: ShownColumn[] = [];
  #narrow = false;
  #opening = false;

  constructor(el: HTMLElement, model: Model, factories: Partial<Record<Slot, PartFactory>> = {}) {
    this.root = h("div", { class: "histkit-explorer" });
    this.#off.push(keepKeys(this.root));
    el.append(this.root);
    this.channel = new Channel(model);
    this.#notices = new Notices(this.channel, this.root);
    this.#rows = new Rows(
      this.channel,
      () => {
        this.#grid.refresh();
      },
      (error) => {
        this.fail(error);
      },
    );
    this.#filters = new FilterBar((filters) => {
      this.filter(filters);
    });
    this.#chooser = new ColumnChooser((shown) => {
      this.#choose({ shown });
    });
    this.#off.push(
      watchTheme(this.root, (theme) => {
        this.#theme = theme;
        this.#topics.emit("theme", theme);
      }),
    );
    const slots = {} as Record<Slot, HTMLElement>;
    for (const slot of ["chart", "panel", "sound", "actions"] as const) {
      slots[slot] = h("div", { class: `hk-slot-${slot}` });
      const part = factories[slot]?.(this);
      if (!part) continue;
      this.#parts[slot] = part;
      slots[slot].append(part.el);
    }
    const leads = Object.values(this.#parts).flatMap(({ lead }): LeadColumn[] => (lead ? [lead] : []));
    this.#header = new Header(leads, {
      sort: (sort) => {
        this.query({ sort });
      },
      filter: (filters) => {
        this.filter(filters);
      },
      tickAll: (on) => {
        this.tick({ op: "all", on });
      },
      resize: (key, width, done) => {
        this.#resize(key, width, done);
      },
      down: (column) => {
        this.#grid.focusCell(this.#grid.focus.index, column);
      },
    });
    this.#grid = new Grid(this.#rows, leads, {
      resized: () => {
        if (this.#state && isNarrow(this.root) !== this.#narrow) this.#columns(this.state.columns);
      },
      see: (first, last, direction) => {
        this.#rows.see(first, last, direction);
      },
      tick: (from, to, on) => {
        this.#tickRange(from, to, on);
      },
      tickAll: (on) => {
        this.tick({ op: "all", on });
      },
      play: (row) => {
        this.#parts.sound?.play?.(row);
      },
      open: (row) => {
        this.#parts.panel?.open?.(row);
      },
      focused: (row) => {
        this.#topics.emit("focused", row ?? null);
      },
      up: (column) => {
        this.#header.focus(column);
      },
      wholeText: (row) => this.#wholeText(row),
    });
    this.#grid.head.append(this.#header.el);
    this.#grid.el.append(this.#empty, this.#notices.el);
    this.root.append(
      h("div", { class: "hk-tools" }, this.#filters.el, this.#notices.busy, this.#chooser.el),
      h(
        "div",
        { class: this.#parts.chart ? "hk-main hk-beside" : "hk-main" },
        h("div", { class: "hk-left" }, h("div", { class: "hk-line" }, this.#sums, this.#filters.chips), this.#grid.el, slots.sound, slots.actions),
        h("div", { class: "hk-side" }, slots.panel, slots.chart),
      ),
      h("div", { class: "hk-code" }, h("span", { class: "hk-muted" }, "The rows above as code: "), this.#code),
      this.announcer.el,
    );
    this.#listen();
    this.#open();
  }

  get state(): State {
    if (!this.#state) throw new Error("The explorer is not open yet.");
    return this.#state;
  }

  get theme(): Theme {
    return this.#theme ?? readTheme(this.root);
  }

  on<K extends keyof Topics>(topic: K, listener: (value: Topics[K]) => void): () => void {
    return this.#topics.on(topic, listener);
  }

  #listen(): void {
    const { channel } = this;
    this.#off.push(
      markWaiting(this.root, channel),
      channel.on("changed", (event) => {
        if (event.by !== channel.view && this.#state && event.version !== this.#state.version) this.#follow(event);
      }),
      channel.on("changed_ticks", ({ by, ticked }) => {
        if (by === channel.view || !this.#state) return;
        this.#showTicked(ticked);
        this.#rows.forget();
      }),
    );
  }

  #open(): void {
    if (this.#opening) return;
    this.#opening = true;
    this.channel
      .request("open", {})
      .then(({ reply }) => {
        this.#state = reply;
        markView(this.root, "open");
        this.#grid.setHeight(reply.page_size);
        this.#columns(reply.columns);
        this.#show(reply, false);
        this.#notices.setNotes(reply.notes);
      })
      .catch((error: unknown) => {
        if (this.channel.status !== "gone") markView(this.root, "open"); // to show the error
        this.fail(error);
      })
      .finally(() => {
        this.#opening = false;
      });
  }

  query(change: QueryRequest): void {
    const stop = change.filters?.text !== undefined || change.filters?.pattern !== undefined; // another search
    this.channel.latest("query", change, { merge: mergeQueries, stop }).then(
      ({ reply }) => {
        this.say("");
        this.#filters.refuse(null);
        this.#show(reply, false);
      },
      (error: unknown) => {
        if (error instanceof KernelError && change.filters?.text !== undefined) this.#filters.refuse(error.message);
        if (error instanceof KernelError && change.sort) this.#header.setSort(this.state.sort);
        this.fail(error);
      },
    );
  }

  filter(filters: Partial<Filters>): void {
    this.query({ filters });
  }

  /** Another view or Python changed filters, order or columns: show them, and ask for the rows in view. */
  #follow(event: QueryState): void {
    const [first, last] = this.#grid.range();
    const seen = Math.max(last - first, 1);
    const window = { start: Math.max(first - seen, 0), stop: last + seen };
    this.channel
      .latest("rows", { version: event.version, ...window }, { lane: "follow" })
      .then(({ reply }) => {
        if (reply.version === event.version) this.#show({ ...event, rows: reply }, true);
      })
      .catch((error: unknown) => {
        this.fail(error);
      });
  }

  #show(reply: QueryReply, stay: boolean): void {
    const { rows, ...state } = reply;
    const focused = this.#hasFocus();
    const columnsChanged = layoutOf(reply.columns) !== layoutOf(this.state.columns);
    this.#state = { ...this.state, ...state };
    this.#rows.reset(reply.version, reply.count, rows);
    if (columnsChanged) this.#columns(reply.columns);
    this.#grid.reset(stay);
    this.#header.setSort(reply.sort);
    this.#header.setFilters(reply.filters);
    this.#filters.show(reply.filters, (field, value) => this.#labels.get(`${field} ${value}`) ?? value);
    this.#code.textContent = reply.code;
    this.#showEmpty(reply);
    this.#showTicked(reply.ticked);
    this.#askProfiles();
    this.#topics.emit("changed", this.state);
    if (focused) this.#holdFocus();
  }

  #hasFocus(): boolean {
    return this.root.contains(activeElement(this.root));
  }

  /** Take the focus back where the focused element has gone: else the next keys would be commands of the notebook. */
  #holdFocus(): void {
    const active = activeElement(this.root);
    if (active && this.root.contains(active) && !active.closest("[hidden]")) return;
    if (this.#rows.count > 0) this.#grid.focusCell(this.#grid.focus.index);
    else this.#filters.focus();
  }

  #columns(columns: Column[]): void {
    const focused = this.#hasFocus();
    this.#narrow = isNarrow(this.root);
    const shown = columns.filter((column) => column.shown).map((column, cell) => ({ ...column, cell }));
    this.#shown = this.#narrow ? textFirst(shown) : shown;
    this.#chooser.setColumns(columns);
    this.#header.setColumns(this.#shown);
    this.#grid.setColumns(this.#shown);
    if (focused) this.#holdFocus();
  }

  #askProfiles(): void {
    const { version, columns } = this.state;
    const keys = columns.filter(({ profile, shown }) => profile && shown).map(({ key }) => key);
    if (keys.length === 0) return;
    this.channel.latest("profiles", { version, keys }).then(
      ({ reply }) => {
        if (reply.version === this.state.version) this.#showProfiles(reply.profiles);
      },
      (error: unknown) => {
        this.fail(error);
      },
    );
  }

  #showProfiles(profiles: Record<string, Profile>): void {
    for (const { key, filter } of this.state.columns) {
      const profile = profiles[key];
      if (profile?.kind !== "bars" || filter === null) continue;
      for (const { value, label } of profile.values) this.#labels.set(`${filter} ${value}`, label);
    }
    this.#header.setProfiles(profiles);
    this.#filters.show(this.state.filters, (field, value) => this.#labels.get(`${field} ${value}`) ?? value);
    this.#grid.measure(); // the header may be taller now
  }

  #showEmpty({ empty, count }: QueryReply): void {
    this.#empty.hidden = count > 0;
    this.#grid.el.classList.toggle("hk-no-rows", count === 0);
    if (count > 0) return;
    const filtered = this.state.total.rows > 0;
    const clear = h(
      "button",
      {
        type: "button",
        class: "hk-button hk-primary",
        onclick: () => {
          if (this.state.shown_only) this.query({ shown_only: false });
          else this.#filters.clear();
        },
      },
      this.state.shown_only ? "Show all rows" : "Clear filters",
    );
    const parts: (Node | string)[] = [h("p", {}, empty ?? "No row passes the filters.")];
    if (filtered) parts.push(clear);
    this.#empty.replaceChildren(...parts);
  }

  #showTicked(ticked: Ticked): void {
    this.#state = { ...this.state, ticked };
    const { count, credits, total, shown_only: shownOnly } = this.state;
    this.#header.setTicked(shownOnly ? ticked.count : ticked.count - ticked.hidden, count);
    const of = count === total.rows && !shownOnly ? "" : ` of ${formatNumber(total.rows)}`;
    const rows = `${formatNumber(count)}${of} ${total.rows === 1 ? "row" : "rows"}`;
    const text = `${rows}, ${creditsText(credits)}`;
    const parts: Node[] = [h("span", {}, h("b", {}, rows), `, ${creditsText(credits)}`)];
    let spoken = text;
    if (ticked.count > 0) {
      const hidden = ticked.hidden > 0 ? `, ${formatNumber(ticked.hidden)} hidden` : "";
      const words = `${formatNumber(ticked.count)} ticked${hidden}`;
      spoken += `; ${words}`;
      parts.push(
        h("span", { title: creditsText(ticked.credits) }, h("b", {}, words), `, ${creditsText(ticked.credits)}`),
        this.#linkButton(shownOnly ? "Show all" : "Show ticked", () => {
          this.query({ shown_only: !shownOnly });
        }),
        this.#linkButton("Untick all", () => {
          this.tick({ op: "none" });
        }),
      );
    } else if (shownOnly) {
      parts.push(
        this.#linkButton("Show all", () => {
          this.query({ shown_only: false });
        }),
      );
    }
    const focused = this.#sums.querySelector(":focus")?.textContent;
    this.#sums.replaceChildren(...parts);
    if (focused) {
      [...this.#sums.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
      this.#holdFocus();
    }
    this.announcer.say(spoken);
    this.#topics.emit("ticked", ticked);
  }

  #linkButton(text: string, action: () => void): HTMLElement {
    return h("button", { type: "button", class: "hk-link", onclick: action }, text);
  }

  tick(request: TickRequest): void {
    if (request.op === "all" || request.op === "none") {
      const on = request.op === "all" && request.on;
      for (const [, row] of this.#rows.loaded()) row.t = on;
      this.#grid.refresh();
    }
    this.channel.request("tick", { version: this.state.version, ...request }).then(
      ({ reply }) => {
        this.#showTicked(reply.ticked);
      },
      (error: unknown) => {
        this.#rows.forget(); // the ticks drawn at once are not those of the kernel
        this.fail(error);
      },
    );
  }

  #tickRange(from: number, to: number, on: boolean): void {
    const { base } = this.#rows;
    for (let index = from; index <= to; index += 1) {
      const row = this.#rows.get(index);
      if (row) row.t = on;
    }
    this.#grid.refresh();
    const row = this.#rows.get(from);
    if (from === to && row) this.tick({ op: "set", positions: [row.p], on });
    else this.tick({ op: "range", from_n: from + base, to_n: to + base, on });
  }

  #resize(key: string, width: number, done: boolean): void {
    this.#grid.setWidths(this.#shown.map((column, index) => (column.key === key ? width : (this.#grid.widths[index] ?? column.width))), key);
    if (done) this.#choose({ widths: { [key]: width } });
  }

  #choose(change: { shown?: string[]; widths?: Record<string, number> }): void {
    const merge = (older: typeof change, newer: typeof change): typeof change => {
      const widths = { ...older.widths, ...newer.widths };
      return { ...older, ...newer, ...(Object.keys(widths).length > 0 ? { widths } : {}) };
    };
    this.channel.latest("columns", change, { merge }).then(
      ({ reply }) => {
        if (reply.version === this.state.version) this.#state = { ...this.state, columns: reply.columns };
        else this.#show(reply, true);
      },
      (error: unknown) => {
        this.fail(error);
      },
    );
  }

  async #wholeText(row: Row): Promise<string> {
    const known = this.#texts.get(row.p);
    if (known !== undefined) return known;
    const { reply } = await this.channel.latest("detail", { position: row.p }, { lane: "hover" });
    if (this.#texts.size > 200) this.#texts.clear();
    this.#texts.set(row.p, reply.text);
    return reply.text;
  }

  fail(error: unknown): void {
    this.#notices.fail(error);
  }

  say(text: string): void {
    this.#notices.say(text);
  }

  rowAt(index: number): Row | undefined {
    return this.#rows.get(index);
  }

  focusRow(index: number): void {
    this.#grid.focusCell(index);
  }

  layOut(): void {
    this.#grid.layOut();
  }

  focusedIndex(): number {
    return this.#grid.focus.index;
  }

  dispose(): void {
    for (const off of this.#off) off();
    for (const part of Object.values(this.#parts)) part.dispose?.();
    this.#filters.dispose();
    this.#chooser.dispose();
    this.#grid.dispose();
    this.#rows.dispose();
    this.announcer.dispose();
    this.#notices.dispose();
    this.channel.dispose();
    this.root.remove();
  }
}

/** Join two changes of a query, the newer one over the older. */
export function mergeQueries(older: QueryRequest, newer: QueryRequest): QueryRequest {
  const filters = { ...older.filters, ...newer.filters };
  return { ...older, ...newer, ...(Object.keys(filters).length > 0 ? { filters } : {}) };
}

/** The columns for a narrow table: the text is what one wants to see first. */
function textFirst(columns: ShownColumn[]): ShownColumn[] {
  const isText = ({ filter }: Column): boolean => filter === "text";
  return [...columns.filter(isText), ...columns.filter((column) => !isText(column))];
}

/** What of the columns the cells of a row depend on. */
function layoutOf(columns: Column[]): string {
  return columns.map(({ key, shown, width }) => `${key} ${shown} ${width}`).join();
}
