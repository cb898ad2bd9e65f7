import { describe, expect, it } from "vitest";
import { Actions } from "../src/actions";
import type { PartFactory } from "../src/host";
import { FakeKernel } from "./kernel";
import { open, useStage, type Stage } from "./stage";

useStage();

const PARTS: { actions: PartFactory } = { actions: (host) => new Actions(host) };

function button(stage: Stage, text: string): HTMLElement {
  const found = stage.all(".hk-actions button").find((one) => one.textContent === text && !one.closest("[hidden]"));
  if (!found) throw new Error(`no button ${text}`);
  return found;
}

const line = (stage: Stage): string => stage.all(".hk-result").map(({ textContent }) => textContent).join("");
const which = (stage: Stage): HTMLSelectElement => stage.one(".hk-which select") as HTMLSelectElement;
const jobs = ({ kernel }: Stage): Record<string, unknown>[] => kernel.asked.filter(({ kind }) => kind === "job").map(({ payload }) => payload);

describe("an action", () => {
  it("takes the ticked rows if there are any, shows its progress and its result, and its button waits", async () => {
    const stage = await open({ rows: 300 }, PARTS);
    expect(stage.all(".hk-target").map((input) => (input as HTMLInputElement).value)).toEqual(["audio", "audio.zip", "rows.csv", "rows.parquet"]);
    expect(which(stage).selectedOptions[0]?.textContent).toBe("300 that match the filters");
    stage.app.tick({ op: "set", positions: [4, 5], on: true });
    await stage.wait();
    expect(which(stage).selectedOptions[0]?.textContent).toBe("2 ticked");
    const pull = button(stage, "Pull audio");
    pull.focus();
    pull.click();
    await stage.wait(350);
    expect(jobs(stage)).toEqual([{ action: "pull", target: "audio", rows: "ticked" }]);
    expect(pull.getAttribute("aria-disabled")).toBe("true");
    const bar = stage.one("progress") as HTMLProgressElement;
    expect([bar.value, bar.max]).toEqual([2, 10]);
    expect(stage.one(".hk-job-text").textContent).toBe("Pull audio: 2 of 10 clips");
    pull.click();
    await stage.wait(2_000);
    expect(jobs(stage).length).toBe(1);
    expect(line(stage)).toBe("audio: 10 done.");
    expect(stage.one(".hk-progress").hidden).toBe(true);
    expect(pull.getAttribute("aria-disabled")).toBe("false");
    expect(document.activeElement).toBe(pull);
  });

  it("says first what it would do if people want that, however little it is", async () => {
    const stage = await open({ rows: 30 }, PARTS);
    (stage.one(".hk-which input") as HTMLInputElement).click();
    button(stage, "Export CSV").click();
    await stage.wait(350);
    expect(jobs(stage)).toEqual([{ action: "csv", target: "rows.csv", rows: "filtered", ask: true }]);
    expect(stage.all(".hk-confirm:not([hidden])").map(({ textContent }) => textContent)).toEqual([expect.stringContaining("30 requests")]);
    button(stage, "Export CSV now").click();
    await stage.wait(2_000);
    expect(line(stage)).toBe("rows.csv: 10 done.");
  });

  it("keeps the rows that people chose until none is ticked", async () => {
    const stage = await open({ rows: 300 }, PARTS);
    stage.app.tick({ op: "set", positions: [4], on: true });
    await stage.wait();
    which(stage).value = "filtered";
    which(stage).dispatchEvent(new Event("change"));
    stage.app.tick({ op: "set", positions: [5], on: true });
    await stage.wait();
    expect(which(stage).value).toBe("filtered");
    stage.app.tick({ op: "none" });
    await stage.wait();
    stage.app.tick({ op: "set", positions: [5], on: true });
    await stage.wait();
    expect(which(stage).value).toBe("ticked");
  });

  it("begins with Enter in its target, and tells what the kernel refuses", async () => {
    const stage = await open({ rows: 30 }, PARTS);
    const target = stage.all(".hk-target")[2] as HTMLInputElement;
    target.focus();
    target.value = "";
    await stage.press("Enter");
    expect(line(stage)).toBe("Export CSV: A path must be a non-empty string.");
    expect(stage.one(".hk-result.hk-failed")).toBeTruthy();
    target.value = "mine.csv";
    await stage.press("Enter");
    expect(jobs(stage)[1]).toEqual({ action: "csv", target: "mine.csv", rows: "filtered" });
    expect(line(stage)).toBe("");
  });

  it("is cancelled, and the focus goes back to its button", async () => {
    const stage = await open({ rows: 30 }, PARTS);
    button(stage, "Make zip").click();
    await stage.wait(400);
    const cancel = button(stage, "Cancel");
    expect(cancel.getAttribute("aria-label")).toBe("Cancel: Make zip");
    cancel.focus();
    cancel.click();
    await stage.wait();
    expect(line(stage)).toBe("Cancelled.");
    expect(document.activeElement).toBe(button(stage, "Make zip"));
  });
});

