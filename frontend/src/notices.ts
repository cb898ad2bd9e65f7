// What a view says of the kernel and of errors: lines that lie over it, so that nothing moves when they come and go.

import { KernelError, Overtaken, type Channel, type Status } from "./channel";
import { h, icon } from "./dom";

const NOTICES: Record<Status, string> = {
  idle: "",
  working: "",
  busy: "The kernel is busy. What is loaded stays.",
  silent: "The kernel doesn't answer: it is busy, or it was restarted and this cell is to be run again.",
  gone: "The kernel is gone: run this cell again.",
};

export class Notices {
  readonly el: HTMLElement;
  /** Turns while an answer takes long. */
  readonly busy = h("span", { class: "hk-busy", "aria-hidden": "true", hidden: true });
  readonly #channel: Channel;
  readonly #root: HTMLElement;
  readonly #notice = h("div", { class: "hk-notice", role: "status" });
  readonly #message = h("span", {});
  readonly #alert = h("div", { class: "hk-message", role: "alert", hidden: true }, this.#message);
  readonly #off: (() => void)[];
  #notes: string[] = [];

  constructor(channel: Channel, root: HTMLElement) {
    this.#channel = channel;
    this.#root = root;
    const close = (): void => {
      this.setNotes([]);
    };
    this.#alert.append(h("button", { type: "button", class: "hk-small", "aria-label": "Close this message", onclick: close }, icon("close")));
    this.el = h("div", { class: "hk-over" }, this.#notice, this.#alert);
    this.#off = [
      channel.on("note", ({ text }) => {
        this.setNotes([...this.#notes, text]);
      }),
      channel.on("status", (status) => {
        this.#showStatus(status);
      }),
    ];
  }

  /** The kernel's notes, which are shown until they are closed. */
  setNotes(notes: string[]): void {
    this.#notes = notes;
    this.say("");
  }

  fail(error: unknown): void {
    if (error instanceof Overtaken) return;
    if (error instanceof KernelError && this.#channel.status === "gone") return; // the notice says it
    this.say(error instanceof Error ? error.message : String(error));
  }

  /** Show a line; without one the kernel's notes. */
  say(text: string): void {
    const line = text || this.#notes.join(" ");
    this.#alert.hidden = line === "";
    this.#message.textContent = line;
  }

  #showStatus(status: Status): void {
    this.busy.hidden = status === "idle" || status === "gone";
    this.#root.setAttribute("aria-busy", String(status === "working"));
    this.#notice.textContent = NOTICES[status];
    this.#notice.classList.toggle("hk-gone", status === "gone");
  }

  dispose(): void {
    for (const off of this.#off) off();
  }
}
