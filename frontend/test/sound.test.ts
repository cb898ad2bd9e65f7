import { beforeEach, describe, expect, it, vi } from "vitest";
import { makeParts } from "../src/index";
import type { Word } from "../src/protocol";
import { barsPath, clock, peaksOf } from "../src/waveform";
import { LitText, placeWords } from "../src/words";
import { FakeKernel, textOf } from "./kernel";
import { open, useStage, type Stage } from "./stage";

useStage();

/** A browser's player without sound: it plays at once, until a test ends the clip. */
beforeEach(() => {
  const paused = new WeakSet<HTMLMediaElement>();
  vi.spyOn(HTMLMediaElement.prototype, "play").mockImplementation(function (this: HTMLMediaElement) {
    paused.delete(this);
    this.dispatchEvent(new Event("play"));
    this.dispatchEvent(new Event("playing"));
    return Promise.resolve();
  });
  vi.spyOn(HTMLMediaElement.prototype, "pause").mockImplementation(function (this: HTMLMediaElement) {
    if (paused.has(this)) return;
    paused.add(this);
    this.dispatchEvent(new Event("pause"));
  });
});

const start = (options: ConstructorParameters<typeof FakeKernel>[0]): Promise<Stage> => open(options, makeParts());
const clips = ({ kernel }: Stage): unknown[] => kernel.asked.filter(({ kind }) => kind === "clip").map(({ payload }) => payload.position);
const audio = (stage: Stage): HTMLAudioElement => stage.one("audio") as HTMLAudioElement;

function playButton(stage: Stage, index: number): HTMLButtonElement {
  const button = stage.rows()[index]?.el.querySelector<HTMLButtonElement>(".hk-play");
  if (!button) throw new Error(`no play button in row ${index}`);
  return button;
}

/** The numbers of the rows whose button says that they play. */
const playing = (stage: Stage): number[] =>
  stage.rows().flatMap(({ index, el }) => (el.querySelector(".hk-play.hk-on[aria-label^=Pause]") ? [index] : []));

async function click(stage: Stage, element: Element | null | undefined): Promise<void> {
  if (!(element instanceof HTMLElement)) throw new Error("nothing to click");
  element.click();
  await stage.wait();
}

async function end(stage: Stage): Promise<void> {
  audio(stage).pause();
  audio(stage).dispatchEvent(new Event("ended"));
  await stage.wait();
}

describe("sound in a row", () => {
  it("is asked for once, and the button pauses it and goes on", async () => {
    const stage = await start({ rows: 100 });
    await click(stage, playButton(stage, 2));
    expect(playing(stage)).toEqual([2]);
    await click(stage, playButton(stage, 2));
    expect(playing(stage)).toEqual([]);
    await click(stage, playButton(stage, 2));
    expect(playing(stage)).toEqual([2]);
    await click(stage, playButton(stage, 4));
    expect(playing(stage)).toEqual([4]);
    await click(stage, playButton(stage, 2));
    expect(playing(stage)).toEqual([2]);
    expect(clips(stage)).toEqual([2, 4]);
    expect(stage.one(".hk-player").hidden).toBe(false);
    expect(stage.one(".hk-player .hk-caption").textContent).toBe(textOf(2));
  });

  it("starts by the space bar on the row with the focus, wherever the sort puts it", async () => {
    const stage = await start({ rows: 100 });
    stage.app.query({ sort: [{ key: "credits", descending: true }] });
    await stage.wait();
    const index = stage.kernel.order.findIndex((position, n) => n > 4 && position % 7 !== 3);
    stage.app.focusRow(index);
    await stage.press("Space");
    expect(clips(stage)).toEqual([stage.kernel.order[index]]);
    expect(playing(stage)).toEqual([index]);
    await stage.press("Space");
    expect(playing(stage)).toEqual([]);
  });

  it("is not there for rows without an id", async () => {
    const stage = await start({ rows: 100 });
    expect(playButton(stage, 3).hidden).toBe(true);
    stage.app.focusRow(3);
    await stage.press("Space");
    expect(clips(stage)).toEqual([]);
    expect(stage.one(".hk-message").textContent).toContain("no sound");
  });

  it("doesn't start when another row was chosen in the meantime", async () => {
    const stage = await start({ rows: 100, delay: 200 });
    await stage.wait(500);
    await click(stage, playButton(stage, 0));
    await click(stage, playButton(stage, 1));
    await stage.wait(120); // the first one's sound is there
    expect(playing(stage)).toEqual([]);
    await stage.wait(100);
    expect(playing(stage)).toEqual([1]);
    await click(stage, playButton(stage, 2));
    await click(stage, playButton(stage, 2)); // and no more
    await stage.wait(400);
    expect(playing(stage)).toEqual([]);
  });

  it("tells in a line what is wrong, and may be tried again", async () => {
    const stage = await start({ rows: 100 });
    stage.kernel.refuse = "clip";
    await click(stage, playButton(stage, 1));
    expect(stage.one(".hk-message").textContent).toContain("refuses clip");
    expect(playButton(stage, 1).classList.contains("hk-failed")).toBe(true);
    expect(playButton(stage, 1).title).toContain("refuses clip");
    await click(stage, playButton(stage, 1));
    expect(playing(stage)).toEqual([1]);
    expect(playButton(stage, 1).classList.contains("hk-failed")).toBe(false);
  });

  it("comes as WAV where the browser can't play it", async () => {
    const stage = await start({ rows: 100 });
    await click(stage, playButton(stage, 1));
    audio(stage).dispatchEvent(new Event("error"));
    await stage.wait();
    expect(stage.kernel.asked.filter(({ kind }) => kind === "clip").map(({ payload }) => payload)).toEqual([
      { position: 1 },
      { position: 1, wav: true },
    ]);
    expect(playing(stage)).toEqual([1]);
    audio(stage).dispatchEvent(new Event("error"));
    await stage.wait();
    expect(stage.one(".hk-message").textContent).toContain("can't play");
    expect(clips(stage)).toEqual([1, 1]);
  });
});

