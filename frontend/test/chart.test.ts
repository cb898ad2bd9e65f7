import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeChart } from "../src/chart";
import { NO_FILTERS } from "../src/filters";
import { FakeKernel, type KernelOptions } from "./kernel";
import { open, useStage, type Stage } from "./stage";

useStage();

const WIDTH = 400;
/** What was drawn: rectangles with their fill, and texts. */
let drawn: { fill: string; boxes: number[][] }[] = [];
let texts: string[] = [];
let resizes: (() => void)[] = [];

/** A canvas that draws nothing and keeps what it was asked for; a text is 6 pixels a letter wide. */
function context(): CanvasRenderingContext2D {
  let boxes: number[][] = [];
  const own: Record<string, unknown> = {
    fillStyle: "",
    measureText: (text: string) => ({ width: 6 * text.length }),
    beginPath: () => {
      boxes = [];
    },
    rect: (...box: number[]) => {
      boxes.push(box);
    },
    fill: () => {
      drawn.push({ fill: String(own.fillStyle), boxes });
    },
    fillText: (text: string) => {
      texts.push(text);
    },
  };
  return new Proxy(own, { get: (target, name) => (name in target ? target[name as string] : () => undefined) }) as unknown as CanvasRenderingContext2D;
}

beforeEach(() => {
  drawn = [];
  texts = [];
  resizes = [];
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation((() => context()) as never);
  vi.spyOn(HTMLElement.prototype, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, WIDTH, 200));
  vi.spyOn(HTMLElement.prototype, "setPointerCapture").mockReturnValue(undefined);
  vi.stubGlobal(
    "ResizeObserver",
    class {
      constructor(call: () => void) {
        resizes.push(call);
      }
      observe(): void {
        return undefined;
      }
      disconnect(): void {
        return undefined;
      }
      unobserve(): void {
        return undefined;
      }
    },
  );
});

/** Colours of series by their number: greens where it is light, blues where it is dark. */
function addColors(): void {
  const rules = ["light", "dark"].map((scheme, dark) => {
    const colors = [...Array(10).keys(), "other"].map((name, index) => `--hk-series-${typeof name === "number" ? name + 1 : name}: rgb(0, ${dark ? 0 : index + 1}, ${dark ? index + 1 : 0})`);
    return `.histkit-explorer[data-scheme="${scheme}"] { ${colors.join("; ")} }`;
  });
  const style = document.createElement("style");
  style.textContent = rules.join("\n");
  document.head.append(style);
}

afterEach(() => {
  document.head.replaceChildren();
  vi.unstubAllGlobals();
});

const start = (options: KernelOptions | FakeKernel): Promise<Stage> => open(options, { chart: makeChart });
const asked = ({ kernel }: Stage): Record<string, unknown>[] => kernel.asked.filter(({ kind }) => kind === "chart").map(({ payload }) => payload);
const legend = (stage: Stage): HTMLElement[] => stage.all(".hk-legend-item");

function pointer(stage: Stage, type: string, x: number, y = 100): void {
  stage.one(".hk-chart-bars").dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, button: 0, pointerId: 1, bubbles: true, cancelable: true }));
}

function choose(stage: Stage, name: string, value: string): void {
  const select = stage.one(`select[aria-label="${name}"]`) as HTMLSelectElement;
  select.value = value;
  select.dispatchEvent(new Event("change", { bubbles: true }));
}

