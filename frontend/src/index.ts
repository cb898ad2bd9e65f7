// What anywidget loads: one bundle for the explorer and the picker of takes.

import { Actions } from "./actions";
import { App } from "./app";
import type { Model } from "./channel";
import { makeChart } from "./chart";
import type { Host, PartFactory, Slot } from "./host";
import { Panel } from "./panel";
import { Picker } from "./picker";
import { Player } from "./player";
import { Sound } from "./sound";

/** The parts of a view by their place; a place without one stays empty. */
export function makeParts(): Partial<Record<Slot, PartFactory>> {
  let player: Player | undefined; // of the view: its rows and its panel play the same sound
  const playerOf = (host: Host): Player => (player ??= new Player(host));
  return {
    chart: makeChart,
    sound: (host) => new Sound(host, playerOf(host)),
    panel: (host) => new Panel(host, playerOf(host)),
    actions: (host) => new Actions(host),
  };
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const view = model.get("kind") === "picker" ? new Picker(el, model) : new App(el, model, makeParts());
  return () => {
    view.dispose();
  };
}

export default { render };
