// Colours: style.css takes them from the notebook's variables; here they are read for canvases, and again when the theme changes.

import { h } from "./dom";

export interface Theme {
  dark: boolean;
  /** The system replaces colours (Windows high contrast). */
  forced: boolean;
  ink: string;
  muted: string;
  background: string;
  line: string;
  accent: string;
  /** Ten colours for series, in order; each can be told from the background. */
  series: string[];
  /** The colour of all other series. */
  other: string;
  font: string;
}

/** The contrast that WCAG asks of texts, and of parts of pictures. */
export const TEXT_CONTRAST = 4.5;
export const BAR_CONTRAST = 3;

/** Read the colours in force on an element. */
export function readTheme(root: HTMLElement): Theme {
  const names = ["ink", "muted", "background", "line", "accent", "series-other", ...Array.from({ length: 10 }, (_, index) => `series-${index + 1}`)];
  const [ink, muted, background, line, accent, other, ...series] = resolveColors(
    root,
    names.map((name) => `var(--hk-${name})`),
  ) as [string, string, string, string, string, string, ...string[]];
  return {
    dark: root.dataset.scheme === "dark",
    forced: matches("(forced-colors: active)"),
    ink: withContrast(ink, background, TEXT_CONTRAST),
    muted: withContrast(muted, background, TEXT_CONTRAST),
    ...{ background, line, accent },
    series: series.map((color) => withContrast(color, background, BAR_CONTRAST)),
    other: withContrast(other, background, BAR_CONTRAST),
    font: getComputedStyle(root).fontFamily,
  };
}

/** Set the scheme of an element by what lies behind it, call back with its colours, and again at each change. */
export function watchTheme(root: HTMLElement, changed: (theme: Theme) => void): () => void {
  let last = "";
  const check = (): void => {
    root.dataset.scheme = isDark(root) ? "dark" : "light";
    root.style.setProperty("--hk-paper", colorBehind(root));
    const theme = readTheme(root);
    const text = JSON.stringify(theme);
    if (text === last) return;
    last = text;
    changed(theme);
  };
  // A notebook marks its body at once and loads the style sheet of the theme later.
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const soon = (): void => {
    for (const wait of [0, 300, 1200]) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        check();
      }, wait);
      timers.add(timer);
    }
  };
  const observer = new MutationObserver(soon);
  for (const element of [document.documentElement, document.body]) observer.observe(element, { attributes: true });
  const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"].map((query) =>
    window.matchMedia(query),
  );
  for (const query of queries) query.addEventListener("change", soon);
  check();
  soon();
  return () => {
    observer.disconnect();
    for (const query of queries) query.removeEventListener("change", soon);
    for (const timer of timers) clearTimeout(timer);
  };
}

function matches(query: string): boolean {
  return window.matchMedia(query).matches;
}

/**
 * The colour that an element stands on: the notebook's own background where it has a variable for it, else that of the
 * first ancestor with one, else the page's canvas.
 */
export function colorBehind(root: HTMLElement): string {
  const [own = "", canvas = ""] = resolveColors(root, ["var(--jp-layout-color1, var(--vscode-editor-background, transparent))", "Canvas"]);
  if (isOpaque(own)) return own;
  for (let element = parentOf(root); element; element = parentOf(element)) {
    const color = getComputedStyle(element).backgroundColor;
    if (isOpaque(color)) return color;
  }
  return canvas;
}

function isOpaque(color: string): boolean {
  return (parseColor(color)?.[3] ?? 0) > 0.5;
}

/** Whether an element stands on a dark colour. */
export function isDark(root: HTMLElement): boolean {
  const channels = parseColor(colorBehind(root));
  return channels ? luminance(channels) < 0.4 : matches("(prefers-color-scheme: dark)");
}

function parentOf(element: Element): Element | null {
  if (element.parentElement) return element.parentElement;
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

/** Return what colours of a style sheet come to on an element. */
function resolveColors(root: HTMLElement, values: string[]): string[] {
  const probes = values.map((value) => h("span", { style: `color: ${value}; forced-color-adjust: none` }));
  const holder = h("span", { hidden: true }, ...probes);
  root.append(holder);
  const colors = probes.map((probe) => getComputedStyle(probe).color);
  holder.remove();
  return colors;
}

/** Red, green, blue (0 to 255) and opacity of a computed colour; null if it is of another kind. */
export function parseColor(text: string): [number, number, number, number] | null {
  const [, kind, inside = ""] = /^(rgba?|color)\((?:srgb )?([^)]+)\)$/.exec(text) ?? [];
  const numbers = inside.split(/[\s,/]+/).map(Number);
  if (numbers.length < 3 || numbers.some(Number.isNaN)) return null;
  const [red = 0, green = 0, blue = 0, opacity = 1] = numbers;
  const scale = kind === "color" ? 255 : 1;
  return [scale * red, scale * green, scale * blue, opacity];
}

/** Relative luminance (WCAG), 0 to 1. */
export function luminance([red, green, blue]: readonly [number, number, number, ...number[]]): number {
  const [r, g, b] = [red, green, blue].map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

type Rgb = readonly [number, number, number];

/** The contrast of two colours (WCAG), 1 to 21. */
export function contrast(one: readonly [number, number, number, ...number[]], other: readonly [number, number, number, ...number[]]): number {
  const [low, high] = [luminance(one), luminance(other)].sort((first, second) => first - second) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** Return a colour, moved towards black or white by as little as gives it a contrast to the background. */
export function withContrast(text: string, background: string, least: number): string {
  const [color, behind] = [parseColor(text), parseColor(background)];
  if (!color || !behind) return text;
  const [red, green, blue, opacity] = color;
  const solid = mix([red, green, blue], [behind[0], behind[1], behind[2]], opacity);
  if (contrast(solid, behind) >= least) return rgbText(solid);
  const towards = (end: Rgb): Rgb | null => {
    for (let share = 1; share >= 0; share -= 0.02) {
      const mixed = mix(solid, end, share);
      if (contrast(mixed, behind) >= least) return mixed;
    }
    return null;
  };
  const [black, white]: [Rgb, Rgb] = [[0, 0, 0], [255, 255, 255]];
  const [first, second] = luminance(behind) < 0.18 ? [white, black] : [black, white];
  return rgbText(towards(first) ?? towards(second) ?? (contrast(black, behind) > contrast(white, behind) ? black : white));
}

/** A blend of two colours, of which `share` (0 to 1) is the first. */
function mix(one: Rgb, other: Rgb, share: number): Rgb {
  return one.map((channel, index) => Math.round(share * channel + (1 - share) * (other[index] ?? 0))) as [number, number, number];
}

function rgbText([red, green, blue]: Rgb): string {
  return `rgb(${red}, ${green}, ${blue})`;
}
