// The messages between the front end and the kernel, as PROTOCOL.md tells them.

export type ColumnKind = "text" | "count" | "number" | "date" | "category" | "seconds";

/** The field of the filters that a column has; `date` stands for `after` and `before`. */
export type FilterField = "voice" | "model" | "source" | "text" | "credits" | "characters" | "date";

export interface Column {
  key: string;
  label: string;
  kind: ColumnKind;
  align: "left" | "right";
  width: number;
  shown: boolean;
  filter: FilterField | null;
  sortable: boolean;
  /** `profiles` has this key. */
  profile: boolean;
}

export interface Sums {
  rows: number;
  credits: number | null;
}

export interface Ticked {
  count: number;
  credits: number | null;
  /** Ticked rows that the filters hide. */
  hidden: number;
  /** Only ticked rows are shown. */
  shown_only: boolean;
}

/** [least, most], both inclusive; null is no bound. */
export type Bounds = [number | null, number | null];

export interface Filters {
  voice: string[];
  model: string[];
  source: string[];
  first: string | null;
  last: string | null;
  /** Instants: text in ISO form, or seconds since 1970; `after` is inclusive, `before` exclusive. */
  after: string | number | null;
  before: string | number | null;
  text: string;
  pattern: boolean;
  credits: Bounds;
  characters: Bounds;
}

export interface SortKey {
  key: string;
  descending: boolean;
}

export interface Row {
  /** The position in the frame. */
  p: number;
  /** The number in the present order. */
  n: number;
  /** Ticked. */
  t: boolean;
  /** The texts of the shown columns, in their order. */
  c: string[];
  /** The text was cut. */
  full?: boolean;
  playable: boolean;
  rtl?: boolean;
}

export interface RowWindow {
  start: number;
  rows: Row[];
}

export type BinBounds = [number | string, number | string];

export interface Histogram {
  kind: "histogram";
  edges: number[];
  labels: string[];
  /** What a filter takes for each bin: a brush over the bins i to j is [bounds[i][0], bounds[j][1]]; null: no filter. */
  bounds: BinBounds[] | null;
  counts: number[];
  all: number[];
  missing: number;
}

export interface BarValue {
  value: string;
  label: string;
  count: number;
  all: number;
}

export interface Bars {
  kind: "bars";
  values: BarValue[];
  other: { count: number; all: number };
  missing: number;
}

export type Profile = Histogram | Bars;

/** The state that all views share, without rows. */
export interface QueryState {
  version: number;
  filters: Filters;
  sort: SortKey[];
  shown_only: boolean;
  /** The rows in the table, and the sum of their credits. */
  count: number;
  credits: number | null;
  ticked: Ticked;
  /** The shown columns first, in their order. */
  columns: Column[];
  code: string;
  /** How to get rows, or that no row passes the filters. */
  empty: string | null;
}

export interface QueryReply extends QueryState {
  rows: RowWindow;
}

export interface OpenReply extends QueryReply {
  tz: string;
  total: Sums;
  page: number;
  /** Rows that the table is high. */
  page_size: number;
  chart: ChartChoice;
  defaults: { folder: string; zip: string; csv: string; parquet: string };
  account_columns: boolean;
  alignments: boolean;
  /** Lines to show: what of a saved state could not be restored, or saved. */
  notes: string[];
}

export interface RowsReply extends RowWindow {
  version: number;
}

export interface ProfilesReply {
  version: number;
  profiles: Record<string, Profile>;
}

export interface TickReply {
  version: number;
  ticked: Ticked;
}

export interface DetailReply {
  position: number;
  fields: { label: string; value: string }[];
  text: string;
  rtl: boolean;
  dialogue: { voice: string; text: string }[];
  settings: { label: string; value: string }[];
  takes: { position: number; date: string | null; credits: number | null; text: string; same: boolean }[];
}

/** What the chart shows: its group, the length of its periods, and what is summed. */
export interface ChartChoice {
  by: string;
  freq: string;
  measure: string;
}

export interface ChartReply {
  version: number;
  by: string;
  freq: string;
  measure: string;
  periods: string[];
  /** Seconds since 1970. */
  starts: number[];
  /** [after, before] of each period. */
  bounds: [number | string, number | string][];
  /** The largest first; the rest is "Other", with the key null. */
  series: { key: string | null; label: string; values: (number | null)[]; total: number }[];
  totals: (number | null)[];
  alt: string;
  note: string | null;
}

export interface ClipReply {
  mime: string;
  seconds: number | null;
  from: "folder" | "service";
  words: Word[] | null;
  voice: string | null;
  text: string | null;
}

