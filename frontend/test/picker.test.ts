import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Picker } from "../src/picker";
import { textOf } from "./kernel";
import { FakePicker, type PickerOptions } from "./pickerkernel";

interface Stage {
  kernel: FakePicker;
  picker: Picker;
  all: (selector: string) => HTMLElement[];
  one: (selector: string) => HTMLElement;
  press: (key: string, init?: KeyboardEventInit) => Promise<void>;
  search: (text: string) => Promise<void>;
  wait: (milliseconds?: number) => Promise<void>;
}

const pickers: Picker[] = [];
const sounds = new Map<HTMLMediaElement, { paused: boolean }>();

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(500);
  HTMLElement.prototype.scrollIntoView = () => undefined;
  // A document without sound: an element plays from the moment it is asked to.
  vi.spyOn(HTMLMediaElement.prototype, "play").mockImplementation(function (this: HTMLMediaElement) {
    sounds.set(this, { paused: false });
    this.dispatchEvent(new Event("loadedmetadata"));
    this.dispatchEvent(new Event("playing"));
    return Promise.resolve();
  });
  vi.spyOn(HTMLMediaElement.prototype, "pause").mockImplementation(function (this: HTMLMediaElement) {
    if (sounds.get(this)?.paused !== false) return;
    sounds.set(this, { paused: true });
    this.dispatchEvent(new Event("pause"));
  });
  URL.createObjectURL = () => "blob:sound";
  URL.revokeObjectURL = () => undefined;
});

afterEach(() => {
  for (const picker of pickers.splice(0)) picker.dispose();
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function open(options: PickerOptions | FakePicker): Promise<Stage> {
  const kernel = options instanceof FakePicker ? options : new FakePicker(options);
  const el = document.createElement("div");
  document.body.append(el);
  const picker = new Picker(el, kernel.model());
  pickers.push(picker);
  const wait = async (milliseconds = 50): Promise<void> => {
    await vi.advanceTimersByTimeAsync(milliseconds);
  };
  await wait();
  const all = (selector: string): HTMLElement[] => [...picker.root.querySelectorAll<HTMLElement>(selector)];
  const one = (selector: string): HTMLElement => {
    const found = all(selector)[0];
    if (!found) throw new Error(`no ${selector}`);
    return found;
  };
  const press = async (key: string, init: KeyboardEventInit = {}): Promise<void> => {
    const at = picker.root.contains(document.activeElement) ? document.activeElement : picker.root;
    at?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, composed: true, ...init }));
    await wait();
  };
  const search = async (text: string): Promise<void> => {
    const input = one(".hk-search") as HTMLInputElement;
    input.focus();
    input.value = text;
    input.dispatchEvent(new InputEvent("input", { bubbles: true }));
    await wait(200);
  };
  return { kernel, picker, all, one, press, search, wait };
}

const shown = ({ one }: Stage): string => one(".hk-line-number").textContent;
const counted = ({ one }: Stage): string => one(".hk-count").textContent;
const current = ({ all }: Stage): number[] => all(".hk-take").flatMap((card, at) => (card.classList.contains("hk-current") ? [at + 1] : []));
const badges = ({ all }: Stage): string[] => all(".hk-badge").map((badge) => (badge.hidden ? "" : badge.textContent));
const playing = ({ picker }: Stage): number | null => (picker.player.state === "playing" ? (picker.player.track?.p ?? null) : null);

describe("a line", () => {
  it("shows its takes, the newest kept, and the first line without a choice first", async () => {
    const stage = await open({ lines: 80 });
    expect(shown(stage)).toBe("Line 1 of 80");
    expect(counted(stage)).toBe("0 of 80 chosen");
    expect(stage.one(".hk-whole").textContent).toBe(textOf(0));
    expect(badges(stage)).toEqual(["", "", "Kept: the newest"]);
    expect(current(stage)).toEqual([3]);
    expect(stage.all(".hk-take")[1]?.querySelector(".hk-facts")?.textContent).toContain("Stability0.4");
    expect(stage.one("[role=option][aria-selected=true]").getAttribute("aria-posinset")).toBe("1");
  });

  it("marks the words that differ, and shows what is spoken where it is heard", async () => {
    const stage = await open({ lines: 3, near: true });
    const cards = stage.all(".hk-diff");
    expect(cards[0]?.querySelector("ins, del")).toBeNull();
    expect(cards[1]?.querySelector("del")?.textContent).toContain(textOf(0).split(" ")[0]);
    expect(cards[1]?.querySelector("ins")?.textContent).toContain("other1");
    await stage.press("2");
    expect(stage.one(".hk-whole").textContent).toBe(`other1 ${textOf(0).split(" ").slice(1).join(" ")}`);
  });

  it("says what to do where there are none", async () => {
    const stage = await open({ lines: 0 });
    expect(stage.one(".hk-no-takes").textContent).toMatch(/^No text has several takes/);
    expect(stage.one(".hk-pick").hidden).toBe(true);
    await stage.press("Enter");
    await stage.press("1");
    expect(stage.kernel.asked.map(({ kind }) => kind)).toEqual(["open_picker"]);
  });
});

