import { describe, expect, it, vi } from "vitest";
import type { Row } from "../src/protocol";
import { open, useStage, type Stage } from "./stage";

useStage();

/** The row (from 0) and the column (from 0) of the focus. */
function focus(): [number, number] {
  const cell = document.activeElement;
  const row = cell?.closest(".hk-row");
  return [Number(row?.getAttribute("aria-rowindex")) - 2, Number(cell?.getAttribute("aria-colindex")) - 1];
}

async function focusFirst(stage: Stage): Promise<void> {
  stage.app.focusRow(0);
  await stage.wait();
}

describe("the rows in the document", () => {
  it.each([0, 1, 3, 300, 100_000])("of %d rows are those in view, with the texts of the kernel", async (count) => {
    const { rows, kernel, one } = await open({ rows: count });
    const seen = rows();
    expect(seen.length).toBe(Math.min(count, 18));
    seen.forEach(({ index, texts }, at) => {
      expect(index).toBe(at);
      expect(texts).toEqual(kernel.row(at, at).c);
    });
    expect(one(".hk-grid").getAttribute("aria-rowcount")).toBe(String(count + 1));
    expect(one(".hk-grid").getAttribute("aria-colcount")).toBe("8");
  });

  it("are no more after a long scroll, and are reached exactly at any place", async () => {
    const stage = await open({ rows: 100_000 });
    for (const index of [0, 50, 99_999, 31_415, 12]) {
      stage.app.focusRow(index);
      await stage.wait(200);
      const row = stage.rows().find((one) => one.index === index);
      expect(row?.texts).toEqual(stage.kernel.row(index, index).c);
      expect(stage.all(".hk-body .hk-row").length).toBeLessThan(26);
    }
  });

  it("wait as skeletons until the kernel answers, and keep no text of another row", async () => {
    const stage = await open({ rows: 100_000 });
    stage.kernel.busy = true;
    stage.app.focusRow(50_000);
    const waiting = stage.rows().filter(({ index }) => index > 49_000);
    expect(waiting.length).toBeGreaterThan(10);
    expect(waiting.every(({ el, texts }) => el.classList.contains("hk-waiting") && texts.every((text) => text === ""))).toBe(true);
    stage.kernel.free();
    await stage.wait(200);
    expect(stage.rows().filter(({ index }) => index > 49_000).every(({ el }) => !el.classList.contains("hk-waiting"))).toBe(true);
  });

  it("stand in the document in their order once they are still", async () => {
    const stage = await open({ rows: 100_000 });
    stage.app.focusRow(500);
    stage.one(".hk-grid").dispatchEvent(new Event("scroll"));
    await stage.wait(400);
    const indices = stage.all(".hk-body .hk-row:not([hidden])").map((row) => Number(row.getAttribute("aria-rowindex")));
    expect(indices).toEqual([...indices].sort((first, second) => first - second));
  });

  it("run from right to left where their text does", async () => {
    const stage = await open({ rows: 30 });
    for (const cell of stage.all(".hk-body .hk-text")) expect(cell.dir).toBe("auto");
  });
});