describe("the next clip", () => {
  it("starts by itself only when wanted; rows without sound are passed over, and the focus goes along", async () => {
    const stage = await start({ rows: 100 });
    stage.app.focusRow(2);
    await stage.press("Space");
    await end(stage);
    expect(playing(stage)).toEqual([]);
    await click(stage, stage.one(".hk-player input[type=checkbox]"));
    await stage.press("Space");
    expect(clips(stage)).toEqual([2, 4]); // the one after it is there when it is needed
    await end(stage);
    expect(playing(stage)).toEqual([4]);
    expect(stage.app.focusedIndex()).toBe(4);
    expect(document.activeElement?.closest(".hk-row")?.getAttribute("aria-rowindex")).toBe("6");
  });

  it("passes over clips that can't be had and says so, but not over many", async () => {
    const stage = await start({ rows: 100 });
    for (const position of [1, 2, 5, 6, 7, 8]) stage.kernel.broken.add(position);
    await click(stage, stage.one(".hk-player input[type=checkbox]"));
    await click(stage, playButton(stage, 0));
    await end(stage);
    await stage.wait(200);
    expect(playing(stage)).toEqual([4]);
    expect(stage.one(".hk-message").textContent).toBe("Row 3 was passed over: The clip is gone.");
    await end(stage);
    await stage.wait(300);
    expect(playing(stage)).toEqual([]);
    expect(clips(stage)).not.toContain(8);
    expect(stage.one(".hk-message").textContent).toContain("3 clips in a row can't be played. The clip is gone.");
    await click(stage, playButton(stage, 8)); // a click is answered by itself
    expect(playing(stage)).toEqual([]);
    expect(stage.one(".hk-message").textContent).toBe("The clip is gone.");
  });

  it("leaves the focus where it is elsewhere", async () => {
    const stage = await start({ rows: 100 });
    await click(stage, stage.one(".hk-player input[type=checkbox]"));
    await click(stage, playButton(stage, 0));
    stage.one(".hk-search").focus();
    await end(stage);
    expect(playing(stage)).toEqual([1]);
    expect(document.activeElement).toBe(stage.one(".hk-search"));
  });

  it("is the next in the order of now, also beyond the rows that are loaded", async () => {
    const stage = await start({ rows: 4000 });
    await click(stage, playButton(stage, 0));
    stage.app.query({ sort: [{ key: "characters", descending: false }] });
    await stage.wait();
    const place = stage.kernel.order.indexOf(0);
    await click(stage, stage.one("[aria-label='Next clip']"));
    const next = [...stage.kernel.order].slice(place + 1).find((position) => position % 7 !== 3);
    expect(clips(stage)).toEqual([0, next]);
    await click(stage, stage.one("[aria-label='Previous clip']"));
    await click(stage, stage.one("[aria-label='Previous clip']"));
    const before = [...stage.kernel.order].slice(0, place).findLast((position) => position % 7 !== 3);
    expect(clips(stage)).toEqual([0, next, before]);
  });

  it("ends with the table, and where the filters leave the row out", async () => {
    const stage = await start({ rows: 3 });
    await click(stage, stage.one(".hk-player input[type=checkbox]"));
    await click(stage, playButton(stage, 2));
    await end(stage);
    expect(playing(stage)).toEqual([]);
    stage.app.filter({ text: "no such words" });
    await stage.wait();
    await end(stage);
    expect(clips(stage)).toEqual([2]);
    expect(stage.one(".hk-message").hidden).toBe(true);
  });
});