describe("the chart", () => {
  it("draws each series with a colour of its own, and says all of it in words", async () => {
    addColors();
    const stage = await start({ rows: 3000 });
    expect(asked(stage)).toEqual([{ version: 1, by: "voice", freq: "auto", measure: "credits" }]);
    expect(legend(stage)).toHaveLength(11);
    const bars = drawn.filter(({ boxes }) => boxes.length > 0);
    expect(bars).toHaveLength(11);
    expect(bars.map(({ fill }) => fill)).toEqual([...Array(11).keys()].map((index) => `rgb(0, ${index + 1}, 0)`));
    expect(stage.one(".hk-chart-canvas").getAttribute("aria-label")).toContain("credits by voice");
    expect(stage.one('select[aria-label="Period"]').textContent).toContain("Auto: month");
    expect(texts).toContain("2025");
  });

  it("asks for other groups, periods and measures, and says why it can't", async () => {
    const stage = await start({ rows: 3000 });
    choose(stage, "Group", "source");
    choose(stage, "Measure", "items");
    choose(stage, "Period", "D");
    await stage.wait(100);
    expect(asked(stage).at(-1)).toEqual({ version: 1, by: "source", freq: "D", measure: "items", chosen: true });
    expect(legend(stage)).toHaveLength(3);
    choose(stage, "Period", "h");
    await stage.wait();
    expect(stage.one(".hk-chart-text").textContent).toBe("The chart would have more than 2,000 hours; choose days.");
    expect(stage.one(".hk-chart-canvas").hidden).toBe(true);
    choose(stage, "Period", "MS");
    await stage.wait();
    expect(stage.one(".hk-chart-text").hidden).toBe(true);
    expect(legend(stage)).toHaveLength(3);
  });

  it("opens with what was chosen last, and keeps a choice when filters overtake it", async () => {
    const kernel = new FakeKernel({ rows: 300, delay: 50 });
    kernel.shown = { by: "model", freq: "MS", measure: "items" };
    const stage = await start(kernel);
    await stage.wait(300);
    expect(asked(stage)).toEqual([{ version: 1, by: "model", freq: "MS", measure: "items" }]);
    choose(stage, "Period", "D");
    choose(stage, "Measure", "characters");
    stage.app.filter({ text: "river" });
    await stage.wait(400);
    const chosen = asked(stage).filter((one) => one.chosen === true).at(-1);
    expect(chosen).toMatchObject({ by: "model", freq: "D", measure: "characters" });
    expect(asked(stage).at(-1)).toMatchObject({ version: 2, by: "model", freq: "D", measure: "characters" });
  });

  it("follows filters, and not the order of rows", async () => {
    const stage = await start({ rows: 300 });
    stage.app.query({ sort: [{ key: "credits", descending: true }] });
    await stage.wait();
    expect(asked(stage)).toHaveLength(1);
    stage.app.filter({ credits: [1, 5] });
    await stage.wait();
    expect(asked(stage)).toHaveLength(2);
    stage.app.filter({ text: "no text has this" });
    await stage.wait();
    expect(legend(stage)).toHaveLength(0);
    expect(stage.one(".hk-chart-text").textContent).toBe("Chart without rows.");
    stage.app.filter(NO_FILTERS);
    await stage.wait();
    expect(legend(stage)).toHaveLength(11);
  });

  it("drops numbers of earlier filters", async () => {
    const stage = await start(new FakeKernel({ rows: 300, delay: 100 }));
    await stage.wait(500);
    const total = stage.one(".hk-legend .hk-number").textContent;
    choose(stage, "Measure", "items");
    await stage.wait(20);
    stage.app.filter({ source: ["STS"] });
    await stage.wait(90); // the numbers of all sources are there, and the filter is not
    const items = stage.one(".hk-legend .hk-number").textContent;
    expect(items).not.toBe(total);
    await stage.wait(500);
    const sum = legend(stage).reduce((all, item) => all + Number(item.querySelector(".hk-number")?.textContent.replaceAll(",", "")), 0);
    expect(stage.one(".hk-sums").textContent).toContain(`${sum} of 300 rows`);
  });

  it("shows a busy sign when an answer takes longer", async () => {
    const stage = await start({ rows: 300 });
    const busy = stage.one(".hk-chart .hk-busy");
    stage.kernel.delay = 1000;
    choose(stage, "Measure", "items");
    await stage.wait(250);
    expect(busy.hidden).toBe(true);
    await stage.wait(100);
    expect(busy.hidden).toBe(false);
    expect(stage.one(".hk-chart").getAttribute("aria-busy")).toBe("true");
    await stage.wait(1000);
    expect(busy.hidden).toBe(true);
    expect(stage.one(".hk-chart").getAttribute("aria-busy")).toBe("false");
  });

  it("draws again in another size and other colours", async () => {
    addColors();
    const stage = await start({ rows: 300 });
    drawn = [];
    for (const resize of resizes) resize();
    await stage.wait();
    expect(drawn[0]?.fill).toBe("rgb(0, 1, 0)");
    drawn = [];
    document.body.style.backgroundColor = "rgb(0, 0, 0)";
    document.body.setAttribute("data-theme", "dark");
    await stage.wait(2000);
    document.body.removeAttribute("style");
    document.body.removeAttribute("data-theme");
    expect(drawn[0]?.fill).toBe("rgb(0, 0, 1)");
    expect(stage.one(".hk-swatch").getAttribute("style")).toContain("rgb(0, 0, 1)");
  });

  it("has the same numbers as a table", async () => {
    const stage = await start({ rows: 3000 });
    stage.all(".hk-chart button").find((button) => button.textContent === "Show as table")?.click();
    const heads = stage.all(".hk-chart-table thead th").map((cell) => cell.textContent);
    expect(heads).toEqual(["Period", ...legend(stage).map((item) => item.querySelector(".hk-legend-label")?.textContent), "Total"]);
    const { series, periods } = stage.kernel.chart({ by: "voice", freq: "auto", measure: "credits" }) as { series: { values: (number | null)[]; total: number }[]; periods: string[] };
    const rows = stage.all(".hk-chart-table tbody tr").map((row) => [...row.children].map((cell) => cell.textContent));
    expect(rows.map(([period]) => period)).toEqual(periods);
    expect(rows.map((row) => row.slice(1, -1))).toEqual(periods.map((_, index) => series.map(({ values }) => values[index]?.toLocaleString("en-US") ?? "–")));
    const sums = stage.all(".hk-chart-table tfoot td").map((cell) => cell.textContent);
    expect(sums.slice(0, -1)).toEqual(series.map(({ total }) => total.toLocaleString("en-US")));
    expect(stage.one(".hk-sums").textContent).toContain(`${sums.at(-1)} credits`);
    expect(stage.one(".hk-chart-picture").hidden).toBe(true);
    stage.all(".hk-chart button").find((button) => button.textContent === "Show as chart")?.click();
    expect(stage.one(".hk-chart-picture").hidden).toBe(false);
  });
});

