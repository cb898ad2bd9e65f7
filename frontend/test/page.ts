// The explorer or the picker on a made-up kernel: page.html?rows=1000000&delay=40&views=1, page.html?kind=picker&lines=80&takes=3&near=1

import widget from "../src/index";
import { FakeKernel } from "./kernel";
import { FakePicker } from "./pickerkernel";

const options = new URLSearchParams(location.search);
const number = (name: string, otherwise: number): number => Number(options.get(name) ?? otherwise);
const kind = options.get("kind") ?? "explorer";
const delay = number("delay", 0);
const kernel =
  kind === "picker"
    ? new FakePicker({ lines: number("lines", 80), takes: number("takes", 3), near: number("near", 0) > 0, account: number("account", 0) > 0, delay })
    : new FakeKernel({ rows: number("rows", 1_000_000), delay });
const main = document.querySelector("main") ?? document.body;
for (let view = 0; view < number("views", 1); view += 1) {
  const el = document.createElement("div");
  main.append(el);
  widget.render({ model: kernel.model({ kind }), el });
}
Object.assign(window, { kernel });
