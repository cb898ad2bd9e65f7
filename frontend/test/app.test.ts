import { describe, expect, it, vi } from "vitest";
import { mergeQueries } from "../src/app";
import { FakeKernel, textOf } from "./kernel";
import { open, useStage, type Stage } from "./stage";

useStage();

function type(stage: Stage, text: string): void {
  const input = stage.one(".hk-search") as HTMLInputElement;
  input.focus();
  input.value = text;
  input.dispatchEvent(new InputEvent("input", { bubbles: true }));
}

function button(stage: Stage, text: string): HTMLElement {
  const found = stage.all("button").find((one) => one.textContent.trim() === text);
  if (!found) throw new Error(`no button ${text}`);
  return found;
}

const queries = ({ kernel }: Stage): number => kernel.asked.filter(({ kind }) => kind === "query").length;

describe("sort", () => {
  it("goes up, down and away by clicks, and adds keys with Shift", async () => {
    const stage = await open({ rows: 300 });
    const click = async (column: number, shiftKey = false): Promise<void> => {
      stage.all(".hk-sort")[column]?.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey }));
      await stage.wait();
    };
    const sorted = (): (string | null)[] => stage.all(".hk-header [aria-sort]").map((el) => el.getAttribute("aria-sort"));
    await click(4);
    expect(sorted()[4]).toBe("ascending");
    const credits = stage.rows().map(({ texts }) => Number(texts[4]));
    expect(credits).toEqual([...credits].sort((first, second) => first - second));
    await click(1, true);
    expect(stage.kernel.sort).toEqual([
      { key: "credits", descending: false },
      { key: "voice_name", descending: false },
    ]);
    await click(4, true);
    expect(sorted()[4]).toBe("descending");
    await click(4, true);
    expect(stage.kernel.sort).toEqual([{ key: "voice_name", descending: false }]);
    await click(1);
    await click(1);
    expect(stage.kernel.sort).toEqual([]);
    expect(sorted()).toEqual(Array(7).fill("none"));
  });

  it("counts clicks that come before the answer, and shows the kernel's order if it refuses", async () => {
    const stage = await open({ rows: 50, delay: 200 });
    await stage.wait(400);
    const button = stage.all(".hk-header .hk-sort")[4] as HTMLButtonElement;
    button.click();
    button.click();
    await stage.wait(600);
    expect(stage.kernel.sort).toEqual([{ key: "credits", descending: true }]);
    stage.kernel.refuse = "query";
    button.click();
    await stage.wait(600);
    expect(stage.all("[aria-sort=descending]")).toHaveLength(1);
  });
});

