// Pull, zip, CSV and Parquet: what the rows are written to, progress with Cancel, a question before large ones, results.

import { Overtaken } from "./channel";
import { activeElement, formatNumber, h } from "./dom";
import type { Host, Part } from "./host";
import { keyName } from "./keys";
import type { JobAction, JobEvent, OpenReply } from "./protocol";

type Rows = "ticked" | "filtered";

/** What people chose for the next job. */
interface Choice {
  rows: Rows;
  ask?: boolean;
}

const ACTIONS: { action: JobAction; label: string; target: string; field: keyof OpenReply["defaults"] }[] = [
  { action: "pull", label: "Pull audio", target: "Folder of the audio", field: "folder" },
  { action: "zip", label: "Make zip", target: "Path of the zip", field: "zip" },
  { action: "csv", label: "Export CSV", target: "Path of the CSV file", field: "csv" },
  { action: "parquet", label: "Export Parquet", target: "Path of the Parquet file", field: "parquet" },
];

/** A running job that nothing is heard of for so long is asked for. */
const ASK_AFTER = 5_000;

export class Actions implements Part {
  readonly el: HTMLElement;
  readonly #host: Host;
  readonly #which = h("select", { class: "hk-select" });
  readonly #options: Record<Rows, HTMLOptionElement> = {
    ticked: h("option", { value: "ticked" }),
    filtered: h("option", { value: "filtered" }),
  };
  readonly #ask = h("input", { type: "checkbox" });
  readonly #tasks: Task[];
  readonly #off: (() => void)[] = [];
  /** Whether people chose the rows; else these are the ticked ones if there are any. */
  #chosen = false;
  #opened = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #heard = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#tasks = ACTIONS.map(({ action, label, target, field }) => new Task(host, action, label, target, field, () => this.#choice));
    this.#which.append(this.#options.ticked, this.#options.filtered);
    this.#which.addEventListener("change", () => {
      this.#chosen = true;
    });
    this.el = h(
      "div",
      { class: "hk-actions", role: "group", "aria-label": "Pull and export rows" },
      h(
        "div",
        { class: "hk-targets" },
        h(
          "div",
          { class: "hk-which" },
          h("label", {}, h("span", {}, "Rows"), this.#which),
          h("label", { title: "Before it begins, say what it would do: how many, how large, how long" }, this.#ask, "Ask first"),
        ),
        ...this.#tasks.map((task) => task.controls),
      ),
      h("div", { class: "hk-jobs" }, ...this.#tasks.map((task) => task.report)),
    );
    this.#off.push(
      host.on("changed", () => {
        this.#open();
        this.#count();
      }),
      host.on("ticked", () => {
        this.#count();
      }),
      host.channel.on("job", (event) => {
        this.#show(event);
      }),
      host.channel.on("status", (status) => {
        if (status === "gone") for (const task of this.#tasks) task.lose();
      }),
    );
  }

  get #choice(): Choice {
    return { rows: this.#which.value as Rows, ...(this.#ask.checked ? { ask: true } : {}) };
  }

  dispose(): void {
    clearInterval(this.#timer);
    for (const off of this.#off) off();
  }

  /** Fill in the targets, and show the jobs that were begun in other views, once there is a state. */
  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    for (const task of this.#tasks) task.input.value = this.#host.state.defaults[task.field];
    this.#askJobs();
  }

  #count(): void {
    const { count, shown_only: shownOnly, ticked } = this.#host.state;
    const { ticked: one, filtered: other } = this.#options;
    one.textContent = `${formatNumber(ticked.count)} ticked`;
    one.disabled = ticked.count === 0;
    other.textContent = shownOnly ? "All that match the filters" : `${formatNumber(count)} that match the filters`;
    if (ticked.count === 0) this.#chosen = false;
    if (!this.#chosen) this.#which.value = ticked.count > 0 ? "ticked" : "filtered";
  }

  #show(event: JobEvent): void {
    this.#heard = performance.now();
    this.#tasks.find(({ action }) => action === event.action)?.show(event);
    const running = this.#tasks.some(({ state }) => state === "running");
    if (running) this.#timer ??= setInterval(() => {
      if (performance.now() - this.#heard >= ASK_AFTER) this.#askJobs();
    }, 1_000);
    else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #askJobs(): void {
    if (this.#host.channel.inFlight("jobs")) return;
    this.#host.channel.latest("jobs", {}).then(
      ({ reply }) => {
        for (const event of reply.jobs) this.#show(event);
      },
      (error: unknown) => {
        this.#host.fail(error);
      },
    );
  }
}

/** One action: its button and target, and what its last job does or did. */
class Task {
  readonly action: JobAction;
  readonly field: keyof OpenReply["defaults"];
  readonly controls: HTMLElement;
  readonly input: HTMLInputElement;
  readonly report: HTMLElement;
  readonly #host: Host;
  readonly #label: string;
  readonly #choice: () => Choice;
  readonly #button: HTMLElement;
  readonly #text = h("span", { class: "hk-job-text" });
  readonly #bar: HTMLProgressElement;
  readonly #cancel: HTMLElement;
  readonly #progress: HTMLElement;
  readonly #question = h("p", {});
  readonly #dialog: HTMLElement;
  readonly #line = h("div", { class: "hk-result", role: "status" });
  #job: JobEvent | null = null;
  /** A request to begin is under way. */
  #beginning = false;

  constructor(host: Host, action: JobAction, label: string, target: string, field: keyof OpenReply["defaults"], choice: () => Choice) {
    this.#host = host;
    this.action = action;
    this.field = field;
    this.#label = label;
    this.#choice = choice;
    this.#button = h("button", { type: "button", class: "hk-button", onclick: () => { this.#begin(); } }, label);
    this.input = h("input", { type: "text", class: "hk-target", "aria-label": target, title: target, spellcheck: "false", autocomplete: "off" });
    this.input.addEventListener("keydown", (event) => {
      if (keyName(event) === "Enter") this.#begin();
    });
    this.controls = h("div", { class: "hk-action" }, this.#button, this.input);
    this.#bar = h("progress", { "aria-label": label });
    this.#cancel = h("button", { type: "button", class: "hk-button", "aria-label": `Cancel: ${label}`, onclick: () => { this.#send("cancel"); } }, "Cancel");
    this.#progress = h("div", { class: "hk-progress", hidden: true }, this.#text, this.#bar, this.#cancel);
    this.#dialog = h(
      "div",
      { class: "hk-confirm", role: "alertdialog", "aria-label": `${label}?`, tabindex: "-1", hidden: true },
      this.#question,
      h(
        "div",
        { class: "hk-answers" },
        h("button", { type: "button", class: "hk-button hk-primary", onclick: () => { this.#send("confirm"); } }, `${label} now`),
        h("button", { type: "button", class: "hk-button", onclick: () => { this.#send("cancel"); } }, "Not now"),
      ),
    );
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      this.#send("cancel");
    });
    this.report = h("div", { class: "hk-job" }, this.#progress, this.#dialog, this.#line);
  }

  get state(): JobEvent["state"] | null {
    return this.#job?.state ?? null;
  }

  get #open(): boolean {
    return this.#beginning || this.state === "running" || this.state === "waiting";
  }

  show(event: JobEvent): void {
    if (this.#job && Number(event.job) < Number(this.#job.job)) return;
    const waits = event.state === "waiting";
    const asks = waits && this.state !== "waiting";
    const focus = activeElement(this.report);
    const leaves = (!waits && this.#dialog.contains(focus)) || (event.state !== "running" && focus === this.#cancel);
    this.#job = event;
    this.#progress.hidden = event.state !== "running";
    this.#text.textContent = `${this.#label}: ${event.text}`;
    if (event.total > 0) {
      this.#bar.max = event.total;
      this.#bar.value = event.done;
    } else this.#bar.removeAttribute("value");
    this.#dialog.hidden = !waits;
    this.#question.textContent = event.confirm?.text ?? "";
    this.#say(event.line, event.state === "failed");
    if (leaves) this.#button.focus();
    else if (asks && event.by === this.#host.channel.view && (focus === this.#button || focus === this.input || focus === this.#cancel)) this.#dialog.focus();
  }

  /** The kernel is gone, and the job with it. */
  lose(): void {
    if (!this.#job || !this.#open) return;
    const line = this.action === "pull" ? "The kernel is gone. Clips that came stay; the next pull goes on from there." : "The kernel is gone; nothing was written.";
    this.show({ ...this.#job, state: "failed", line });
  }

  #begin(): void {
    if (this.#open) return;
    this.#beginning = true;
    this.#say("", false);
    this.#host.channel.request("job", { action: this.action, target: this.input.value, ...this.#choice() }).then(
      () => {
        this.#end("");
      },
      (error: unknown) => {
        if (!(error instanceof Overtaken)) this.#end(error instanceof Error ? error.message : String(error));
      },
    );
  }

  #end(error: string): void {
    this.#beginning = false;
    if (error) this.#say(`${this.#label}: ${error}`, true);
    else this.#mark();
  }

  #send(kind: "confirm" | "cancel"): void {
    if (!this.#job) return;
    this.#host.channel.request(kind, { job: this.#job.job }).catch((error: unknown) => {
      if (!(error instanceof Overtaken)) this.#say(error instanceof Error ? error.message : String(error), true);
    });
  }

  #say(line: string, failed: boolean): void {
    if (this.#line.textContent !== line) this.#line.textContent = line;
    this.#line.classList.toggle("hk-failed", failed);
    this.#mark();
  }

  /** A button that can't be used keeps the focus, which would be lost with `disabled`. */
  #mark(): void {
    this.#button.setAttribute("aria-disabled", String(this.#open));
  }
}
