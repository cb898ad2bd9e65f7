import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { brushFilter, Header, nextSort } from "../src/header";
import { NO_FILTERS } from "../src/filters";
import type { Bins } from "../src/brush";
import { BarsProfile, barsPath, binsOf, HistogramProfile, rangeText } from "../src/profile";
import type { Bars, Histogram } from "../src/protocol";

const CREDITS: Histogram = {
  kind: "histogram",
  edges: [0, 10, 20, 30, 40],
  labels: ["0–9", "10–19", "20–29", "30–39"],
  bounds: [
    [0, 9],
    [10, 19],
    [20, 29],
    [30, 39],
  ],
  counts: [1, 2, 0, 4],
  all: [10, 8, 6, 4],
  missing: 3,
};

const DAYS: Histogram = {
  ...CREDITS,
  labels: ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
  bounds: [1, 2, 3, 4].map((day) => [`2026-01-0${day}T00:00:00+01:00`, `2026-01-0${day + 1}T00:00:00+01:00`]),
};

const VOICES: Bars = {
  kind: "bars",
  values: ["a", "b", "c", "d", "e"].map((value, index) => ({ value, label: `Voice ${value}`, count: 5 - index, all: 10 - index })),
  other: { count: 1, all: 2 },
  missing: 0,
};

function press(element: Element | null | undefined, key: string, shiftKey = false): void {
  element?.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, bubbles: true, cancelable: true }));
}

afterEach(() => {
  document.body.replaceChildren();
});

describe("the bins of a filter", () => {
  it("are those that its bounds touch, numbers inclusive", () => {
    const { bounds } = CREDITS;
    expect(binsOf(bounds ?? [], null, null)).toBeNull();
    expect(binsOf(bounds ?? [], 10, 19)).toEqual([1, 1]);
    expect(binsOf(bounds ?? [], 10, 20)).toEqual([1, 2]);
    expect(binsOf(bounds ?? [], 9, null)).toEqual([0, 3]);
    expect(binsOf(bounds ?? [], null, 25)).toEqual([0, 2]);
    expect(binsOf(bounds ?? [], 100, null)).toEqual([3, 3]);
  });

  it("end before the end of a span of time, in any zone and form", () => {
    const bounds = DAYS.bounds ?? [];
    expect(binsOf(bounds, "2026-01-02T00:00:00+01:00", "2026-01-04T00:00:00+01:00")).toEqual([1, 2]);
    expect(binsOf(bounds, "2026-01-01T23:00:00Z", null)).toEqual([1, 3]);
    expect(binsOf(bounds, Date.parse("2026-01-02T00:00:00+01:00") / 1000, null)).toEqual([1, 3]);
  });

  it("and back are the same filter, whichever are brushed", () => {
    for (const [field, profile] of [["credits", CREDITS], ["date", DAYS]] as const) {
      for (let from = 0; from < 4; from += 1) {
        for (let to = from; to < 4; to += 1) {
          const filters = { ...NO_FILTERS, ...brushFilter(field, profile, [from, to]) };
          const [low, high] = field === "credits" ? filters.credits : [filters.after, filters.before];
          const whole = from === 0 && to === 3;
          expect(binsOf(profile.bounds ?? [], low, high)).toEqual(whole ? null : [from, to]);
        }
      }
    }
  });

  it("leave a side open where they reach the end of the values", () => {
    expect(brushFilter("credits", CREDITS, [0, 1])).toEqual({ credits: [null, 19] });
    expect(brushFilter("characters", CREDITS, [2, 3])).toEqual({ characters: [20, null] });
    expect(brushFilter("date", DAYS, [1, 1])).toEqual({ after: DAYS.bounds?.[1]?.[0], before: DAYS.bounds?.[1]?.[1] });
    expect(brushFilter("credits", CREDITS, null)).toEqual({ credits: [null, null] });
  });
});