describe("search", () => {
  it("waits for a pause in the typing, and asks once", async () => {
    const stage = await open({ rows: 300 });
    for (const text of ["l", "la", "lan", "lant"]) {
      type(stage, text);
      await stage.wait(60);
    }
    expect(queries(stage)).toBe(0);
    await stage.wait(200);
    expect(queries(stage)).toBe(1);
    expect(stage.kernel.filters.text).toBe("lant");
    const matching = Array.from({ length: 300 }, (_, index) => textOf(index)).filter((text) => text.toLowerCase().includes("lant"));
    expect(stage.one(".hk-sums").textContent).toContain(`${matching.length} of 300 rows`);
    expect(stage.rows()[0]?.texts[2]?.slice(0, 20)).toBe(matching[0]?.slice(0, 20));
  });

  it("drops an answer that was overtaken", async () => {
    const stage = await open(new FakeKernel({ rows: 300, delay: 200 }));
    await stage.wait(400);
    type(stage, "river");
    await stage.wait(160);
    type(stage, "song");
    await stage.wait(160); // the first is still under way
    await stage.wait(150);
    expect(stage.kernel.filters.text).toBe("river");
    expect(stage.one(".hk-sums").textContent).toMatch(/^300 rows/);
    await stage.wait(400);
    expect(stage.kernel.filters.text).toBe("song");
    expect(stage.one(".hk-sums").textContent).toMatch(/ of 300 rows/);
  });

  it("keeps what was sent when something else is shown before its answer", async () => {
    const stage = await open(new FakeKernel({ rows: 300, delay: 200 }));
    await stage.wait(600);
    const field = stage.one(".hk-search") as HTMLInputElement;
    (stage.all(".hk-header .hk-sort")[4] as HTMLButtonElement).click();
    await stage.wait(210); // the rows are sorted, their profiles are under way
    const before = stage.kernel.asked.filter(({ kind }) => kind === "profiles").length;
    type(stage, "son");
    await stage.wait(250); // the search is sent, the profiles are shown
    expect(stage.kernel.asked.filter(({ kind }) => kind === "profiles").length).toBe(before);
    expect(stage.kernel.filters.text).toBe("");
    expect(field.value).toBe("son");
    type(stage, `${field.value}g`);
    await stage.wait(900);
    expect(field.value).toBe("song");
    expect(stage.kernel.filters.text).toBe("song");
    stage.app.filter({ text: "river" }); // of another view, say
    await stage.wait(600);
    expect(field.value).toBe("river");
  });

  it("tells of a wrong expression, keeps what was typed and the rows, and forgets the error", async () => {
    const stage = await open({ rows: 300 });
    button(stage, ".*Regular expression").click();
    type(stage, "lan(");
    await stage.wait(300);
    const field = stage.one(".hk-search") as HTMLInputElement;
    expect(field.getAttribute("aria-invalid")).toBe("true");
    expect(field.value).toBe("lan(");
    expect(stage.one(".hk-message").hidden).toBe(false);
    expect(stage.rows().length).toBe(18);
    type(stage, "lan(t|d)");
    await stage.wait(300);
    expect(field.getAttribute("aria-invalid")).toBeNull();
    expect(stage.one(".hk-message").hidden).toBe(true);
    expect(stage.kernel.filters.pattern).toBe(true);
  });

  it("ends with Escape", async () => {
    const stage = await open({ rows: 300 });
    type(stage, "song");
    await stage.wait(300);
    await stage.press("Escape");
    expect(stage.kernel.filters.text).toBe("");
    expect(stage.one(".hk-sums").textContent).toMatch(/^300 rows/);
  });
});

describe("ticks", () => {
  it("survive filters, are counted as hidden, and can be shown alone", async () => {
    const stage = await open({ rows: 300 });
    stage.app.tick({ op: "set", positions: [0, 1, 2], on: true });
    await stage.wait();
    expect(stage.one(".hk-sums").textContent).toContain("3 ticked");
    stage.app.filter({ text: "no text has this" });
    await stage.wait();
    expect(stage.one(".hk-sums").textContent).toContain("3 ticked, 3 hidden");
    button(stage, "Show ticked").click();
    await stage.wait();
    expect(stage.rows().map(({ el }) => el.getAttribute("aria-selected"))).toEqual(["true", "true", "true"]);
    button(stage, "Show all").click();
    await stage.wait();
    expect(stage.rows().length).toBe(0);
    button(stage, "Untick all").click();
    await stage.wait();
    expect(stage.kernel.ticks.size).toBe(0);
  });

  it("of the head take all rows that match, and it shows how many are", async () => {
    const stage = await open({ rows: 300 });
    const head = stage.one(".hk-header input") as HTMLInputElement;
    stage.app.filter({ source: ["STS"] });
    await stage.wait();
    const match = stage.app.state.count;
    head.click();
    await stage.wait();
    expect(stage.kernel.ticks.size).toBe(match);
    expect([head.checked, head.indeterminate]).toEqual([true, false]);
    expect(stage.rows().every(({ el }) => el.getAttribute("aria-selected") === "true")).toBe(true);
    stage.app.filter({ source: [] });
    await stage.wait();
    expect([head.checked, head.indeterminate]).toEqual([false, true]);
  });
});