describe("one sound at a time", () => {
  it("in two explorers, and beside other players", async () => {
    const [one, two] = [await start({ rows: 50 }), await start({ rows: 50 })];
    await click(one, playButton(one, 0));
    await click(two, playButton(two, 1));
    expect([playing(one), playing(two)]).toEqual([[], [1]]);
    const other = document.createElement("audio");
    document.body.append(other);
    await other.play();
    expect(playing(two)).toEqual([]);
  });

  it("and none when the view is taken away", async () => {
    const stage = await start({ rows: 50, delay: 100 });
    await stage.wait(300);
    await click(stage, playButton(stage, 0));
    await stage.wait(200);
    const sound = audio(stage);
    expect(sound.getAttribute("src")).toMatch(/^blob:/);
    await click(stage, playButton(stage, 1));
    const started = vi.fn();
    sound.addEventListener("play", started);
    stage.app.dispose();
    expect(sound.hasAttribute("src")).toBe(false);
    expect(sound.isConnected).toBe(false);
    await stage.wait(500);
    expect(started).not.toHaveBeenCalled();
  });
});

describe("the panel", () => {
  const panel = (stage: Stage): HTMLElement => stage.one(".hk-panel");

  it("opens with Enter, shows the row, and gives the focus back with Escape", async () => {
    const stage = await start({ rows: 100 });
    stage.app.focusRow(4);
    const cell = document.activeElement;
    await stage.press("Enter");
    expect(panel(stage).hidden).toBe(false);
    expect(panel(stage).contains(document.activeElement)).toBe(true);
    expect(panel(stage).querySelector(".hk-dialogue")?.textContent).toContain(textOf(5));
    expect(panel(stage).textContent).toContain("Stability");
    expect(panel(stage).textContent).toContain("item4");
    await stage.press("Space");
    expect(playing(stage)).toEqual([4]);
    await stage.press("Escape");
    expect(panel(stage).hidden).toBe(true);
    expect(document.activeElement).toBe(cell);
    expect(playing(stage)).toEqual([4]);
  });

  it("follows the focus while it is open, and closes with Escape from the table", async () => {
    const stage = await start({ rows: 100 });
    stage.app.focusRow(6);
    await stage.press("Enter");
    stage.app.focusRow(6);
    await stage.press("ArrowDown");
    await stage.press("ArrowDown");
    await stage.wait(200);
    expect(panel(stage).querySelector(".hk-whole")?.textContent).toBe(textOf(8));
    const details = stage.kernel.asked.filter(({ kind }) => kind === "detail").map(({ payload }) => payload.position);
    expect(details).toEqual([6, 8]);
    await stage.press("Escape");
    expect(panel(stage).hidden).toBe(true);
    expect(stage.app.focusedIndex()).toBe(8);
    await stage.press("ArrowDown");
    await stage.wait(200);
    expect(panel(stage).hidden).toBe(true);
  });

  it("links to the takes of the line", async () => {
    const stage = await start({ rows: 100 });
    stage.app.focusRow(1);
    await stage.press("Enter");
    const takes = (): HTMLElement[] => [...panel(stage).querySelectorAll<HTMLElement>(".hk-takes li")];
    expect(takes().map((take) => take.querySelector("[aria-current]") !== null)).toEqual([false, true, false]);
    await click(stage, takes()[2]?.querySelector(".hk-play"));
    expect(playing(stage)).toEqual([2]);
    await click(stage, takes()[2]?.querySelector(".hk-link"));
    await stage.wait(200);
    expect(stage.app.focusedIndex()).toBe(2);
    expect(panel(stage).querySelector(".hk-whole")?.textContent).toBe(textOf(2));
  });

  it("shows a take that the filters leave out, and says so", async () => {
    const stage = await start({ rows: 100 });
    stage.app.query({ filters: { text: textOf(1) } });
    await stage.wait();
    stage.app.focusRow(0);
    await stage.press("Enter");
    const note = stage.one(".hk-panel p");
    expect(note.hidden).toBe(true);
    await click(stage, panel(stage).querySelector(".hk-takes .hk-link"));
    await stage.wait(200);
    expect(panel(stage).querySelector(".hk-whole")?.textContent).toBe(textOf(0));
    expect(note.hidden).toBe(false);
    stage.app.query({ filters: { text: "" } });
    await stage.wait();
    expect(note.hidden).toBe(true);
  });

  it("lights up the words while they are heard, and a word is where to go on", async () => {
    const stage = await start({ rows: 100 });
    stage.kernel.clipSeconds = 10;
    stage.app.focusRow(2);
    await stage.press("Enter");
    await stage.press("Space");
    const sound = audio(stage);
    Object.defineProperty(sound, "duration", { value: 10 });
    const lit = (): (string | null | undefined)[] => stage.all(".hk-lit").map((word) => word.textContent);
    const words = textOf(2).split(" ");
    sound.currentTime = 9.99;
    sound.dispatchEvent(new Event("timeupdate"));
    expect(lit()).toEqual([words.at(-1), words.at(-1)]); // in the bar and in the panel
    const third = panel(stage).querySelectorAll(".hk-word")[2];
    await click(stage, third);
    expect(lit()).toEqual([words[2], words[2]]);
    expect(panel(stage).querySelector(".hk-whole")?.textContent).toBe(textOf(2));
  });
});

