// What anywidget loads: one bundle for the explorer and the picker of takes.

import { App } from "./app";
import type { Model } from "./channel";
import type { PartFactory, Slot } from "./host";

/** The parts of the explorer by their place; a place without one stays empty. */
const PARTS: Partial<Record<Slot, PartFactory>> = {};

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const app = new App(el, model, PARTS);
  return () => {
    app.dispose();
  };
}

export default { render };
