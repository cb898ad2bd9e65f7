// The chooser of columns: which are shown, and in which order.

import { h, icon } from "./dom";
import { keyName } from "./keys";
import { Popup } from "./popup";
import type { Column } from "./protocol";

/** The keys of the shown columns after one is moved by a number of places among them. */
export function moveColumn(shown: string[], key: string, by: number): string[] {
  const at = shown.indexOf(key);
  if (at < 0) return shown;
  const others = shown.filter((one) => one !== key);
  return others.toSpliced(Math.max(Math.min(at + by, others.length), 0), 0, key);
}

export class ColumnChooser {
  readonly el: HTMLElement;
  readonly #button = h(
    "button",
    { type: "button", class: "hk-button", "aria-haspopup": "dialog", "aria-expanded": "false" },
    icon("columns"),
    h("span", {}, "Columns"),
  );
  readonly #popup = new Popup("Columns");
  readonly #choose: (shown: string[]) => void;
  #columns: Column[] = [];

  constructor(choose: (shown: string[]) => void) {
    this.#choose = choose;
    this.#button.addEventListener("click", () => {
      this.#popup.toggle(this.#button);
    });
    this.el = h("div", { class: "hk-columns" }, this.#button, this.#popup.el);
  }

  get #shown(): string[] {
    return this.#columns.filter(({ shown }) => shown).map(({ key }) => key);
  }

  setColumns(columns: Column[]): void {
    this.#columns = columns;
    const focused = this.#popup.el.querySelector<HTMLElement>(":focus")?.dataset.focus;
    const shown = this.#shown;
    this.#popup.el.replaceChildren(
      h("div", { class: "hk-popup-head" }, h("b", {}, "Columns"), h("span", { class: "hk-muted" }, "Alt and arrows move one")),
      ...columns.map((column) => this.#item(column, shown)),
    );
    if (focused === undefined) return;
    // A button that can't move its column further is disabled: its neighbour takes the focus.
    for (const name of [focused, focused.replace(/ left$/, " right"), focused.replace(/ right$/, " left"), focused.replace(/ \w+$/, "")]) {
      const next = this.#popup.el.querySelector<HTMLButtonElement | HTMLInputElement>(`[data-focus="${CSS.escape(name)}"]`);
      if (!next || next.disabled) continue;
      next.focus();
      return;
    }
  }

  #item({ key, label, shown: isShown }: Column, shown: string[]): HTMLElement {
    const box = h("input", {
      type: "checkbox",
      "data-focus": key,
      disabled: isShown && shown.length === 1,
      onchange: () => {
        this.#choose(isShown ? shown.filter((one) => one !== key) : [...shown, key]);
      },
    });
    box.checked = isShown;
    const move = (by: number, name: string, sign: "ascending" | "descending"): HTMLElement =>
      h(
        "button",
        {
          type: "button",
          class: "hk-small",
          "aria-label": `Move ${label} ${name}`,
          "data-focus": `${key} ${name}`,
          disabled: !isShown || (by < 0 ? shown[0] === key : shown.at(-1) === key),
          onclick: () => {
            this.#choose(moveColumn(shown, key, by));
          },
        },
        icon(sign),
      );
    const item = h(
      "div",
      { class: "hk-choice" },
      h("label", {}, box, h("span", {}, label)),
      h("span", { class: "hk-moves" }, move(-1, "left", "ascending"), move(1, "right", "descending")),
    );
    item.addEventListener("keydown", (event) => {
      const by = { "Alt+ArrowUp": -1, "Alt+ArrowDown": 1 }[keyName(event)];
      if (by === undefined || !isShown) return;
      event.preventDefault();
      this.#choose(moveColumn(shown, key, by));
    });
    return item;
  }

  dispose(): void {
    this.#popup.close(false);
  }
}