describe("keys", () => {
  it("keep a take and go on, and undo goes back to the line", async () => {
    const stage = await open({ lines: 4 });
    await stage.press("2");
    await stage.press("Enter");
    expect(stage.kernel.choice).toEqual(new Map([[0, 1]]));
    expect(shown(stage)).toBe("Line 2 of 4");
    expect(counted(stage)).toBe("1 of 4 chosen");
    expect(stage.one("[role=option]").textContent).toContain("Take 2");
    await stage.press("ArrowLeft");
    await stage.press("Enter");
    expect(stage.kernel.choice.get(1)).toBe(1);
    await stage.press("u");
    expect(shown(stage)).toBe("Line 2 of 4");
    expect(badges(stage)).toEqual(["", "", "Kept: the newest"]);
    await stage.press("z", { ctrlKey: true });
    expect(shown(stage)).toBe("Line 1 of 4");
    expect(stage.kernel.choice.size).toBe(0);
    expect(counted(stage)).toBe("0 of 4 chosen");
    await stage.press("u");
    expect(stage.one("[aria-label=Undo]").getAttribute("aria-disabled")).toBe("true");
  });

  it("take a choice back", async () => {
    const stage = await open({ lines: 4 });
    await stage.press("Enter");
    await stage.press("ArrowUp");
    expect(badges(stage)).toEqual(["", "", "Kept"]);
    await stage.press("Delete");
    expect(stage.kernel.choice.size).toBe(0);
    expect(shown(stage)).toBe("Line 1 of 4");
    await stage.press("Delete"); // nothing is chosen
    expect(stage.kernel.asked.filter(({ kind }) => kind === "choose")).toHaveLength(2);
  });

  it("move among takes and lines within their ends", async () => {
    const stage = await open({ lines: 3 });
    await stage.press("ArrowRight");
    expect(current(stage)).toEqual([3]);
    for (let at = 0; at < 4; at += 1) await stage.press("ArrowLeft");
    expect(current(stage)).toEqual([1]);
    expect(document.activeElement).toBe(stage.all(".hk-take")[0]);
    for (let at = 0; at < 4; at += 1) await stage.press("ArrowDown");
    expect(shown(stage)).toBe("Line 3 of 3");
    expect(document.activeElement).toBe(stage.all(".hk-take")[2]); // of the new line
    await stage.press("ArrowUp");
    expect(shown(stage)).toBe("Line 2 of 3");
  });

  it("play a take at once, another one from the same place, and the same one from its start", async () => {
    const stage = await open({ lines: 3 });
    stage.kernel.clipSeconds = 10;
    await stage.press("1");
    expect(playing(stage)).toBe(0);
    const sound = stage.picker.player.el;
    Object.defineProperty(sound, "duration", { value: 10, configurable: true });
    sound.currentTime = 4;
    await stage.press("3");
    expect(playing(stage)).toBe(2);
    expect(sound.currentTime).toBeCloseTo(4);
    const play = vi.spyOn(stage.picker.player, "play");
    await stage.press("3");
    expect(play).toHaveBeenLastCalledWith({ p: 2, n: null }, 0);
    sound.currentTime = 6;
    await stage.press(" ");
    expect(playing(stage)).toBeNull();
    await stage.press(" ");
    expect(playing(stage)).toBe(2);
    await stage.press(" ");
    await stage.press("2"); // nothing plays, so from its start
    expect(playing(stage)).toBe(1);
    expect(play).toHaveBeenLastCalledWith({ p: 1, n: null }, 0);
    await stage.press("9"); // there is no such take
    expect(playing(stage)).toBe(1);
  });

  it("choose nothing while another line is on its way", async () => {
    const stage = await open(new FakePicker({ lines: 3, delay: 200 }));
    await stage.wait(300);
    await stage.press("ArrowDown");
    await stage.press("Enter");
    await stage.press("1");
    expect([stage.kernel.choice.size, playing(stage)]).toEqual([0, null]);
    await stage.wait(300);
    await stage.press("Enter");
    await stage.wait(300);
    expect([...stage.kernel.choice.keys()]).toEqual([1]);
  });

  it("searches by a slash above a digit, and moves by a number pad without NumLock", async () => {
    const stage = await open({ lines: 4, takes: 9 });
    await stage.press("ArrowDown", { code: "Numpad2" });
    expect(stage.picker.player.track).toBeNull();
    expect(stage.one(".hk-line-number").textContent).toBe("Line 2 of 4");
    await stage.press("/", { code: "Digit7", shiftKey: true });
    expect(stage.picker.player.track).toBeNull();
    expect(document.activeElement).toBe(stage.one(".hk-search"));
  });

  it("forgets a search that is on its way when it is cleared", async () => {
    const stage = await open({ lines: 4, delay: 200 });
    await stage.wait(300);
    const input = stage.one(".hk-search") as HTMLInputElement;
    input.value = "no such words";
    input.dispatchEvent(new Event("input"));
    await stage.wait(200); // sent, and not yet answered
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true, composed: true }));
    await stage.wait(1_000);
    expect(input.value).toBe("");
    expect(stage.one(".hk-none").hidden).toBe(true);
    expect(stage.one(".hk-found").textContent).toBe("");
  });

  it("of a keyboard that wants Shift for digits play takes, too", async () => {
    const stage = await open({ lines: 3 });
    await stage.press("&", { code: "Digit1" });
    expect(playing(stage)).toBe(0);
    await stage.press("1", { ctrlKey: true });
    expect(playing(stage)).toBe(0);
  });

  it("on a button do what buttons do", async () => {
    const stage = await open({ lines: 3 });
    stage.one("[aria-label='Later line']").focus();
    await stage.press("Enter");
    await stage.press(" ");
    expect(stage.kernel.choice.size).toBe(0);
    expect(playing(stage)).toBeNull();
  });

  it("reach no notebook", async () => {
    const stage = await open({ lines: 3 });
    const heard = vi.fn();
    document.addEventListener("keydown", heard);
    for (const key of ["1", "b", "Enter", "u", "/"]) await stage.press(key);
    document.removeEventListener("keydown", heard);
    expect(heard).not.toHaveBeenCalled();
    expect(stage.picker.root.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    expect(stage.picker.root.tabIndex).toBe(-1);
  });
});

