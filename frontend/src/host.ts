// What the parts of the explorer (chart, panel, sound, actions) get from it, and what it expects of them.

import type { Channel } from "./channel";
import type { Announcer } from "./dom";
import type { Filters, OpenReply, QueryRequest, Row, Ticked, TickRequest } from "./protocol";
import type { Theme } from "./theme";

/** The explorer's state as the kernel last told it. */
export type State = Omit<OpenReply, "rows">;

export interface Topics {
  /** Filters or order changed, by this view, another or Python: `state.version` is new. */
  changed: State;
  ticked: Ticked;
  /** The row that has the focus of the grid; null if none. */
  focused: Row | null;
  theme: Theme;
}

/** Given to each part; `channel` sends its requests. */
export interface Host {
  readonly root: HTMLElement;
  readonly channel: Channel;
  readonly state: State;
  readonly theme: Theme;
  readonly announcer: Announcer;
  on<K extends keyof Topics>(topic: K, listener: (value: Topics[K]) => void): () => void;
  /** Change filters, order, or whether only ticked rows are shown; absent fields stay. */
  query(change: QueryRequest): void;
  filter(filters: Partial<Filters>): void;
  tick(request: TickRequest): void;
  /** Show an error, or a line, above the table; an empty one removes it. */
  fail(error: unknown): void;
  say(text: string): void;
  /** The row of a number in the present order if it is loaded. */
  rowAt(index: number): Row | undefined;
  /** Put the focus on a row and scroll to it. */
  focusRow(index: number): void;
  focusedIndex(): number;
  /** The width of a lead column has changed. */
  layOut(): void;
}

/** A column before those of the frame that a part draws itself, as the play button. */
export interface LeadColumn {
  key: string;
  label: string;
  readonly width: number;
  /** Make the content of a cell. */
  create(cell: HTMLElement): void;
  /** Show a row in a cell; undefined while it is not loaded. */
  update(cell: HTMLElement, row: Row | undefined): void;
}

/** A part of the explorer: it makes its element from a host, which puts it into its place. */
export interface Part {
  readonly el: HTMLElement;
  readonly lead?: LeadColumn;
  /** Space or a play button on a row. */
  play?(row: Row): void;
  /** Enter or a double click on a row. */
  open?(row: Row): void;
  dispose?(): void;
}

export type PartFactory = (host: Host) => Part;

/** The places of parts in the layout. */
export type Slot = "chart" | "panel" | "sound" | "actions";