describe("a brush over the chart", () => {
  it("filters at its end by the periods that it touches, and a button takes it off", async () => {
    const stage = await start({ rows: 3000 });
    const { bounds } = stage.kernel.chart({ by: "voice", freq: "auto", measure: "credits" }) as { bounds: [string, string][] };
    const x = (bin: number): number => ((bin + 0.5) * WIDTH) / bounds.length;
    pointer(stage, "pointerdown", x(5));
    pointer(stage, "pointermove", x(3));
    expect(stage.kernel.filters.after).toBeNull();
    pointer(stage, "pointerup", x(3));
    await stage.wait();
    expect([stage.kernel.filters.after, stage.kernel.filters.before]).toEqual([bounds[3]?.[0], bounds[5]?.[1]]);
    expect(stage.one(".hk-chart-bars").classList).not.toContain("hk-brushed");
    stage.all(".hk-chart button").find((button) => button.textContent === "All dates")?.click();
    await stage.wait();
    expect([stage.kernel.filters.after, stage.kernel.filters.before]).toEqual([null, null]);
    expect(stage.all(".hk-chart button").find((button) => button.textContent === "All dates")?.hidden).toBe(true);
  });

  it("goes by keyboard: arrows move its edges, Enter filters, Escape takes it off and then the filter", async () => {
    const stage = await start({ rows: 3000 });
    const { bounds } = stage.kernel.chart({ by: "voice", freq: "auto", measure: "credits" }) as { bounds: [string, string][] };
    const [from] = stage.all(".hk-chart [role=slider]");
    from?.focus();
    await stage.press("ArrowRight");
    await stage.press("ArrowRight");
    expect(from?.getAttribute("aria-valuetext")).toMatch(/^2025-03: [\d,]+ credits$/);
    await stage.press("Escape");
    expect(stage.one(".hk-chart-bars").classList).not.toContain("hk-brushed");
    await stage.press("Shift+ArrowRight");
    expect(stage.kernel.filters.after).toBeNull();
    await stage.press("Enter");
    expect([stage.kernel.filters.after, stage.kernel.filters.before]).toEqual([bounds[5]?.[0], null]);
    expect(document.activeElement).toBe(from);
    await stage.press("Escape");
    expect(stage.kernel.filters.after).toBeNull();
  });
});

describe("a series of the chart", () => {
  it("filters by a click on its name, and a second click takes that off", async () => {
    const stage = await start({ rows: 3000 });
    const [first] = legend(stage);
    first?.click();
    await stage.wait();
    expect(stage.kernel.filters.voice).toEqual(["Rachel"]);
    expect(legend(stage).map((item) => item.getAttribute("aria-pressed"))).toEqual(["true"]);
    legend(stage)[0]?.click();
    await stage.wait();
    expect(stage.kernel.filters.voice).toEqual([]);
    legend(stage).at(-1)?.click(); // all others are no voice
    await stage.wait();
    expect(stage.kernel.filters.voice).toEqual([]);
  });

  it("filters by a click on a segment of a bar, and none above the bars", async () => {
    const stage = await start({ rows: 3000 });
    const click = async (y: number): Promise<void> => {
      pointer(stage, "pointerdown", WIDTH - 20, y);
      pointer(stage, "pointerup", WIDTH - 19, y);
      await stage.wait();
    };
    await click(11);
    expect(stage.kernel.filters.voice).toEqual([]);
    choose(stage, "Group", "model");
    await stage.wait();
    await click(190);
    expect(stage.kernel.filters.model).toEqual([legend(stage)[0]?.querySelector(".hk-legend-label")?.textContent]);
  });

  it("is reached by arrow keys", async () => {
    const stage = await start({ rows: 3000 });
    legend(stage)[0]?.focus();
    await stage.press("ArrowRight");
    expect(document.activeElement).toBe(legend(stage)[1]);
    expect(legend(stage).map(({ tabIndex }) => tabIndex)).toEqual([-1, 0, ...Array<number>(9).fill(-1)]);
  });

  it("is read under the pointer, period by period", async () => {
    const stage = await start({ rows: 3000 });
    pointer(stage, "pointermove", 5);
    const tip = stage.one(".hk-chart-tip");
    expect(tip.hidden).toBe(false);
    expect(tip.textContent).toMatch(/^2025-01[\d,]+ credits/);
    pointer(stage, "pointerleave", 5);
    expect(tip.hidden).toBe(true);
  });
});