describe("the focus", () => {
  it("stays inside when what had it goes, so that no key reaches the notebook", async () => {
    const stage = await open({ rows: 300 });
    const inside = (): boolean => stage.one(".hk-table").contains(document.activeElement);
    stage.app.filter({ source: ["STS"] });
    await stage.wait();
    button(stage, "Clear filters").focus();
    button(stage, "Clear filters").click();
    await stage.wait();
    expect(inside()).toBe(true);
    stage.app.tick({ op: "all", on: true });
    await stage.wait();
    button(stage, "Untick all").focus();
    button(stage, "Untick all").click();
    await stage.wait();
    expect(inside()).toBe(true);
    stage.app.filter({ text: "no text has this" });
    await stage.wait();
    expect(document.activeElement).toBe(stage.one(".hk-search"));
  });
});

describe("two views of one explorer", () => {
  it("share filters, order and ticks, and each has its rows", async () => {
    const first = await open({ rows: 300 });
    const second = await open(first.kernel);
    first.app.filter({ text: "song" });
    await first.wait(100);
    first.app.query({ sort: [{ key: "characters", descending: true }] });
    await first.wait(100);
    expect(second.rows().map(({ texts }) => texts)).toEqual(first.rows().map(({ texts }) => texts));
    expect(second.one(".hk-sums").textContent).toBe(first.one(".hk-sums").textContent);
    expect((second.one(".hk-search") as HTMLInputElement).value).toBe("song");
    first.app.tick({ op: "all", on: true });
    await first.wait(100);
    expect(second.rows().every(({ el }) => el.getAttribute("aria-selected") === "true")).toBe(true);
    expect(second.one(".hk-sums").textContent).toBe(first.one(".hk-sums").textContent);
  });
});

describe("an explorer without rows to show", () => {
  it("says how to get some when filters hide them, and clears the filters", async () => {
    const stage = await open({ rows: 300 });
    stage.app.filter({ text: "no text has this" });
    await stage.wait();
    const empty = stage.one(".hk-empty");
    expect(empty.hidden).toBe(false);
    empty.querySelector("button")?.click();
    await stage.wait();
    expect(empty.hidden).toBe(true);
    expect(stage.rows().length).toBe(18);
  });

  it("has no filters to clear where the history is empty", async () => {
    const stage = await open({ rows: 0 });
    expect(stage.one(".hk-empty").textContent).toContain("generate speech");
    expect(stage.one(".hk-empty").querySelector("button")).toBeNull();
  });
});

describe("columns", () => {
  it("are chosen, moved and sized, and the rows follow", async () => {
    const stage = await open({ rows: 300 });
    button(stage, "Columns").click();
    const boxes = stage.all(".hk-columns input") as HTMLInputElement[];
    boxes[1]?.click();
    await stage.wait();
    expect(stage.all(".hk-sort").map((one) => one.textContent)).toEqual(["Date", "Text", "Characters", "Credits", "Model", "Source"]);
    expect(stage.rows()[0]?.texts).toEqual(stage.kernel.row(0, 0).c);
    stage.one("[aria-label='Move Text left']").focus();
    stage.one("[aria-label='Move Text left']").click();
    await stage.wait();
    expect(stage.all(".hk-sort")[0]?.textContent).toBe("Text");
    expect(document.activeElement?.getAttribute("aria-label")).toBe("Move Text right"); // left is at its end
    expect(stage.rows()[0]?.texts).toEqual(stage.kernel.row(0, 0).c);
    const tracks = (): string => stage.one(".hk-grid").style.getPropertyValue("--hk-tracks");
    expect(tracks()).toMatch(/^34px minmax\(320px, 1fr\) /);
    stage.all(".hk-sort")[0]?.focus();
    await stage.press("Shift+ArrowRight");
    const width = stage.kernel.columns.find(({ key }) => key === "text")?.width;
    expect(width).toBe(48); // the least: an element without layout is 0 wide
    expect(tracks()).toMatch(/^34px 48px /); // no longer as wide as there is room
  });
});

