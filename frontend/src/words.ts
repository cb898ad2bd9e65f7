// A text whose words light up while they are heard.

import { h } from "./dom";
import type { Word } from "./protocol";

interface Span {
  word: Word;
  el: HTMLElement;
}

export class LitText {
  readonly el: HTMLElement;
  readonly #seek: (word: Word) => void;
  #shown: [string, readonly Word[] | null] = ["", null];
  #spans: Span[] = [];
  #lit: Span | null = null;

  /** `seek` is called for a word that is clicked. */
  constructor(className: string, seek: (word: Word) => void) {
    this.el = h("div", { class: className, dir: "auto" });
    this.#seek = seek;
    this.el.addEventListener("click", (event) => {
      const span = this.#spans.find(({ el }) => el === event.target);
      if (span && document.getSelection()?.isCollapsed !== false) this.#seek(span.word);
    });
  }

  show(text: string, words: readonly Word[] | null): void {
    if (this.#shown[0] === text && this.#shown[1] === words) return;
    this.#shown = [text, words];
    this.#lit = null;
    this.#spans = [];
    if (!words) {
      this.el.textContent = text;
      return;
    }
    const parts: (Node | string)[] = [];
    let end = 0;
    for (const { word, start } of placeWords(text, words)) {
      const el = h("span", { class: "hk-word" }, word.text);
      this.#spans.push({ word, el });
      parts.push(text.slice(end, start), el);
      end = start + word.text.length;
    }
    parts.push(text.slice(end));
    this.el.replaceChildren(...parts);
  }

  /** Light up the word that is heard at a time; null lights none. Returns the word's element if it is another than before. */
  at(seconds: number | null): HTMLElement | null {
    const span = seconds === null ? null : (this.#spans[indexAt(this.#spans, seconds)] ?? null);
    if (span === this.#lit) return null;
    this.#lit?.el.classList.remove("hk-lit");
    this.#lit = span;
    span?.el.classList.add("hk-lit");
    return span?.el ?? null;
  }
}

/** Where the words stand in a text; those that it doesn't have in this order are left out. */
export function placeWords(text: string, words: readonly Word[]): { word: Word; start: number }[] {
  const placed: { word: Word; start: number }[] = [];
  let end = 0;
  for (const word of words) {
    const start = text.indexOf(word.text, end);
    // A word that is missing here would be found far behind, and those between it would find no place.
    if (start < 0 || start - end > 40 + word.text.length) continue;
    placed.push({ word, start });
    end = start + word.text.length;
  }
  return placed;
}

/** The last word that has begun at a time, until the next begins or half a second after its end; -1 if none. */
function indexAt(spans: readonly Span[], seconds: number): number {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle]?.word.start ?? 0) <= seconds) low = middle + 1;
    else high = middle;
  }
  const last = spans[low - 1];
  return last && seconds <= last.word.end + 0.5 ? low - 1 : -1;
}
