// A scroll position in content that is taller than what browsers scroll.

/** Browsers cap the height of an element, the lowest cap in use is near 17 million pixels. */
export const MOST_HEIGHT = 12_000_000;

/**
 * Maps the scroll position of an element of at most MOST_HEIGHT to that of the whole content. Where the content is
 * taller, the wheel and the finger move it pixel by pixel (`exact`), and the scroll bar in proportion.
 */
export class ScaledScroll {
  /** The position in the whole content. */
  top = 0;
  #content = 0;
  #viewport = 0;
  #last = 0;

  resize(content: number, viewport: number): void {
    this.#content = content;
    this.#viewport = viewport;
    this.top = Math.min(this.top, this.#most);
  }

  /** The height of the element. */
  get height(): number {
    return Math.min(this.#content, MOST_HEIGHT);
  }

  get scaled(): boolean {
    return this.#content > MOST_HEIGHT;
  }

  get #most(): number {
    return Math.max(this.#content - this.#viewport, 0);
  }

  get #mostScrolled(): number {
    return Math.max(this.height - this.#viewport, 0);
  }

  /** The scroll position of the element that stands for `top`. */
  get scrollTop(): number {
    return this.scaled ? (this.top / this.#most) * this.#mostScrolled : this.top;
  }

  /** Go to a position; the element is to be scrolled to `scrollTop` then. */
  go(top: number): void {
    this.top = Math.max(Math.min(top, this.#most), 0);
    this.#last = this.scrollTop;
  }

  /** The element was scrolled. Return whether it ran into its end before the content did, and is to be put right now. */
  scrolled(scrollTop: number, exact: boolean): boolean {
    const moved = scrollTop - this.#last;
    this.#last = scrollTop;
    if (!this.scaled) {
      this.top = scrollTop;
      return false;
    }
    if (!exact) {
      this.top = (scrollTop / this.#mostScrolled) * this.#most;
      return false;
    }
    this.top = Math.max(Math.min(this.top + moved, this.#most), 0);
    const atStart = scrollTop <= 0 && this.top > 0;
    const atEnd = scrollTop >= this.#mostScrolled - 1 && this.top < this.#most;
    return atStart || atEnd;
  }

  /** The element was scrolled to `scrollTop` by the grid itself. */
  placed(scrollTop: number): void {
    this.#last = scrollTop;
  }
}
