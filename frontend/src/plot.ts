// The drawing of stacked bars, by uPlot: axes, bars, and marks where values are not known.

import uPlot from "uplot";
import { formatNumber } from "./dom";
import type { ChartReply } from "./protocol";
import { stackOf, type Stack } from "./stack";
import type { Theme } from "./theme";
import { ticksOf, type Tick } from "./ticks";

const TEXT_SIZE = 11;
const WIDEST_BAR = 60;
const RIGHT = 14;
const TOP = 10;
const WHOLE_STEPS = Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** The colour of a series: the colours of a theme in order, and that of all others. */
export function colorOf(theme: Theme, series: ChartReply["series"], index: number): string {
  const isOther = series[index]?.key === null && index === theme.series.length;
  return isOther ? theme.other : (theme.series[index % theme.series.length] ?? theme.other);
}

/** The ends of the bars of a number of periods, in whole pixels; bars of one pixel touch, wider ones leave a gap. */
export function barEdges(periods: number, left: number, width: number, ratio: number): [number, number][] {
  const step = width / Math.max(periods, 1);
  const gap = step >= 4 * ratio ? Math.max(Math.round(0.15 * step), 1) : 0;
  const most = WIDEST_BAR * ratio;
  return Array.from({ length: periods }, (_, index) => {
    const [from, to] = [Math.round(left + index * step), Math.round(left + (index + 1) * step)];
    const size = Math.max(Math.min(to - from - gap, most), 1);
    const start = from + Math.floor((to - from - size) / 2);
    return [Math.max(start, from), Math.max(start, from) + size];
  });
}

/** Stacked bars in an element; a new one is made for other numbers, another size or other colours. */
export class Plot {
  readonly stack: Stack;
  readonly ticks: Tick[];
  /** The box of the bars in the element, in pixels. */
  readonly box: { left: number; top: number; width: number; height: number };
  readonly #plot: uPlot;
  readonly #reply: ChartReply;
  readonly #theme: Theme;
  readonly #scale: number;
  #highlight: number | null = null;