describe("keys", () => {
  it("move the one focus", async () => {
    const stage = await open({ rows: 1_000 });
    await focusFirst(stage);
    const moves: [string, [number, number]][] = [
      ["ArrowDown", [1, 1]],
      ["ArrowRight", [1, 2]],
      ["End", [1, 7]],
      ["Home", [1, 0]],
      ["ArrowLeft", [1, 0]],
      ["PageDown", [15, 0]],
      ["PageUp", [1, 0]],
      ["Ctrl+End", [999, 0]],
      ["ArrowDown", [999, 0]],
      ["Ctrl+Home", [0, 0]],
    ];
    for (const [key, place] of moves) {
      await stage.press(key);
      expect([key, focus()]).toEqual([key, place]);
    }
    expect(stage.all(".hk-body [tabindex='0']").length).toBe(1);
  });

  it("leave the table upwards for the header, and come back", async () => {
    const stage = await open({ rows: 10 });
    await focusFirst(stage);
    await stage.press("ArrowRight");
    await stage.press("ArrowUp");
    expect(document.activeElement?.textContent).toContain("Voice");
    await stage.press("ArrowDown");
    expect(focus()).toEqual([0, 2]);
  });

  it("tick, play and open a row", async () => {
    const played: Row[] = [];
    const opened: Row[] = [];
    const stage = await open(
      { rows: 10 },
      {
        sound: () => ({ el: document.createElement("div"), play: (row) => void played.push(row) }),
        panel: () => ({ el: document.createElement("div"), open: (row) => void opened.push(row) }),
      },
    );
    await focusFirst(stage);
    await stage.press("ArrowDown");
    await stage.press("t");
    expect([...stage.kernel.ticks]).toEqual([1]);
    await stage.press("Space");
    await stage.press("Enter");
    expect(played.map(({ p }) => p)).toEqual([1]);
    expect(opened.map(({ p }) => p)).toEqual([1]);
    await stage.press("Home");
    await stage.press("Space"); // on the checkbox it ticks
    expect([...stage.kernel.ticks]).toEqual([]);
  });

  it("with Shift extend the ticks, and take back what they no longer reach", async () => {
    const stage = await open({ rows: 100 });
    stage.app.focusRow(10);
    await stage.press("Shift+ArrowDown");
    await stage.press("Shift+ArrowDown");
    expect([...stage.kernel.ticks].sort()).toEqual([10, 11, 12]);
    await stage.press("Shift+ArrowUp");
    expect([...stage.kernel.ticks].sort()).toEqual([10, 11]);
    await stage.press("Shift+ArrowUp");
    await stage.press("Shift+ArrowUp");
    expect([...stage.kernel.ticks].sort()).toEqual([10, 9]);
  });

  it("don't reach the notebook", async () => {
    const stage = await open({ rows: 10 });
    const heard = vi.fn();
    for (const type of ["keydown", "keypress", "keyup"]) document.addEventListener(type, heard);
    await focusFirst(stage);
    for (const key of ["b", "a", "t", "Space", "Enter", "Escape", "x"]) await stage.press(key);
    for (const type of ["keypress", "keyup"]) document.activeElement?.dispatchEvent(new KeyboardEvent(type, { key: "b", bubbles: true, composed: true }));
    expect(heard).not.toHaveBeenCalled();
    await stage.press("Ctrl+s"); // saves the notebook
    expect(heard).toHaveBeenCalledOnce();
    expect(stage.root.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  });
});

describe("ticks by mouse", () => {
  function click(stage: Stage, index: number, shiftKey = false): Promise<void> {
    const box = stage.rows().find((row) => row.index === index)?.el.querySelector("input");
    box?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey }));
    return stage.wait();
  }

  it("take a row, and with Shift all from the last one", async () => {
    const stage = await open({ rows: 100 });
    await click(stage, 2);
    await click(stage, 6, true);
    expect([...stage.kernel.ticks].sort()).toEqual([2, 3, 4, 5, 6]);
    await click(stage, 4);
    await click(stage, 5, true);
    expect([...stage.kernel.ticks].sort()).toEqual([2, 3, 6]);
    const drawn = stage.rows().filter(({ el }) => el.getAttribute("aria-selected") === "true");
    expect(drawn.map(({ index }) => index)).toEqual([2, 3, 6]);
    expect(drawn.every(({ el }) => el.querySelector("input")?.checked)).toBe(true);
  });

  it("are drawn as the kernel has them when it refuses", async () => {
    const stage = await open({ rows: 10 });
    stage.kernel.refuse = "tick";
    await click(stage, 3);
    expect(stage.rows()[3]?.el.getAttribute("aria-selected")).toBe("false");
    expect(stage.one(".hk-message").textContent).toContain("refuses tick");
  });
});
