// A brush over bins that stand side by side: dragged by pointer, or its two edges moved by keyboard.

import { h } from "./dom";
import { keyName } from "./keys";

/** First and last bin of a brush, both inclusive. */
export type Bins = [number, number];

export interface BrushActions {
  /** Bins are brushed, or (null) none any more. */
  brushed(bins: Bins | null): void;
  /** The brush was drawn anew, or the pointer is over a bin (null: over none). */
  hovered(bin: number | null, event?: PointerEvent): void;
  /** A click. Without it a click brushes the bin, and takes the brush off the only bin that has it. */
  clicked?(bin: number, event: PointerEvent): void;
}

/** A pointer that moves less than this has clicked. */
const CLICK_PIXELS = 3;

export class Brush {
  bins: Bins | null = null;
  readonly #area = h("div", { class: "hk-brush" });
  readonly #edges: [HTMLElement, HTMLElement];
  readonly #plot: HTMLElement;
  readonly #label: string;
  readonly #actions: BrushActions;
  readonly #late: boolean;
  #labels: string[] = [];
  #enabled = false;
  #drag: { anchor: number; at: number; moved: boolean; before: Bins | null } | null = null;

  /** With `late` a drag is told at its end, and what the keyboard has moved with Enter; else each change at once. */
  constructor(label: string, plot: HTMLElement, actions: BrushActions, { late = false } = {}) {
    this.#label = label;
    this.#plot = plot;
    this.#actions = actions;
    this.#late = late;
    this.#edges = [this.#makeEdge(0, "from"), this.#makeEdge(1, "to")];
    plot.append(this.#area, ...this.#edges);
    this.#listen();
  }

  /** Show a label for each bin, and the bins that are brushed. */
  show(labels: string[], bins: Bins | null, enabled: boolean): void {
    if (this.#late && labels.join("\n") !== this.#labels.join("\n")) this.#drag = null; // it was over other bins
    this.#labels = labels;
    this.#enabled = enabled && labels.length > 0;
    this.#plot.classList.toggle("hk-fixed", !enabled);
    if (!this.#drag) this.bins = bins;
    this.#draw();
  }

  get #last(): number {
    return this.#labels.length - 1;
  }

  #draw(): void {
    const size = this.#last + 1;
    const [from, to] = this.bins ?? [0, this.#last];
    this.#plot.classList.toggle("hk-brushed", this.bins !== null);
    this.#area.style.left = `${(100 * from) / Math.max(size, 1)}%`;
    this.#area.style.right = `${100 - (100 * (to + 1)) / Math.max(size, 1)}%`;
    this.#edges.forEach((edge, side) => {
      const at = side === 0 ? from : to + 1;
      edge.style.left = `${(100 * at) / Math.max(size, 1)}%`;
      edge.hidden = !this.#enabled;
      const [low, high] = side === 0 ? [0, to] : [from + 1, size];
      edge.setAttribute("aria-valuemin", String(low));
      edge.setAttribute("aria-valuemax", String(Math.max(high, low)));
      edge.setAttribute("aria-valuenow", String(at));
      edge.setAttribute("aria-valuetext", this.bins || this.#late ? (this.#labels[side === 0 ? from : to] ?? "") : "no limit");
    });
    this.#actions.hovered(null);
  }

  #makeEdge(side: 0 | 1, name: string): HTMLElement {
    const edge = h("div", {
      class: "hk-edge",
      role: "slider",
      tabindex: 0,
      "aria-label": `${this.#label} ${name}`,
      "aria-orientation": "horizontal",
      "aria-valuenow": 0,
    });
    if (this.#late) edge.title = "Arrow keys move this edge; Enter filters";
    edge.addEventListener("keydown", (event) => {
      this.#onKey(event, side);
    });
    return edge;
  }

  #onKey(event: KeyboardEvent, side: 0 | 1): void {
    const last = this.#last;
    if (!this.#enabled) return;
    const key = keyName(event);
    const [from, to] = this.bins ?? [0, last];
    const steps: Record<string, number> = {
      ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5,
      "Shift+ArrowRight": 5, "Shift+ArrowLeft": -5, Home: -last, End: last,
    };
    const step = steps[key];
    if (key === "Escape" && this.bins) this.#set(null);
    else if (key === "Enter" && this.#late && this.bins) this.#actions.brushed(this.bins);
    else if (step !== undefined && side === 0) this.#set([Math.max(Math.min(from + step, to), 0), to]);
    else if (step !== undefined) this.#set([from, Math.min(Math.max(to + step, from), last)]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #set(bins: Bins | null): void {
    const all = bins !== null && bins[0] === 0 && bins[1] === this.#last;
    const next = all ? null : bins;
    if (String(next) === String(this.bins)) return;
    this.bins = next;
    this.#draw();
    if (!this.#late) this.#actions.brushed(next);
  }

  #binAt(event: PointerEvent): number {
    const box = this.#plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / Math.max(box.width, 1);
    return Math.max(Math.min(Math.floor(share * (this.#last + 1)), this.#last), 0);
  }

  #listen(): void {
    const plot = this.#plot;
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.#enabled) return;
      const bin = this.#binAt(event);
      const [from, to] = this.bins ?? [0, this.#last];
      const side = this.#edges.indexOf(event.target as HTMLElement);
      const anchor = side === 0 ? to : side === 1 ? from : bin;
      this.#drag = { anchor, at: event.clientX, moved: false, before: this.bins };
      plot.setPointerCapture(event.pointerId);
      if (side < 0) event.preventDefault();
    });
    plot.addEventListener("pointermove", (event) => {
      const bin = this.#binAt(event);
      if (!this.#drag) {
        if (this.#last >= 0) this.#actions.hovered(bin, event);
        return;
      }
      if (Math.abs(event.clientX - this.#drag.at) > CLICK_PIXELS) this.#drag.moved = true;
      if (this.#drag.moved) this.#set([Math.min(bin, this.#drag.anchor), Math.max(bin, this.#drag.anchor)]);
    });
    plot.addEventListener("pointerup", (event) => {
      const drag = this.#drag;
      this.#drag = null;
      if (!drag) return;
      if (drag.moved) {
        if (this.#late && this.bins) this.#actions.brushed(this.bins);
        return;
      }
      if (this.#edges.includes(event.target as HTMLElement)) return;
      const bin = this.#binAt(event);
      if (this.#actions.clicked) this.#actions.clicked(bin, event);
      else this.#set(drag.before?.[0] === bin && drag.before[1] === bin ? null : [bin, bin]);
    });
    plot.addEventListener("pointercancel", () => {
      const drag = this.#drag;
      this.#drag = null;
      if (drag && this.#late) this.#set(drag.before);
    });
    plot.addEventListener("pointerleave", () => {
      if (!this.#drag) this.#actions.hovered(null);
    });
    if (!this.#actions.clicked) {
      plot.addEventListener("dblclick", () => {
        this.#set(null);
      });
    }
  }
}
