// An explorer over a made-up kernel in a document without layout: the table is 450 pixels high.

import { afterEach, beforeEach, vi } from "vitest";
import { App } from "../src/app";
import type { PartFactory, Slot } from "../src/host";
import { FakeKernel, type KernelOptions } from "./kernel";

const apps: App[] = [];

/** Give elements the size of a table in each test of the file, and close what it opened. */
export function useStage(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(450);
    vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(1000);
  });
  afterEach(() => {
    for (const app of apps.splice(0)) app.dispose();
    document.body.replaceChildren();
    vi.useRealTimers();
  });
}

export interface Stage {
  kernel: FakeKernel;
  app: App;
  root: HTMLElement;
  one: (selector: string) => HTMLElement;
  all: (selector: string) => HTMLElement[];
  /** The rows in the document by their number from 0, in order. */
  rows: () => { index: number; el: HTMLElement; texts: string[] }[];
  /** Press a key where the focus is; shift, ctrl and alt as in "Shift+ArrowDown". */
  press: (key: string) => Promise<void>;
  wait: (milliseconds?: number) => Promise<void>;
}

export async function open(options: KernelOptions | FakeKernel, parts: Partial<Record<Slot, PartFactory>> = {}): Promise<Stage> {
  const kernel = options instanceof FakeKernel ? options : new FakeKernel(options);
  const el = document.createElement("div");
  document.body.append(el);
  const app = new App(el, kernel.model(), parts);
  apps.push(app);
  const wait = async (milliseconds = 50): Promise<void> => {
    await vi.advanceTimersByTimeAsync(milliseconds);
  };
  await wait();
  const all = (selector: string): HTMLElement[] => [...app.root.querySelectorAll<HTMLElement>(selector)];
  const one = (selector: string): HTMLElement => {
    const found = all(selector)[0];
    if (!found) throw new Error(`no ${selector}`);
    return found;
  };
  const rows = (): { index: number; el: HTMLElement; texts: string[] }[] =>
    all(".hk-body .hk-row")
      .filter((row) => !row.hidden)
      .map((row) => ({
        index: Number(row.getAttribute("aria-rowindex")) - 2,
        el: row,
        texts: [...row.querySelectorAll<HTMLElement>(".hk-cell:not(.hk-tick, .hk-lead)")].map((cell) => cell.textContent),
      }))
      .sort((first, second) => first.index - second.index);
  const press = async (name: string): Promise<void> => {
    const parts = name.split("+");
    const key = parts.pop() ?? "";
    const init = {
      key: key === "Space" ? " " : key,
      shiftKey: parts.includes("Shift"),
      ctrlKey: parts.includes("Ctrl"),
      altKey: parts.includes("Alt"),
      bubbles: true,
      cancelable: true,
      composed: true,
    };
    (document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent("keydown", init));
    await wait();
  };
  return { kernel, app, root: app.root, one, all, rows, press, wait };
}
