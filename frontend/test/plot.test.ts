import { describe, expect, it } from "vitest";
import { barEdges, colorOf } from "../src/plot";
import { periodFilter, segmentAt, stackOf, undated, type Values } from "../src/stack";
import { contrast, parseColor, TEXT_CONTRAST, withContrast, type Theme } from "../src/theme";
import { partsOf, ticksOf, type Tick } from "../src/ticks";
import style from "../src/style.css?raw";

/** A number from 0 to 1 for each call, the same in each run. */
function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("a stack", () => {
  it("ends where the sums of the series below it end", () => {
    const { tops, heights, unknown, most } = stackOf(
      [
        [3, 0, null],
        [1, 5, 2],
        [0, 0, 4],
      ],
      3,
    );
    expect(tops).toEqual([
      [3, 0, 0],
      [4, 5, 2],
      [4, 5, 6],
    ]);
    expect(heights).toEqual([4, 5, 6]);
    expect(unknown).toEqual([false, false, true]);
    expect(most).toBe(6);
    expect(stackOf([], 2)).toEqual({ tops: [], heights: [0, 0], unknown: [false, false], most: 0 });
  });

  it("never falls, and finds the series at each height", () => {
    const random = randoms(5);
    for (let round = 0; round < 60; round += 1) {
      const [size, periods] = [1 + Math.floor(6 * random()), 1 + Math.floor(8 * random())];
      const series = Array.from({ length: size }, (): Values => Array.from({ length: periods }, () => (random() < 0.2 ? null : Math.floor(50 * random() ** 2))));
      const stack = stackOf(series, periods);
      for (let period = 0; period < periods; period += 1) {
        let below = 0;
        for (const [index, values] of series.entries()) {
          const value = values[period] ?? 0;
          if (value > 0) expect([below, below + value - 0.5].map((height) => segmentAt(stack, period, height))).toEqual([index, index]);
          below += value;
        }
        expect([stack.heights[period], segmentAt(stack, period, below), segmentAt(stack, period, -1)]).toEqual([below, null, null]);
      }
    }
  });

  it("leaves what has no date to a row of its own", () => {
    expect(undated(10, [3, null, 4])).toBe(3);
    expect(undated(7, [3, null, 4])).toBe(0);
  });
});

describe("a brush over periods", () => {
  const bounds = [1, 2, 3, 4].map((day): [string, string] => [`2026-03-0${day}T00:00:00+01:00`, `2026-03-0${day + 1}T00:00:00+01:00`]);

  it("is from the start of its first to the end of its last", () => {
    expect(periodFilter(bounds, [1, 2])).toEqual({ after: bounds[1]?.[0], before: bounds[2]?.[1] });
    expect(periodFilter(bounds, [2, 2])).toEqual({ after: bounds[2]?.[0], before: bounds[2]?.[1] });
  });

  it("leaves a filter as it is where the brush reaches the end of the chart", () => {
    expect(periodFilter(bounds, [0, 2])).toEqual({ before: bounds[2]?.[1] });
    expect(periodFilter(bounds, [1, 3])).toEqual({ after: bounds[1]?.[0] });
    expect(periodFilter(bounds, [0, 3])).toEqual({});
  });
});

describe("bars", () => {
  it("are of whole pixels, in order, and none is over another while there are pixels for all", () => {
    for (const ratio of [1, 1.5, 2]) {
      for (const [periods, width] of [[1, 300], [2, 1400], [31, 320], [90, 345], [300, 345], [345, 345], [1095, 1400]] as const) {
        const edges = barEdges(periods, 40, Math.round(width * ratio), ratio);
        expect(edges).toHaveLength(periods);
        let end = 40;
        for (const [from, to] of edges) {
          const right = Number.isInteger(from) && Number.isInteger(to) && from >= end && to > from && to - from <= 60 * ratio;
          if (!right) expect.fail(`${periods} bars on ${width} pixels: ${from} to ${to} after ${end}`);
          end = to;
        }
        expect(end).toBeLessThanOrEqual(40 + Math.round(width * ratio));
      }
    }
  });

  it("of three years of days are a pixel wide at least", () => {
    expect(new Set(barEdges(1095, 40, 320, 1).map(([from, to]) => to - from))).toEqual(new Set([1]));
  });
});

const measure = (text: string): number => 6.2 * text.length;

/** The names of periods from a day on, as the kernel gives them. */
function namesOf(freq: string, count: number, start: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const first = new Date(start);
    const day = (days: number): string => new Date(start + days * 86_400_000).toISOString();
    switch (freq) {
      case "h":
        return new Date(start + index * 3_600_000).toISOString().slice(0, 16).replace("T", " ");
      case "D":
        return day(index).slice(0, 10);
      case "W":
        return `week of ${day(7 * index).slice(0, 10)}`;
      case "MS":
        return new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + index)).toISOString().slice(0, 7);
      case "QS":
        return `${first.getUTCFullYear() + Math.floor(index / 4)}-Q${(index % 4) + 1}`;
      default:
        return String(first.getUTCFullYear() + index);
    }
  });
}

function overlaps(ticks: Tick[], period: number): boolean {
  for (const line of ["text", "context"] as const) {
    let end = -Infinity;
    for (const tick of ticks) {
      if (tick[line] === "") continue;
      const [at, half] = [(tick.index + 0.5) * period, measure(tick[line]) / 2];
      if (at - half < end) return true;
      end = at + half;
    }
  }
  return false;
}

