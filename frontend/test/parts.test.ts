import { afterEach, describe, expect, it, vi } from "vitest";
import { moveColumn } from "../src/columns";
import { countNoun, creditsText, debounce, h } from "../src/dom";
import { chipsOf, NO_FILTERS } from "../src/filters";
import { keyName, moveIndex, takesText } from "../src/keys";
import { isDark, luminance, parseColor, watchTheme, type Theme } from "../src/theme";

afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
  document.body.removeAttribute("style");
});

describe("chips", () => {
  it("are none without filters", () => {
    expect(chipsOf(NO_FILTERS)).toEqual([]);
  });

  it("name each filter, and take it off alone", () => {
    const filters = {
      ...NO_FILTERS,
      voice: ["v1", "v2"],
      source: ["TTS"],
      first: "2026-01-01",
      after: "2026-01-05T00:00:00+01:00",
      before: "2026-02-01T00:00:00+01:00",
      text: "hello",
      credits: [5, null] as [number, null],
      characters: [1000, 2000] as [number, number],
    };
    const chips = chipsOf(filters, (field, value) => (field === "voice" ? `Voice ${value}` : value));
    expect(chips.map(({ label, value }) => `${label}: ${value}`)).toEqual([
      "Voice: Voice v1",
      "Voice: Voice v2",
      "Source: TTS",
      "Days: from 2026-01-01",
      "Date: 2026-01-05 – 2026-01-31",
      "Credits: ≥ 5",
      "Characters: 1,000 – 2,000",
      "Text: “hello”",
    ]);
    expect(Object.assign({}, filters, ...chips.map(({ off }) => off), { voice: [] })).toEqual(NO_FILTERS);
    expect(chips[0]?.off).toEqual({ voice: ["v2"] });
  });

  it("tell a day from an instant", () => {
    const value = (after: string | null, before: string | null): string | undefined => chipsOf({ ...NO_FILTERS, after, before })[0]?.value;
    expect(value("2026-03-01T06:30:00Z", null)).toBe("from 2026-03-01 06:30");
    expect(value(null, "2026-03-01T00:00:00Z")).toBe("to 2026-02-28");
    expect(value("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")).toBe("2026-03-01");
    expect(value(null, "2026-03-01T12:00:00Z")).toBe("to 2026-03-01 12:00");
  });

  it("mark a regular expression", () => {
    expect(chipsOf({ ...NO_FILTERS, text: "a|b", pattern: true })[0]?.value).toBe("/a|b/");
  });
});

describe("a column", () => {
  it.each([
    ["b", -1, ["b", "a", "c"]],
    ["b", 1, ["a", "c", "b"]],
    ["a", -1, ["a", "b", "c"]],
    ["c", 1, ["a", "b", "c"]],
    ["x", 1, ["a", "b", "c"]],
  ])("%s moved by %d", (key, by, expected) => {
    expect(moveColumn(["a", "b", "c"], key, by)).toEqual(expected);
  });
});

describe("keys", () => {
  it.each([
    [{ key: " " }, "Space"],
    [{ key: "T", shiftKey: true }, "Shift+t"],
    [{ key: "Home", metaKey: true }, "Ctrl+Home"],
    [{ key: "ArrowUp", altKey: true, ctrlKey: true }, "Ctrl+Alt+ArrowUp"],
  ])("%j is %s", (init, name) => {
    expect(keyName(new KeyboardEvent("keydown", init))).toBe(name);
  });

  it("move in a list and stop at its ends", () => {
    expect(["ArrowDown", "ArrowUp", "Home", "End", "x"].map((key) => moveIndex(key, 2, 3))).toEqual([2, 1, 0, 2, null]);
    expect(moveIndex("ArrowLeft", 0, 3)).toBe(0);
  });

  it("belong to what takes text", () => {
    expect([h("input"), h("textarea"), h("select")].every(takesText)).toBe(true);
    expect([h("input", { type: "checkbox" }), h("button"), null].some(takesText)).toBe(false);
  });
});

describe("words", () => {
  it("count", () => {
    expect([0, 1, 1234].map((count) => countNoun(count, "row"))).toEqual(["0 rows", "1 row", "1,234 rows"]);
    expect([null, 0, 1].map(creditsText)).toEqual(["credits not known", "0 credits", "1 credit"]);
  });
});

describe("a debounced call", () => {
  it("is one after the last of many, at once when flushed, and none when cancelled", () => {
    vi.useFakeTimers();
    const call = vi.fn();
    const later = debounce(call, 100);
    later();
    vi.advanceTimersByTime(90);
    later();
    vi.advanceTimersByTime(90);
    expect(call).not.toHaveBeenCalled();
    vi.advanceTimersByTime(10);
    expect(call).toHaveBeenCalledTimes(1);
    later();
    later.flush();
    later.flush();
    expect(call).toHaveBeenCalledTimes(2);
    later();
    later.cancel();
    vi.advanceTimersByTime(200);
    expect(call).toHaveBeenCalledTimes(2);
  });
});

describe("the theme", () => {
  it("reads computed colours", () => {
    expect(parseColor("rgb(1, 2, 3)")).toEqual([1, 2, 3, 1]);
    expect(parseColor("rgba(1, 2, 3, 0.5)")).toEqual([1, 2, 3, 0.5]);
    expect(parseColor("color(srgb 1 1 1)")).toEqual([255, 255, 255, 1]);
    expect(parseColor("color(srgb 0 0 0 / 0.25)")).toEqual([0, 0, 0, 0.25]);
    expect(parseColor("transparent")).toBeNull();
    expect(luminance([255, 255, 255])).toBeCloseTo(1);
    expect(luminance([0, 0, 0])).toBe(0);
  });

  it("is dark where what lies behind is, and is read again when the page changes", async () => {
    vi.useFakeTimers();
    const root = h("div");
    document.body.append(h("div", {}, root));
    document.body.style.backgroundColor = "rgb(255, 255, 255)";
    expect(isDark(root)).toBe(false);
    const themes: Theme[] = [];
    const stop = watchTheme(root, (theme) => themes.push(theme));
    expect(themes.map(({ dark }) => dark)).toEqual([false]);
    document.body.style.backgroundColor = "rgb(17, 17, 17)";
    document.body.setAttribute("data-jp-theme-light", "false");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(themes.map(({ dark }) => dark)).toEqual([false, true]);
    expect(root.dataset.scheme).toBe("dark");
    stop();
    document.body.style.backgroundColor = "rgb(255, 255, 255)";
    document.body.setAttribute("data-jp-theme-light", "true");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(themes).toHaveLength(2);
  });
});