describe("words", () => {
  it("come later for a clip that has none of its own", async () => {
    const stage = await start({ rows: 100 });
    await click(stage, playButton(stage, 0));
    await click(stage, playButton(stage, 1));
    const asked = stage.kernel.asked.filter(({ kind }) => kind === "words").map(({ payload }) => payload.position);
    expect(asked).toEqual([1]);
    expect(stage.all(".hk-caption .hk-word").map((word) => word.textContent)).toEqual(textOf(1).split(" "));
  });

  const timed = (text: string): Word[] => text.split(" ").map((word, at) => ({ text: word, start: at, end: at + 0.8 }));

  it("are placed in a text in their order; what it doesn't have is left out", () => {
    const text = "The sea,\nthe the sea.";
    expect(placeWords(text, timed("The sea, the the sea.")).map(({ start }) => start)).toEqual([0, 4, 9, 13, 17]);
    expect(placeWords(text, timed("The ocean, the the sea.")).map(({ word }) => word.start)).toEqual([0, 2, 3, 4]);
    expect(placeWords(`a ${"b ".repeat(80)}end`, timed("a end b b")).map(({ word }) => word.text)).toEqual(["a", "b", "b"]);
  });

  it("keep the text as it is, whatever is lit", () => {
    const seek = vi.fn();
    const lit = new LitText("x", seek);
    document.body.append(lit.el);
    lit.show("One  two\nthree <b>", timed("One two three <b>"));
    expect(lit.el.textContent).toBe("One  two\nthree <b>");
    expect(lit.at(1.2)?.textContent).toBe("two");
    expect(lit.at(1.3)).toBeNull(); // the same
    expect(lit.at(3.2)?.textContent).toBe("<b>");
    expect(lit.at(99)).toBeNull();
    expect(lit.el.querySelector(".hk-lit")).toBeNull();
    lit.el.querySelectorAll<HTMLElement>(".hk-word")[1]?.click();
    expect(seek).toHaveBeenCalledWith(expect.objectContaining({ text: "two", start: 1 }));
    lit.show("Other", null);
    expect(lit.el.innerHTML).toBe("Other");
  });
});

describe("waveforms", () => {
  it("have the largest samples of equal parts, the loudest 1", () => {
    const samples = Array.from({ length: 1000 }, (_, at) => (at === 420 ? -0.5 : 0.1));
    const peaks = peaksOf(samples, 10);
    expect(peaks).toHaveLength(10);
    expect(peaks.map((peak) => Number(peak.toFixed(2)))).toEqual([0.2, 0.2, 0.2, 0.2, 1, 0.2, 0.2, 0.2, 0.2, 0.2]);
    expect(peaksOf([0.2, -0.4], 10)).toEqual([0.5, 1]);
    expect(peaksOf([0, 0], 1)).toEqual([0]);
    expect(peaksOf([], 5)).toEqual([]);
  });

  it("are bars in the middle of their box, also of fewer or no peaks", () => {
    expect(barsPath([1, 0], 2)).toBe("M0.5 2V98M1.5 49V51");
    expect(barsPath([0.5], 2)).toBe("M0.5 26V74M1.5 26V74");
    expect(barsPath([], 1)).toBe("M0.5 49V51");
  });

  it("tell times as a clock does", () => {
    expect([0, 9.9, 65, 3725].map(clock)).toEqual(["0:00", "0:09", "1:05", "1:02:05"]);
  });
});