describe("a kernel that doesn't answer", () => {
  it("is told to be busy, and loaded rows stay", async () => {
    const stage = await open({ rows: 300 });
    const before = stage.rows().map(({ texts }) => texts);
    stage.kernel.busy = true;
    stage.app.query({ sort: [{ key: "date", descending: true }] });
    await stage.wait(350);
    expect(stage.one(".hk-busy").hidden).toBe(false);
    expect(stage.one(".hk-notice").textContent).toBe("");
    await stage.wait(100);
    expect(stage.one(".hk-notice").textContent).toContain("kernel is busy");
    expect(stage.rows().map(({ texts }) => texts)).toEqual(before);
    stage.kernel.free();
    await stage.wait();
    expect(stage.one(".hk-notice").textContent).toBe("");
    expect(stage.one(".hk-busy").hidden).toBe(true);
  });

  it("is told to be gone, with what to do", async () => {
    const stage = await open({ rows: 300 });
    stage.kernel.gone = true;
    stage.app.query({ sort: [{ key: "date", descending: true }] });
    await stage.wait(2_500);
    expect(stage.one(".hk-notice").textContent).toBe("The kernel is gone: run this cell again.");
    expect(stage.rows().length).toBe(18);
  });
});

describe("what screen readers hear", () => {
  it("is the sums, once the changes are over", async () => {
    const stage = await open({ rows: 300 });
    const said = stage.one("[aria-live]");
    await stage.wait(600);
    expect(said.textContent).toMatch(/^300 rows, [\d,]+ credits$/);
    stage.app.filter({ text: "s" });
    stage.app.filter({ text: "so" });
    stage.app.tick({ op: "set", positions: [0], on: true });
    await stage.wait(300);
    expect(said.textContent).toMatch(/^300 rows/);
    await stage.wait(600);
    expect(said.textContent).toMatch(/ of 300 rows, [\d,]+ credits; 1 ticked/);
  });
});

describe("a narrow explorer", () => {
  it("has the text first, and its columns in their own order again when it is wide", async () => {
    const width = vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(390);
    const resizes: (() => void)[] = [];
    vi.stubGlobal("ResizeObserver", class {
      constructor(call: () => void) {
        resizes.push(call);
      }
      observe(): void {
        return undefined;
      }
      disconnect(): void {
        return undefined;
      }
    });
    const stage = await open({ rows: 300 });
    const heads = (): string[] => stage.all(".hk-header .hk-sort").map(({ textContent }) => textContent);
    const cells = stage.kernel.row(0, 0).c;
    expect(heads()[0]).toBe("Text");
    expect(stage.rows()[0]?.texts).toEqual([cells[2], cells[0], cells[1], ...cells.slice(3)]);
    expect(stage.one(".hk-grid").style.getPropertyValue("--hk-tracks")).toContain("minmax(320px, 1fr)");
    width.mockReturnValue(900);
    for (const resized of resizes) resized();
    expect(heads().slice(0, 3)).toEqual(["Date", "Voice", "Text"]);
    expect(stage.rows()[0]?.texts).toEqual(cells);
    vi.unstubAllGlobals();
  });
});

describe("parts", () => {
  it("get their place, the state and its changes, and are closed with the explorer", async () => {
    const dispose = vi.fn();
    const versions: number[] = [];
    const stage = await open(
      { rows: 30 },
      {
        chart: (host) => {
          host.on("changed", ({ version }) => versions.push(version));
          return { el: Object.assign(document.createElement("div"), { id: "part" }), dispose };
        },
      },
    );
    expect(stage.one(".hk-slot-chart > #part")).toBeTruthy();
    stage.app.filter({ text: "song" });
    await stage.wait();
    expect(versions).toEqual([1, 2]);
    stage.app.dispose();
    expect(dispose).toHaveBeenCalledOnce();
    expect(document.querySelector(".histkit-explorer")).toBeNull();
  });
});

it("joins queries: filters by field, the newer sort", () => {
  const older = { filters: { text: "a", voice: ["x"] }, sort: [{ key: "date", descending: true }] };
  expect(mergeQueries(older, { filters: { text: "b" }, shown_only: true })).toEqual({
    filters: { text: "b", voice: ["x"] },
    sort: [{ key: "date", descending: true }],
    shown_only: true,
  });
});