describe("the mouse", () => {
  it("keeps, takes back, plays and opens lines", async () => {
    const stage = await open({ lines: 4 });
    const click = async (selector: string, at = 0): Promise<void> => {
      stage.all(selector)[at]?.click();
      await stage.wait();
    };
    await click(".hk-play", 1);
    expect(playing(stage)).toBe(1);
    expect(current(stage)).toEqual([3]);
    await click(".hk-keep", 0);
    expect([shown(stage), stage.kernel.choice.get(0)]).toEqual(["Line 2 of 4", 0]);
    expect(playing(stage)).toBeNull();
    await click("[role=option]", 0);
    expect(shown(stage)).toBe("Line 1 of 4");
    await click(".hk-keep", 0);
    expect(stage.kernel.choice.size).toBe(0);
    stage.all(".hk-keep")[1]?.dispatchEvent(new MouseEvent("click", { bubbles: true, detail: 2 }));
    await stage.wait();
    expect(stage.kernel.choice.size).toBe(0);
    await click("[aria-label='Later line']");
    expect(shown(stage)).toBe("Line 2 of 4");
    await click("[aria-label=Undo]");
    expect([shown(stage), stage.kernel.choice.get(0)]).toEqual(["Line 1 of 4", 0]);
  });
});

describe("the search", () => {
  it("filters the list as one types, and Enter goes on within it", async () => {
    const stage = await open({ lines: 300 });
    await stage.press("/");
    expect(document.activeElement).toBe(stage.one(".hk-search"));
    await stage.search("song");
    const found = stage.kernel.found("song");
    expect(stage.one(".hk-found").textContent).toBe(`${found.length} of 300 lines`);
    expect(stage.all("[role=option]")[0]?.getAttribute("aria-setsize")).toBe(String(found.length));
    await stage.press("1"); // text of the search
    expect(playing(stage)).toBeNull();
    await stage.press("Enter");
    expect(document.activeElement).toBe(stage.one("[role=listbox]"));
    await stage.press("ArrowDown");
    await stage.press("Enter");
    expect([...stage.kernel.choice.keys()]).toEqual([found[1]]);
    expect(shown(stage)).toBe(`Line ${(found[2] ?? 0) + 1} of 300`);
    await stage.press("/");
    await stage.press("Escape");
    await stage.wait(200);
    expect(stage.one(".hk-found").textContent).toBe("");
    expect(stage.one("[role=option]").getAttribute("aria-setsize")).toBe("300");
  });

  it("says when no line has the text, and leaves the line that is shown", async () => {
    const stage = await open({ lines: 30 });
    await stage.search("no line has this");
    expect(stage.one(".hk-none").hidden).toBe(false);
    expect(stage.one("[role=listbox]").hidden).toBe(true);
    expect(shown(stage)).toBe("Line 1 of 30");
    await stage.press("Escape");
    expect(stage.one(".hk-none").hidden).toBe(true);
  });
});