describe("a histogram", () => {
  let brushed: (Bins | null)[];
  let histogram: HistogramProfile;
  const edges = (): HTMLElement[] => [...histogram.el.querySelectorAll<HTMLElement>("[role=slider]")];

  beforeEach(() => {
    brushed = [];
    histogram = new HistogramProfile("Credits", (bins) => brushed.push(bins));
    document.body.append(histogram.el);
    histogram.show(CREDITS, null);
    const plot = histogram.el.querySelector<HTMLElement>(".hk-plot");
    if (!plot) throw new Error("no plot");
    vi.spyOn(plot, "getBoundingClientRect").mockReturnValue({ left: 0, width: 400, right: 400, top: 0, bottom: 30, height: 30, x: 0, y: 0, toJSON: () => null });
    plot.setPointerCapture = () => undefined;
  });

  function pointer(type: string, x: number, target = histogram.el.querySelector(".hk-plot")): void {
    target?.dispatchEvent(new PointerEvent(type, { clientX: x, button: 0, bubbles: true, cancelable: true }));
  }

  it("draws the filtered counts over all, at one scale", () => {
    const [all, counts] = [...histogram.el.querySelectorAll("path")].map((path) => path.getAttribute("d"));
    expect(all).toBe(barsPath([1, 0.8, 0.6, 0.4]));
    expect(counts).toBe(barsPath([0.1, 0.2, 0, 0.4]));
  });

  it("is brushed by dragging, in both directions, and a click takes one bin or gives it back", () => {
    pointer("pointerdown", 150);
    pointer("pointermove", 350);
    pointer("pointerup", 350);
    pointer("pointerdown", 250);
    pointer("pointermove", 50);
    pointer("pointerup", 50);
    pointer("pointerdown", 350);
    pointer("pointerup", 350);
    pointer("pointerdown", 350);
    pointer("pointerup", 350);
    expect(brushed).toEqual([[1, 3], [0, 2], [3, 3], null]);
  });

  it("is narrowed by its edges", () => {
    pointer("pointerdown", 0, edges()[0]);
    pointer("pointermove", 120);
    pointer("pointerup", 120);
    expect(brushed).toEqual([[1, 3]]);
  });

  it("is brushed by keys, and cleared by Escape", () => {
    const [low, high] = edges();
    press(low, "ArrowRight");
    press(high, "ArrowLeft");
    press(high, "Home");
    press(low, "End");
    expect(brushed).toEqual([[1, 3], [1, 2], [1, 1]]);
    expect(low?.getAttribute("aria-valuetext")).toBe("10–19");
    press(high, "End");
    press(low, "ArrowLeft"); // all bins: no filter
    press(high, "ArrowLeft", true);
    press(low, "Escape");
    expect(brushed.slice(3)).toEqual([[1, 3], null, [0, 0], null]);
    expect(low?.getAttribute("aria-valuetext")).toBe("no limit");
  });

  it("can't be brushed where the column has no filter", () => {
    histogram.show({ ...CREDITS, bounds: null }, null);
    pointer("pointerdown", 150);
    pointer("pointermove", 350);
    pointer("pointerup", 350);
    expect(brushed).toEqual([]);
    expect(edges().every((edge) => edge.hidden)).toBe(true);
  });

  it("says what lies under the pointer, what is brushed, and that there are no values", () => {
    const note = (): string | null | undefined => histogram.el.querySelector(".hk-note")?.textContent;
    pointer("pointermove", 350);
    expect(note()).toBe("30–39: 4");
    pointer("pointerleave", 350);
    expect(note()).toBe("0 – 39");
    histogram.show(CREDITS, [1, 2]);
    expect(note()).toBe("10 – 29");
    histogram.show({ ...CREDITS, edges: [], labels: [], bounds: [], counts: [], all: [] }, null);
    expect(note()).toBe("no values");
  });
});

it.each([
  [["2026-01-01", "2026-01-02"], "2026-01-01 – 2026-01-02"],
  [["0 – 599", "600 – 1,199"], "0 – 1,199"],
  [["0–9"], "0–9"],
])("the range of the bins %j is %s", (labels, text) => {
  expect(rangeText(labels, 0, labels.length - 1)).toBe(text);
});

