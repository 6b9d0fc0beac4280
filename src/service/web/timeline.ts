/** Something that took time: milliseconds since 1970, and how many. */
export interface Span {
  readonly start: number;
  readonly duration: number;
}

/** A part of the width: from 0 to 1. */
export interface Bar {
  readonly from: number;
  readonly length: number;
}

/** Milliseconds that an idle time is drawn as. */
const GAP = 2;

/** Where spans stand on a line from 0 to 1. Times at which none of them runs are drawn short. */
export function timeline(spans: readonly Span[]): readonly Bar[] {
  /** Busy times in order, each with where it begins on the line. */
  const busy: { start: number; end: number; at: number }[] = [];
  for (const { start, duration } of [...spans].sort((a, b) => a.start - b.start)) {
    const last = busy.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, start + duration);
    else busy.push({ start, end: start + duration, at: last ? last.at + (last.end - last.start) + GAP : 0 });
    const [before, added] = busy.slice(-2);
    if (before && added) added.at = before.at + (before.end - before.start) + GAP;
  }
  const last = busy.at(-1);
  const whole = Math.max(last ? last.at + (last.end - last.start) : 0, 1e-9);
  return spans.map(({ start, duration }) => {
    const part = busy.find((one) => start >= one.start && start <= one.end);
    const at = part ? part.at + (start - part.start) : 0;
    return { from: at / whole, length: duration / whole };
  });
}

/** One value for each second: of the spans that began in it. */
export function columns<T extends Span>(
  spans: readonly T[],
  from: number,
  seconds: number,
  value: (spans: readonly T[]) => number,
): readonly number[] {
  return Array.from({ length: seconds }, (_, second) => {
    const begin = from + 1000 * second;
    return value(spans.filter(({ start }) => start >= begin && start < begin + 1000));
  });
}