describe("a list of very many lines", () => {
  it("draws and loads those in view", async () => {
    const stage = await open({ lines: 5_000 });
    expect(stage.all("[role=option]").length).toBeLessThan(20);
    const list = stage.one(".hk-lines");
    list.scrollTop = 66 * 4_000;
    list.dispatchEvent(new Event("scroll"));
    await stage.wait();
    const options = stage.all("[role=option]");
    expect(options.map((option) => Number(option.getAttribute("aria-posinset")))).toContain(4_001);
    expect(options.every((option) => option.textContent.includes("3 takes"))).toBe(true);
    expect(options.length).toBeLessThan(30);
    options.find((option) => option.getAttribute("aria-posinset") === "4001")?.click();
    await stage.wait();
    expect(shown(stage)).toBe("Line 4,001 of 5,000");
  });
});

describe("clips", () => {
  it("are loaded ahead, quietly, once a line is shown for a while", async () => {
    const stage = await open({ lines: 3, takes: 12 });
    const asked = (): unknown[] => stage.kernel.asked.filter(({ kind }) => kind === "clip").map(({ payload }) => payload.position);
    await stage.press("ArrowDown");
    expect(asked()).toEqual([]);
    await stage.wait(1_000);
    expect(asked()).toEqual([23, 12, 13, 14, 15, 16, 17, 18, 19, 20]); // the keeper and the first nine, of the second line
    expect(stage.kernel.asked.filter(({ kind }) => kind === "words")).toEqual([]);
    expect(stage.kernel.asked.find(({ kind }) => kind === "clip")?.payload.quiet).toBe(true);
  });

  it("that fail say so when they are played, on their card", async () => {
    const stage = await open({ lines: 3 });
    stage.kernel.refuse = "clip";
    await stage.wait(1_000);
    expect(stage.all(".hk-problem").every((problem) => problem.hidden)).toBe(true);
    expect(stage.one(".hk-message").hidden).toBe(true);
    stage.kernel.refuse = "clip";
    await stage.press("2");
    const problems = stage.all(".hk-problem").map((problem) => problem.textContent);
    expect(problems).toEqual(["", "The made-up kernel refuses clip.", ""]);
    await stage.press("1");
    expect(playing(stage)).toBe(0);
  });
});

describe("two views of one picker", () => {
  it("share the choice", async () => {
    const first = await open({ lines: 5 });
    const second = await open(first.kernel);
    await first.press("Enter");
    expect(counted(second)).toBe("1 of 5 chosen");
    expect(badges(second)).toEqual(["", "", "Kept"]);
    expect(shown(second)).toBe("Line 1 of 5");
    expect(second.one("[role=option]").textContent).toContain("Take 3");
  });
});

describe("what screen readers hear", () => {
  it("is what was kept and which line comes, and the end", async () => {
    const stage = await open({ lines: 2 });
    const said = stage.one("[aria-live]");
    await stage.press("Enter");
    await stage.wait(300);
    expect(said.textContent).toMatch(/^Kept take 3\. +Line 2 of 2, 3 takes: /);
    await stage.press("Enter");
    await stage.wait(300);
    expect(stage.one(".hk-done").textContent).toBe("All lines are chosen: picker.keepers has the rows to keep.");
    expect(said.textContent).toContain("All lines are chosen");
    expect(counted(stage)).toBe("2 of 2 chosen");
  });
});

describe("a kernel that is gone", () => {
  it("is told, and the choice that was made stays in view", async () => {
    const stage = await open({ lines: 3 });
    expect(stage.picker.root.dataset.histkitView).toBe("open");
    await stage.press("Enter");
    stage.kernel.gone = true;
    await stage.press("Enter");
    await stage.wait(2_500);
    expect(stage.one(".hk-notice").textContent).toBe("The kernel is gone: run this cell again.");
    expect(counted(stage)).toBe("1 of 3 chosen");
  });
});
