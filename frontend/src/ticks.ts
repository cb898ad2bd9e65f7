// The labels below a time axis: at the starts of hours, days, months or years, as many as fit without touching.

export interface Tick {
  index: number;
  text: string;
  /** What the text is part of, as the year of a day; at the first tick and where it changes. */
  context: string;
}

/** The pixels of a period, and those that a label may take beyond both ends of the axis. */
export interface Room {
  period: number;
  left: number;
  right: number;
}

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
}

type Unit = "hour" | "day" | "month" | "quarter" | "year";

interface Level {
  unit: Unit;
  takes: (parts: Parts, before: Parts | null) => boolean;
}

const GAP = 8;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const UNITS: Record<string, Unit> = { h: "hour", D: "day", W: "day", MS: "month", QS: "quarter", YS: "year" };

/** Read the name of a period, as "2026-03-01 14:00", "week of 2026-03-01", "2026-03", "2026-Q1" or "2026". */
export function partsOf(label: string): Parts | null {
  const match = /(\d{4})(?:-Q(\d)|-(\d\d)(?:-(\d\d)(?: (\d\d):)?)?)?/.exec(label);
  if (!match) return null;
  const [, year, quarter, month, day, hour] = match;
  return {
    year: Number(year),
    month: quarter === undefined ? Number(month ?? 1) : 3 * Number(quarter) - 2,
    day: Number(day ?? 1),
    hour: Number(hour ?? 0),
  };
}

function newYear(parts: Parts, before: Parts | null): boolean {
  return before ? parts.year !== before.year : parts.month === 1 && parts.day === 1 && parts.hour === 0;
}

function newMonth(parts: Parts, before: Parts | null): boolean {
  return before ? parts.month !== before.month || parts.year !== before.year : parts.day === 1 && parts.hour === 0;
}

function newDay(parts: Parts, before: Parts | null): boolean {
  return before ? parts.day !== before.day || newMonth(parts, before) : parts.hour === 0;
}

/** Every so many days of a month, the last of them not just before the next month's first. */
const days = (step: number): Level => ({
  unit: "day",
  takes: (parts, before) => newDay(parts, before) && (parts.day - 1) % step === 0 && (step === 1 || parts.day <= 31 - step),
});
const months = (step: number): Level => ({
  unit: "month",
  takes: (parts, before) => newMonth(parts, before) && (parts.month - 1) % step === 0,
});
const years = (step: number): Level => ({
  unit: "year",
  takes: (parts, before) => newYear(parts, before) && parts.year % step === 0,
});
const CALENDAR = [...[1, 3, 6].map(months), ...[1, 2, 5, 10, 20, 50, 100].map(years)];

function levelsOf(freq: string): Level[] {
  switch (freq) {
    case "h": {
      const hours = [1, 2, 3, 6, 12].map((step): Level => ({ unit: "hour", takes: ({ hour }) => hour % step === 0 }));
      return [...hours, ...[1, 2, 5, 10, 15].map(days), ...CALENDAR];
    }
    case "D":
      return [...[1, 2, 5, 10, 15].map(days), ...CALENDAR];
    case "W":
      return [{ unit: "day", takes: () => true }, ...CALENDAR];
    case "QS":
      return [{ unit: "quarter", takes: () => true }, ...CALENDAR.slice(3)];
    case "MS":
      return CALENDAR;
    default:
      return CALENDAR.slice(3);
  }
}

function textOf({ year, month, day, hour }: Parts, unit: Unit): [text: string, context: string] {
  const [name = "", digits] = [MONTHS[month - 1], String(year).padStart(4, "0")];
  switch (unit) {
    case "hour":
      return [`${String(hour).padStart(2, "0")}:00`, `${name} ${day}, ${digits}`];
    case "day":
      return [`${name} ${day}`, digits];
    case "month":
      return [name, digits];
    case "quarter":
      return [`Q${(month + 2) / 3}`, digits];
    case "year":
      return [digits, ""];
  }
}

/** Return the labels of an axis of periods, by their names; `measure` returns the width of a text in pixels. */
export function ticksOf(freq: string, labels: string[], room: Room, measure: (text: string) => number): Tick[] {
  const parts = labels.map(partsOf);
  for (const { unit, takes } of levelsOf(freq)) {
    const places = parts.flatMap((each, index) => (each && takes(each, parts[index - 1] ?? null) ? [index] : []));
    const ticks = withContexts(places.filter((index) => fits(index, parts, unit, labels.length, room, measure)), parts, unit);
    if (ticks.length > 1 && apart(ticks, room, measure)) return dropContexts(ticks, labels.length, room, measure);
  }
  // No start of anything fits twice: labels at equal steps, at least one.
  const unit = UNITS[freq] ?? "day";
  const known = parts.flatMap((each, index) => (each && fits(index, parts, unit, labels.length, room, measure) ? [index] : []));
  for (let step = 1; step <= known.length; step += 1) {
    const ticks = withContexts(known.filter((_, place) => place % step === 0), parts, unit);
    if (apart(ticks, room, measure)) return dropContexts(ticks, labels.length, room, measure);
  }
  return [];
}

function withContexts(places: number[], parts: (Parts | null)[], unit: Unit): Tick[] {
  let last = "";
  return places.flatMap((index) => {
    const each = parts[index];
    if (!each) return [];
    const [text, context] = textOf(each, unit);
    const shown = context === last ? "" : context;
    last = context;
    return [{ index, text, context: shown }];
  });
}

function centre(index: number, room: Room): number {
  return (index + 0.5) * room.period;
}

function within(index: number, width: number, size: number, room: Room): boolean {
  const at = centre(index, room);
  return at - width / 2 >= -room.left && at + width / 2 <= size * room.period + room.right;
}

function fits(index: number, parts: (Parts | null)[], unit: Unit, size: number, room: Room, measure: (text: string) => number): boolean {
  const each = parts[index];
  return each !== null && each !== undefined && within(index, measure(textOf(each, unit)[0]), size, room);
}

function apart(ticks: Tick[], room: Room, measure: (text: string) => number): boolean {
  let end = -Infinity;
  return ticks.every(({ index, text }) => {
    const half = measure(text) / 2;
    const free = centre(index, room) - half >= end;
    end = centre(index, room) + half + GAP;
    return free;
  });
}

/** Leave out contexts that touch the next one, or reach out of the picture. */
function dropContexts(ticks: Tick[], size: number, room: Room, measure: (text: string) => number): Tick[] {
  let next = Infinity;
  for (const tick of [...ticks].reverse()) {
    if (tick.context === "") continue;
    const width = measure(tick.context);
    const at = centre(tick.index, room);
    if (at + width / 2 + GAP > next || !within(tick.index, width, size, room)) tick.context = "";
    else next = at - width / 2;
  }
  return ticks;
}
