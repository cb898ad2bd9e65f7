// Elements over the page: tooltips and popups. They lie in the browser's top layer, as a notebook's output cuts off
// what reaches over its edge.

import { activeElement, h } from "./dom";

/** An element shown beside another one. */
export class Floating {
  readonly el: HTMLElement;

  constructor(className: string, role: string) {
    this.el = h("div", { class: className, role, popover: "manual", hidden: true });
  }

  get shown(): boolean {
    return !this.el.hidden;
  }

  show(beside: Element): void {
    if (!this.el.isConnected) return;
    this.el.hidden = false;
    if (typeof this.el.showPopover === "function" && !this.el.matches(":popover-open")) this.el.showPopover();
    const box = beside.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.el;
    const below = box.bottom + 4;
    const fits = below + height <= window.innerHeight || box.top < height;
    this.el.style.left = `${Math.max(Math.min(box.left, window.innerWidth - width - 8), 4)}px`;
    this.el.style.top = `${fits ? Math.max(Math.min(below, window.innerHeight - height - 4), 4) : box.top - height - 4}px`;
  }

  hide(): void {
    if (!this.shown) return;
    if (typeof this.el.hidePopover === "function") this.el.hidePopover();
    this.el.hidden = true;
  }
}

/** A popup that a button opens: Escape, the button, or a click elsewhere closes it. */
export class Popup {
  readonly el: HTMLElement;
  readonly #floating: Floating;
  #button: HTMLElement | null = null;
  readonly #outside = (event: Event): void => {
    const path = event.composedPath();
    if (!path.includes(this.el) && (!this.#button || !path.includes(this.#button))) this.close(false);
  };
  readonly #moved = (event: Event): void => {
    if (this.#button && !event.composedPath().includes(this.el)) this.#floating.show(this.#button);
  };

  constructor(label: string) {
    this.#floating = new Floating("hk-popup", "dialog");
    this.el = this.#floating.el;
    this.el.setAttribute("aria-label", label);
    this.el.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      this.close();
    });
  }

  get shown(): boolean {
    return this.#floating.shown;
  }

  toggle(button: HTMLElement): void {
    if (this.shown && this.#button === button) this.close();
    else this.open(button);
  }

  open(button: HTMLElement): void {
    if (this.shown) this.close(false);
    this.#button = button;
    button.setAttribute("aria-expanded", "true");
    this.#floating.show(button);
    this.el.querySelector<HTMLElement>("input, button")?.focus();
    document.addEventListener("pointerdown", this.#outside, true);
    document.addEventListener("scroll", this.#moved, true);
  }

  /** Close it and put the focus back on its button if the focus was inside. */
  close(focus = true): void {
    if (!this.shown) return;
    const inside = this.el.contains(activeElement(this.el));
    this.#floating.hide();
    document.removeEventListener("pointerdown", this.#outside, true);
    document.removeEventListener("scroll", this.#moved, true);
    this.#button?.setAttribute("aria-expanded", "false");
    if (focus && inside) this.#button?.focus();
    this.#button = null;
  }
}
