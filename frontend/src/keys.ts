// Keys: none of those pressed inside reaches the notebook, which would run them as its commands.

const MARK = "data-lm-suppress-shortcuts";

/**
 * Keep key events from the notebook, but for those that save it. JupyterLab (Lumino) listens to the document in the
 * capture phase and looks for the mark, so it is taken off for these before, at the window. Returns what ends it.
 */
export function keepKeys(root: HTMLElement): () => void {
  root.setAttribute(MARK, "true");
  for (const type of ["keydown", "keypress", "keyup"] as const) {
    root.addEventListener(type, (event) => {
      if (!saves(event)) event.stopPropagation();
    });
  }
  const letThrough = (event: KeyboardEvent): void => {
    if (!saves(event) || !event.composedPath().includes(root)) return;
    root.removeAttribute(MARK);
    setTimeout(() => {
      root.setAttribute(MARK, "true");
    }, 0);
  };
  window.addEventListener("keydown", letThrough, true);
  return () => {
    window.removeEventListener("keydown", letThrough, true);
  };
}

function saves(event: KeyboardEvent): boolean {
  return keyName(event) === "Ctrl+s";
}

/** A key with its modifiers in one word: "Ctrl+Home", "Shift+ArrowDown", "t". Cmd counts as Ctrl. */
export function keyName(event: KeyboardEvent): string {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const parts = [event.ctrlKey || event.metaKey ? "Ctrl" : "", event.altKey ? "Alt" : "", event.shiftKey ? "Shift" : "", key];
  return parts.filter(Boolean).join("+");
}

/** Whether an element takes text, so that letters and the space bar belong to it. */
export function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "range"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** The next index for an arrow, Home or End key in a list; null for another key. */
export function moveIndex(key: string, index: number, count: number): number | null {
  switch (key) {
    case "ArrowRight":
    case "ArrowDown":
      return Math.min(index + 1, count - 1);
    case "ArrowLeft":
    case "ArrowUp":
      return Math.max(index - 1, 0);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

/** One tab stop for a list of buttons: arrows, Home and End move the focus. */
export function rove(list: HTMLElement, items: () => HTMLElement[]): void {
  list.addEventListener("keydown", (event) => {
    const all = items();
    const index = all.indexOf(event.target as HTMLElement);
    const next = index < 0 ? null : moveIndex(keyName(event), index, all.length);
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    for (const [at, item] of all.entries()) item.tabIndex = at === next ? 0 : -1;
    all[next]?.focus();
  });
}
