// The explorer on a made-up kernel: page.html?rows=1000000&delay=40&views=1

import widget from "../src/index";
import { FakeKernel } from "./kernel";

const options = new URLSearchParams(location.search);
const number = (name: string, otherwise: number): number => Number(options.get(name) ?? otherwise);
const kernel = new FakeKernel({ rows: number("rows", 1_000_000), delay: number("delay", 0) });
const main = document.querySelector("main") ?? document.body;
for (let view = 0; view < number("views", 1); view += 1) {
  const el = document.createElement("div");
  main.append(el);
  widget.render({ model: kernel.model({ kind: options.get("kind") ?? "explorer" }), el });
}
Object.assign(window, { kernel });
