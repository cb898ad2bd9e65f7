import { describe, expect, it } from "vitest";
import { MOST_HEIGHT, ScaledScroll } from "../src/scroll";

const VIEWPORT = 450;

function scrollOver(rows: number): ScaledScroll {
  const scroll = new ScaledScroll();
  scroll.resize(rows * 30, VIEWPORT);
  return scroll;
}

describe("a million rows", () => {
  it("fit below the cap of browsers", () => {
    const scroll = scrollOver(1_000_000);
    expect(scroll.height).toBe(MOST_HEIGHT);
    expect(scrollOver(300_000).height).toBe(9_000_000);
  });

  it("are each reached exactly", () => {
    const scroll = scrollOver(1_000_000);
    for (const row of [0, 1, 17, 499_999, 777_777, 999_985]) {
      scroll.go(row * 30);
      expect(scroll.top / 30).toBe(row);
      expect(scroll.scrollTop).toBeGreaterThanOrEqual(0);
      expect(scroll.scrollTop).toBeLessThanOrEqual(MOST_HEIGHT - VIEWPORT);
    }
  });

  it("end at the end of the scroll bar", () => {
    const scroll = scrollOver(1_000_000);
    scroll.scrolled(MOST_HEIGHT - VIEWPORT, false);
    expect(scroll.top).toBe(30_000_000 - VIEWPORT);
    scroll.scrolled(0, false);
    expect(scroll.top).toBe(0);
  });

  it("move pixel by pixel under the wheel, wherever they are", () => {
    const scroll = scrollOver(1_000_000);
    scroll.go(12_345_678);
    const start = scroll.scrollTop;
    scroll.scrolled(start + 7, true);
    expect(scroll.top).toBeCloseTo(12_345_685, 5);
    scroll.scrolled(start - 3, true);
    expect(scroll.top).toBeCloseTo(12_345_675, 5);
  });

  it("are put right where the element ends before they do", () => {
    const scroll = scrollOver(1_000_000);
    scroll.go(500);
    expect(scroll.scrolled(0, true)).toBe(true);
    expect(scroll.top).toBeGreaterThan(0);
    scroll.go(30_000_000 - VIEWPORT - 500);
    expect(scroll.scrolled(MOST_HEIGHT - VIEWPORT, true)).toBe(true);
    scroll.go(0);
    expect(scroll.scrolled(0, true)).toBe(false);
  });
});