  /** `context` measures texts. */
  constructor(reply: ChartReply, theme: Theme, context: CanvasRenderingContext2D, into: HTMLElement, width: number, height: number) {
    this.#reply = reply;
    this.#theme = theme;
    const periods = reply.periods.length;
    this.stack = stackOf(
      reply.series.map(({ values }) => values),
      periods,
    );
    this.#scale = 1.04 * Math.max(this.stack.most, 1);
    const measure = measurer(context, theme);
    const left = Math.ceil(Math.max(...numbersUpTo(this.#scale).map((value) => measure(axisNumber(value))))) + 12;
    const bottom = 2 * TEXT_SIZE + 14;
    this.box = { left, top: TOP, width: Math.max(width - left - RIGHT, 10), height: Math.max(height - TOP - bottom, 10) };
    this.ticks = ticksOf(reply.freq, reply.periods, { period: this.box.width / Math.max(periods, 1), left: left - 2, right: RIGHT }, measure);
    const axis: uPlot.Axis = {
      stroke: theme.muted,
      font: `${TEXT_SIZE}px ${theme.font}`,
      ticks: { show: false },
      grid: { stroke: theme.line, width: 1, dash: theme.forced ? [1, 5] : [] }, // its lines are as dark as texts
    };
    const options: uPlot.Options = {
      width,
      height,
      pxAlign: 1,
      padding: [TOP, RIGHT, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      scales: { x: { time: false, range: [-0.5, Math.max(periods, 1) - 0.5] }, y: { range: [0, this.#scale] } },
      axes: [
        {
          ...axis,
          size: bottom,
          gap: 6,
          lineGap: 1.3,
          grid: { show: false },
          border: { show: true, stroke: theme.muted, width: 1 },
          splits: () => this.ticks.map(({ index }) => index),
          values: () => this.ticks.map(({ text, context }) => (context === "" ? text : `${text}\n${context}`)),
        },
        { ...axis, size: left, gap: 5, space: 32, incrs: WHOLE_STEPS, values: (_, splits) => splits.map(axisNumber) },
      ],
      series: [{}, ...reply.series.map((): uPlot.Series => ({ points: { show: false }, paths: () => null }))],
      hooks: { drawSeries: [this.#drawSeries.bind(this)], draw: [this.#drawUnknown.bind(this)] },
    };
    const xs = Array.from({ length: periods }, (_, index) => index);
    this.#plot = new uPlot(options, [xs, ...this.stack.tops], into);
  }

  /** Draw all series but one paler; null: none. */
  highlight(index: number | null): void {
    if (index === this.#highlight) return;
    this.#highlight = index;
    this.#plot.redraw(false, false);
  }

  /** The value of a height above the axis, in pixels of the element. */
  valueAt(y: number): number {
    return ((this.box.top + this.box.height - y) / this.box.height) * this.#scale;
  }

  #edges(u: uPlot): [number, number][] {
    return barEdges(this.#reply.periods.length, u.bbox.left, u.bbox.width, uPlot.pxRatio);
  }

  #y(u: uPlot, value: number): number {
    return Math.round(u.bbox.top + u.bbox.height * (1 - value / this.#scale));
  }

  #drawSeries(u: uPlot, number: number): void {
    const index = number - 1;
    const tops = this.stack.tops[index];
    if (!tops) return;
    const { ctx } = u;
    const below = this.stack.tops[index - 1];
    const last = this.stack.tops.length - 1;
    const gap = Math.max(Math.round(uPlot.pxRatio), 1);
    ctx.save();
    ctx.fillStyle = colorOf(this.#theme, this.#reply.series, index);
    if (this.#highlight !== null && this.#highlight !== index) ctx.globalAlpha = 0.25;
    ctx.beginPath();
    this.#edges(u).forEach(([from, to], period) => {
      const [low, high] = [below?.[period] ?? 0, tops[period] ?? 0];
      if (high <= low) return;
      const bottom = this.#y(u, low);
      let top = this.#y(u, high);
      // What is less than a pixel high is seen if it is all that there is.
      if (top === bottom && low === 0 && (this.stack.tops[last]?.[period] ?? 0) <= high) top = bottom - gap;
      const space = index < last && bottom - top >= 4 * gap && to - from >= 3 * gap ? gap : 0;
      if (bottom > top) ctx.rect(from, top + space, to - from, bottom - top - space);
    });
    ctx.fill();
    ctx.restore();
  }

  /** Stripes over the bars of periods in which values are not known. */
  #drawUnknown(u: uPlot): void {
    const { ctx } = u;
    const ratio = uPlot.pxRatio;
    const height = Math.round(7 * ratio);
    ctx.save();
    ctx.fillStyle = ctx.strokeStyle = this.#theme.muted;
    ctx.lineWidth = ratio;
    const edges = this.#edges(u);
    this.stack.unknown.forEach((unknown, period) => {
      const [from, to] = edges[period] ?? [0, 0];
      if (!unknown) return;
      const bottom = Math.max(this.#y(u, this.stack.heights[period] ?? 0) - 2 * ratio, height);
      if (to - from < 4 * ratio) {
        ctx.fillRect(from, bottom - height, to - from, height);
        return;
      }
      ctx.save();
      ctx.beginPath();
      ctx.rect(from, bottom - height, to - from, height);
      ctx.clip();
      ctx.beginPath();
      for (let x = from - height; x < to; x += 4 * ratio) {
        ctx.moveTo(x, bottom);
        ctx.lineTo(x + height, bottom - height);
      }
      ctx.stroke();
      ctx.strokeRect(from + ratio / 2, bottom - height + ratio / 2, to - from - ratio, height - ratio);
      ctx.restore();
    });
    ctx.restore();
  }

  destroy(): void {
    this.#plot.destroy();
  }
}

function axisNumber(value: number): string {
  return value < 10_000 ? formatNumber(value) : compact.format(value);
}

/** Numbers that an axis may show, the longest among them. */
function numbersUpTo(most: number): number[] {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [0, power, 2 * power, 5 * power, 1.5 * power, 2.5 * power].map((value) => Math.floor(value)).filter((value) => value <= most || value === 0);
}

function measurer(context: CanvasRenderingContext2D, theme: Theme): (text: string) => number {
  context.font = `${TEXT_SIZE}px ${theme.font}`;
  return (text) => context.measureText(text).width;
}