describe("bars", () => {
  let chosen: string[][];
  let bars: BarsProfile;
  const buttons = (): HTMLButtonElement[] => [...bars.el.querySelectorAll<HTMLButtonElement>(".hk-bars button")];

  beforeEach(() => {
    chosen = [];
    bars = new BarsProfile("Voice", (values) => chosen.push(values));
    document.body.append(bars.el);
    bars.show(VOICES, []);
  });

  afterEach(() => {
    bars.dispose();
  });

  it("are the commonest values, filter by a click, and take it back", () => {
    expect(buttons().map((button) => button.textContent)).toEqual(["Voice a5", "Voice b4", "Voice c3", "2 more"]);
    buttons()[1]?.click();
    bars.show(VOICES, ["b"]);
    expect(buttons()[1]?.getAttribute("aria-pressed")).toBe("true");
    buttons()[0]?.click();
    buttons()[1]?.click();
    expect(chosen).toEqual([["b"], ["b", "a"], []]);
  });

  it("show the chosen values among them", () => {
    bars.show(VOICES, ["e"]);
    expect(buttons().map((button) => button.textContent)).toEqual(["Voice a5", "Voice b4", "Voice e1", "2 more"]);
  });

  it("are one stop of the Tab key, and arrows go on", () => {
    expect(buttons().map(({ tabIndex }) => tabIndex)).toEqual([0, -1, -1, -1]);
    buttons()[0]?.focus();
    press(document.activeElement, "ArrowDown");
    press(document.activeElement, "ArrowDown");
    expect(document.activeElement).toBe(buttons()[2]);
    press(document.activeElement, "End");
    expect(document.activeElement?.textContent).toBe("2 more");
    expect(buttons().map(({ tabIndex }) => tabIndex)).toEqual([-1, -1, -1, 0]);
  });

  it("are cleared by Escape", () => {
    bars.show(VOICES, ["a"]);
    press(buttons()[0], "Escape");
    expect(chosen).toEqual([[]]);
  });

  it("open all values, where Escape closes them and leaves the filter", () => {
    bars.show(VOICES, ["a"]);
    const more = buttons()[3];
    more?.focus();
    more?.click();
    const boxes = [...bars.el.querySelectorAll<HTMLInputElement>("input")];
    expect(boxes.map(({ checked }) => checked)).toEqual([true, false, false, false, false]);
    expect(more?.getAttribute("aria-expanded")).toBe("true");
    boxes[4]?.click();
    expect(chosen).toEqual([["a", "e"]]);
    press(boxes[4], "Escape");
    expect(chosen).toHaveLength(1);
    expect(more?.getAttribute("aria-expanded")).toBe("false");
  });

  it("are searched where there are many, in any letter case and without marks", () => {
    const values = [...Array(12).keys()].map((index) => ({ value: `v${index}`, label: index === 7 ? "Lucía 7" : `Voice ${index}`, count: 1, all: 1 }));
    bars.show({ ...VOICES, values }, []);
    buttons()[3]?.click();
    const search = bars.el.querySelector<HTMLInputElement>("input[type=search]");
    expect(document.activeElement).toBe(search);
    const type = (text: string): string[] => {
      if (search) search.value = text;
      search?.dispatchEvent(new Event("input", { bubbles: true }));
      return [...bars.el.querySelectorAll<HTMLElement>("label:not([hidden]) > span:first-of-type")].map(({ textContent }) => textContent);
    };
    expect(type("LUCIA")).toEqual(["Lucía 7"]);
    bars.el.querySelector<HTMLElement>("label:not([hidden]) input")?.click();
    expect(chosen).toEqual([["v7"]]);
    bars.show({ ...VOICES, values }, ["v7"]);
    expect(type("LUCIA")).toEqual(["Lucía 7"]);
    expect(type("nobody")).toEqual([]);
    expect(bars.el.querySelector(".hk-values [role=status]")?.textContent).toBe("No value has this.");
    press(search, "Escape");
    expect(bars.el.querySelectorAll("label:not([hidden])")).toHaveLength(12);
    press(search, "Escape");
    expect(buttons()[3]?.getAttribute("aria-expanded")).toBe("false");
  });
});

describe("the order after a click", () => {
  it.each([
    [[], "x", false, [["x", false]]],
    [[["x", false]], "x", false, [["x", true]]],
    [[["x", true]], "x", false, []],
    [[["y", true]], "x", false, [["x", false]]],
    [[["y", true]], "x", true, [["y", true], ["x", false]]],
    [[["y", true], ["x", false]], "y", true, [["x", false]]],
    [[["y", true], ["x", false]], "x", true, [["y", true], ["x", true]]],
  ] as [[string, boolean][], string, boolean, [string, boolean][]][])("of %j on %s (Shift: %s) is %j", (sort, key, add, expected) => {
    const keys = (pairs: [string, boolean][]): { key: string; descending: boolean }[] =>
      pairs.map(([name, descending]) => ({ key: name, descending }));
    expect(nextSort(keys(sort), key, add)).toEqual(keys(expected));
  });
});

it("a header sets the width of a column by its edge", () => {
  const resized: [string, number, boolean][] = [];
  const nothing = (): void => undefined;
  const header = new Header([], {
    sort: nothing,
    filter: nothing,
    tickAll: nothing,
    down: nothing,
    resize: (key, width, done) => resized.push([key, width, done]),
  });
  document.body.append(header.el);
  header.setColumns([
    { key: "text", label: "Text", kind: "text", align: "left", width: 100, shown: true, filter: "text", sortable: true, profile: false },
  ]);
  const cell = header.el.querySelectorAll<HTMLElement>("[role=columnheader]")[1];
  const edge = header.el.querySelector<HTMLElement>(".hk-resize");
  if (!cell || !edge) throw new Error("no cell");
  vi.spyOn(cell, "offsetWidth", "get").mockReturnValue(100);
  edge.setPointerCapture = nothing;
  for (const [type, clientX] of [["pointerdown", 500], ["pointermove", 530], ["pointermove", 100], ["pointerup", 5_000]] as const) {
    edge.dispatchEvent(new PointerEvent(type, { clientX, bubbles: true }));
  }
  expect(resized).toEqual([["text", 130, false], ["text", 48, false], ["text", 1200, true]]);
});