/** A word and when it is heard, in seconds. */
export interface Word {
  text: string;
  start: number;
  end: number;
}

export type JobAction = "pull" | "zip" | "csv" | "parquet";

export interface JobReply {
  job: string;
  started?: boolean;
}

/** What a job would do, before people have confirmed it; what is not known is null. */
export interface JobPlan {
  requests: number;
  bytes: number | null;
  seconds: number | null;
  text: string;
}

export interface JobEvent {
  job: string;
  action: JobAction;
  target: string;
  /** The view that began it. */
  by: string | null;
  state: "running" | "waiting" | "done" | "failed" | "cancelled";
  done: number;
  /** 0 while it looks at what there is to do. */
  total: number;
  text: string;
  confirm: JobPlan | null;
  /** The result, the reason first where something failed. */
  line: string;
}

/** How far the choice of takes is. */
export interface Progress {
  chosen: number;
  /** Changes that can be undone. */
  steps: number;
}

/** A line in the picker's list. */
export interface LineRow {
  /** The number among all lines, from 0. */
  n: number;
  voice: string | null;
  account: string | null;
  text: string;
  rtl: boolean;
  takes: number;
  /** The number of the chosen take. */
  chosen: number | null;
}

export interface LinesReply {
  count: number;
  start: number;
  lines: LineRow[];
  /** Where the line `n` is among those found; null if it is not. */
  place: number | null;
}

/** A part of two texts: what both have, or one of them. */
export interface Span {
  op: "same" | "ins" | "del";
  text: string;
}

export interface Take {
  position: number;
  take: number;
  date: string | null;
  credits: number | null;
  settings: { label: string; value: string }[];
  spans: Span[] | null;
  rtl: boolean;
}

/** Which take of a line is kept, by its position. */
export interface Kept {
  chosen: number | null;
  chosen_take: number | null;
  keeper: number;
}

export interface LineReply extends Kept {
  n: number;
  place: number | null;
  voice: string | null;
  account: string | null;
  text: string;
  rtl: boolean;
  left_out: number;
  takes: Take[];
}

export interface PickerReply {
  total: number;
  tz: string;
  alignments: boolean;
  notes: string[];
  empty: string | null;
  progress: Progress;
  lines: LinesReply;
  line: LineReply | null;
}

export interface ChooseReply extends Kept {
  n: number;
  progress: Progress;
  next: LineReply | null;
}

export interface QueryRequest {
  filters?: Partial<Filters>;
  sort?: SortKey[];
  shown_only?: boolean;
}

export type TickRequest =
  | { op: "set"; positions: number[]; on: boolean }
  | { op: "range"; from_n: number; to_n: number; on: boolean }
  | { op: "all"; on: boolean }
  | { op: "none" };

/** Each kind of request with what it sends and what it is answered. */
export interface Requests {
  open: [Record<string, never>, OpenReply];
  query: [QueryRequest, QueryReply];
  stop: [object, { stopped: boolean }];
  rows: [{ version: number; start: number; stop: number }, RowsReply];
  profiles: [{ version: number; keys: string[] }, ProfilesReply];
  chart: [ChartChoice & { version: number; chosen?: boolean }, ChartReply];
  tick: [{ version: number } & TickRequest, TickReply];
  columns: [{ shown?: string[]; widths?: Record<string, number> }, QueryReply];
  detail: [{ position: number }, DetailReply];
  find: [{ position: number }, { version: number; n: number | null }];
  words: [{ position: number }, { words: Word[] | null }];
  clip: [{ position: number; wav?: boolean; quiet?: boolean }, ClipReply];
  job: [{ action: JobAction; target: string; rows: "ticked" | "filtered"; ask?: boolean }, JobReply];
  confirm: [{ job: string }, JobReply];
  cancel: [{ job: string }, JobReply];
  jobs: [Record<string, never>, { jobs: JobEvent[] }];
  ping: [Record<string, never>, Record<string, never>];
  open_picker: [Record<string, never>, PickerReply];
  lines: [{ text: string; start: number; stop: number; n?: number }, LinesReply];
  line: [{ place: number; text: string }, LineReply];
  choose: [{ n: number; position: number | null; text: string }, ChooseReply];
  undo: [{ text: string }, { line: LineReply | null; progress: Progress }];
}

export type Kind = keyof Requests;

/** What the kernel sends by itself, to all views. */
export interface Events {
  note: { text: string };
  changed: QueryState & { by: string | null };
  changed_ticks: { by: string | null; version: number; ticked: Ticked };
  changed_chart: { by: string | null; chart: ChartChoice };
  job: JobEvent;
  chosen: Kept & { by: string | null; n: number; progress: Progress };
}
