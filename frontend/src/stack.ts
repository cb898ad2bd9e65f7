// Stacked bars as numbers: where each segment lies, which one is at a place, and what filter a brushed period is.

import type { Bins } from "./brush";
import type { ChartReply, Filters } from "./protocol";

export type Values = (number | null)[];

export interface Stack {
  /** The upper end of each series at each period; the first series is at the bottom. */
  tops: number[][];
  /** The height of all series at each period. */
  heights: number[];
  /** Periods in which the values of a series are not known. */
  unknown: boolean[];
  most: number;
}

/** Stack series of values; what is not known has no height. */
export function stackOf(series: Values[], periods: number): Stack {
  const heights = new Array<number>(periods).fill(0);
  const unknown = new Array<boolean>(periods).fill(false);
  const tops = series.map((values) =>
    heights.map((below, period) => {
      const value = values[period] ?? null;
      if (value === null) unknown[period] = true;
      return (heights[period] = below + (value ?? 0));
    }),
  );
  return { tops, heights, unknown, most: heights.reduce((most, height) => Math.max(most, height), 0) };
}

/** Return the series whose segment has a height in a period; null above the bar and below the axis. */
export function segmentAt({ tops }: Stack, period: number, height: number): number | null {
  if (height < 0) return null;
  const index = tops.findIndex((top) => height < (top[period] ?? 0));
  return index < 0 ? null : index;
}

/** Return the filter of the periods that are brushed. A side where the brush reaches the chart's end stays as it is. */
export function periodFilter(bounds: ChartReply["bounds"], [from, to]: Bins): Partial<Filters> {
  const after = from > 0 ? (bounds[from]?.[0] ?? null) : null;
  const before = to < bounds.length - 1 ? (bounds[to]?.[1] ?? null) : null;
  return { ...(after === null ? {} : { after }), ...(before === null ? {} : { before }) };
}

/** The part of a series' total that has no period, as its rows have no date. */
export function undated(total: number, values: Values): number {
  return total - values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}