describe("the labels of the time axis", () => {
  it("never touch, stay in the picture, and are there, at any width, length and number of periods", () => {
    const random = randoms(11);
    for (const freq of ["h", "D", "W", "MS", "QS", "YS"]) {
      for (let round = 0; round < 40; round += 1) {
        const count = 1 + Math.floor(1999 * random() ** 3);
        const width = 60 + 1300 * random();
        const labels = namesOf(freq, count, Date.UTC(1990 + Math.floor(35 * random()), Math.floor(12 * random()), 1 + Math.floor(28 * random())));
        const ticks = ticksOf(freq, labels, { period: width / count, left: 40, right: 14 }, measure);
        const inside = ticks.every(({ index, text }) => {
          const [at, half] = [((index + 0.5) * width) / count, measure(text) / 2];
          return at - half >= -40 && at + half <= width + 14;
        });
        const drawn = { some: ticks.length > 0, inside, overlap: overlaps(ticks, width / count) };
        expect(drawn, `${count} ${freq} from ${labels[0]} on ${width} pixels`).toEqual({ some: true, inside: true, overlap: false });
      }
    }
  });

  it("stand at starts of days, months and years", () => {
    const room = (count: number, width: number): { period: number; left: number; right: number } => ({ period: width / count, left: 40, right: 14 });
    const texts = (freq: string, labels: string[], width: number): string[] => ticksOf(freq, labels, room(labels.length, width), measure).map(({ text, context }) => (context ? `${text}|${context}` : text));
    const years = namesOf("D", 1095, Date.UTC(2023, 0, 1));
    expect(texts("D", years, 320)).toEqual(["Jan|2023", "Jul", "Jan|2024", "Jul", "Jan|2025", "Jul"]);
    expect(texts("D", years, 120)).toEqual(["2023", "2024", "2025"]);
    expect(texts("D", namesOf("D", 30, Date.UTC(2026, 2, 1)), 330)).toEqual(["Mar 1|2026", "Mar 6", "Mar 11", "Mar 16", "Mar 21", "Mar 26"]);
    expect(texts("h", namesOf("h", 48, Date.UTC(2026, 2, 1)), 330)).toEqual(["00:00|Mar 1, 2026", "06:00", "12:00", "18:00", "00:00|Mar 2, 2026", "06:00", "12:00", "18:00"]);
    expect(texts("MS", namesOf("MS", 12, Date.UTC(2025, 6, 1)), 900)).toEqual(["Jul|2025", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan|2026", "Feb", "Mar", "Apr", "May", "Jun"]);
    expect(texts("QS", namesOf("QS", 3, Date.UTC(2025, 0, 1)), 330)).toEqual(["Q1|2025", "Q2", "Q3"]);
    expect(texts("W", namesOf("W", 1, Date.UTC(2026, 2, 2)), 330)).toEqual(["Mar 2|2026"]);
    expect(texts("D", ["?", "?"], 330)).toEqual([]);
    expect(partsOf("2026-Q3")).toEqual({ year: 2026, month: 7, day: 1, hour: 0 });
  });
});

type Rgb = [number, number, number, number];

function rgb(text: string): Rgb {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  return [red, green, blue, 1];
}

/** Lightness and two axes of colour, evenly spaced for the eye (OKLab). */
function lab([red, green, blue]: Rgb): [number, number, number] {
  const [r, g, b] = [red, green, blue].map((channel) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function paletteOf(scheme: "light" | "dark"): string[] {
  const [light = "", dark = ""] = style.split('.histkit-explorer[data-scheme="dark"] {');
  return [...(scheme === "light" ? light : dark).matchAll(/--hk-series-\d+: (#[0-9a-f]{6})/g)].map(([, color = ""]) => color);
}

describe("colours", () => {
  it.each(["light", "dark"] as const)("of ten series can be told from each other and from a %s background", (scheme) => {
    const colors = paletteOf(scheme).map(rgb);
    expect(colors).toHaveLength(10);
    const backgrounds = scheme === "light" ? ["#ffffff"] : ["#111111", "#1e1e1e", "#000000"];
    for (const [index, color] of colors.entries()) {
      for (const background of backgrounds) expect(contrast(color, rgb(background))).toBeGreaterThanOrEqual(3);
      for (const other of colors.slice(0, index)) {
        const [one, two] = [lab(color), lab(other)];
        expect(Math.hypot(one[0] - two[0], one[1] - two[1], one[2] - two[2])).toBeGreaterThan(0.12);
      }
    }
  });

  it("have the contrast that is asked for on any background, and stay as they are where they have it", () => {
    const random = randoms(3);
    const channel = (): number => Math.floor(256 * random());
    for (let round = 0; round < 500; round += 1) {
      const [color, background] = [0, 1].map(() => `rgb(${channel()}, ${channel()}, ${channel()})`) as [string, string];
      for (const least of [3, TEXT_CONTRAST]) {
        const [moved, behind] = [parseColor(withContrast(color, background, least)), parseColor(background)];
        if (!moved || !behind) throw new Error(color);
        expect(contrast(moved, behind)).toBeGreaterThanOrEqual(least);
        if (contrast(parseColor(color) ?? moved, behind) >= least) expect(withContrast(color, background, least)).toBe(color);
      }
    }
    expect(withContrast("rgba(0, 0, 0, 0.87)", "rgb(255, 255, 255)", 4.5)).toBe("rgb(33, 33, 33)");
    expect(withContrast("var(--x)", "rgb(255, 255, 255)", 4.5)).toBe("var(--x)");
  });

  it("go to the series in order, and grey to all others", () => {
    const theme = { series: Array.from({ length: 10 }, (_, index) => `c${index}`), other: "grey" } as Theme;
    const series = Array.from({ length: 11 }, (_, index) => ({ key: index === 10 ? null : `k${index}`, label: "", values: [], total: 0 }));
    expect(series.map((_, index) => colorOf(theme, series, index))).toEqual([...theme.series, "grey"]);
    expect(colorOf(theme, [{ key: null, label: "(unknown)", values: [], total: 0 }], 0)).toBe("c0");
  });
});