describe("a large pull", () => {
  it("is confirmed in the view that began it, by keys", async () => {
    const stage = await open({ rows: 1_500 }, PARTS);
    const other = await open(stage.kernel, PARTS);
    const pull = button(stage, "Pull audio");
    pull.focus();
    pull.click();
    await stage.wait(300);
    const dialog = stage.one("[role=alertdialog]");
    expect(dialog.hidden).toBe(false);
    expect(dialog.textContent).toContain("1500 requests, about 1.2 GB. That takes about 9 minutes.");
    expect(document.activeElement).toBe(dialog);
    expect(pull.getAttribute("aria-disabled")).toBe("true");
    expect(other.one("[role=alertdialog]").hidden).toBe(false);
    await stage.press("Escape");
    expect([dialog.hidden, other.one("[role=alertdialog]").hidden]).toEqual([true, true]);
    expect(document.activeElement).toBe(pull);
    pull.click();
    await stage.wait(300);
    button(other, "Pull audio now").click();
    await stage.wait(2_000);
    expect(line(stage)).toBe("audio: 10 done.");
    expect(line(other)).toBe("audio: 10 done.");
  });

  it("doesn't take the focus from where people went meanwhile", async () => {
    const stage = await open({ rows: 1_500 }, PARTS);
    button(stage, "Pull audio").click();
    stage.one(".hk-search").focus();
    await stage.wait(300);
    expect(stage.one("[role=alertdialog]").hidden).toBe(false);
    expect(document.activeElement).toBe(stage.one(".hk-search"));
  });
});

describe("a job", () => {
  it("is shown in a view that is opened while it runs", async () => {
    const stage = await open({ rows: 30 }, PARTS);
    button(stage, "Pull audio").click();
    await stage.wait(400);
    const other = await open(stage.kernel, PARTS);
    expect(other.one(".hk-progress").hidden).toBe(false);
    expect(button(other, "Pull audio").getAttribute("aria-disabled")).toBe("true");
    await other.wait(2_000);
    expect(line(other)).toBe("audio: 10 done.");
  });

  it("is asked for when nothing is heard of it", async () => {
    const stage = await open(new FakeKernel({ rows: 30 }), PARTS);
    button(stage, "Pull audio").click();
    await stage.wait(400);
    stage.kernel.mute = true;
    await stage.wait(3_000);
    expect(line(stage)).toBe("");
    await stage.wait(4_000);
    expect(line(stage)).toBe("audio: 10 done.");
  });

  it("ends with the kernel", async () => {
    const stage = await open(new FakeKernel({ rows: 30 }), PARTS);
    button(stage, "Make zip").click();
    await stage.wait(300);
    stage.kernel.stuck = true;
    stage.kernel.gone = true;
    await stage.wait(10_000);
    expect(line(stage)).toBe("The kernel is gone; nothing was written.");
    expect(button(stage, "Make zip").getAttribute("aria-disabled")).toBe("false");
  });
});
