// Small helpers for elements: making them, icons, numbers as text, announcements.

type Child = Node | string | null | undefined | false;
type Attribute = string | number | boolean | null | undefined | ((event: never) => void);

/** Make an element. Functions are listeners (`onclick`), true is an empty attribute, false and null leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Node[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element: Element, attributes: Record<string, Attribute>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
}

const ICONS = {
  check: "M6.4 12.6L2.2 8.4l1.3-1.3 2.9 2.9 6.1-6.1 1.3 1.3z",
  ascending: "M8 3l4 5H9v5H7V8H4z",
  descending: "M8 13l4-5H9V3H7v5H4z",
  close: "M4 3l4 4 4-4 1 1-4 4 4 4-1 1-4-4-4 4-1-1 4-4-4-4z",
  columns: "M2 3h12v10H2zm1 1v8h3V4zm4 0v8h2V4zm3 0v8h3V4z",
  play: "M5 3l8 5-8 5z",
  next: "M4 3l6 5-6 5zm7 0h2v10h-2z",
  pause: "M4 3h3v10H4zm5 0h3v10H9z",
  previous: "M12 3L6 8l6 5zM3 3h2v10H3z",
  undo: "M6 2.5v2.8h3.6a4 4 0 010 8.2H5v-1.6h4.6a2.4 2.4 0 000-5H6v2.8L2 6.1z",
  search: "M7 2a5 5 0 014 8l3 3-1 1-3-3a5 5 0 11-3-9zm0 1.5a3.5 3.5 0 100 7 3.5 3.5 0 000-7z",
} as const;

export type IconName = keyof typeof ICONS;

/** Make an icon; it takes the colour of the text, and screen readers pass over it. */
export function icon(name: IconName): SVGSVGElement {
  return svg("svg", { viewBox: "0 0 16 16", class: "hk-icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** Format a number as the package does: thousands separated by commas. */
export function formatNumber(value: number): string {
  return value.toLocaleString("en-US");
}

/** "1 row", "2 rows". */
export function countNoun(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** "1,200 credits", or that they are not known. */
export function creditsText(credits: number | null): string {
  return credits === null ? "credits not known" : countNoun(credits, "credit");
}

/** A line that screen readers announce when it changes; quick changes are announced once. */
export class Announcer {
  readonly el = h("div", { class: "hk-visually-hidden", role: "status", "aria-live": "polite" });
  #timer: ReturnType<typeof setTimeout> | undefined;

  say(text: string, wait = 500): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.el.textContent = text;
    }, wait);
  }

  dispose(): void {
    clearTimeout(this.#timer);
  }
}

/** Listeners by topic. */
export class Emitter<Topics extends object> {
  readonly #listeners = new Map<keyof Topics, Set<(value: never) => void>>();

  /** Listen to a topic; the function returned stops it. */
  on<K extends keyof Topics>(topic: K, listener: (value: Topics[K]) => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<K extends keyof Topics>(topic: K, value: Topics[K]): void {
    for (const listener of this.#listeners.get(topic) ?? []) (listener as (value: Topics[K]) => void)(value);
  }
}

/** Call a function after a pause in its calls. */
export function debounce(call: () => void, wait: number): { (): void; flush(): void; cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = (): void => {
    timer = undefined;
    call();
  };
  const debounced = (): void => {
    clearTimeout(timer);
    timer = setTimeout(run, wait);
  };
  debounced.flush = (): void => {
    if (timer === undefined) return;
    clearTimeout(timer);
    run();
  };
  debounced.cancel = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  return debounced;
}

/** The focused element of the document or shadow tree that an element is in. */
/** Below this width of the explorer the text comes first, and rows have a play button only; style.css has the same. */
const NARROW = 560;

export function isNarrow(root: HTMLElement): boolean {
  return root.clientWidth > 0 && root.clientWidth < NARROW;
}

export function activeElement(inside: Node): Element | null {
  const root = inside.getRootNode();
  return root instanceof ShadowRoot ? root.activeElement : document.activeElement;
}
