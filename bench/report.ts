/** A number of APDUs, or why there is none. */
export type Count = number | string;

export interface CountedRow {
  readonly title: string;
  readonly budget?: number;
  /** By driver. */
  readonly counts: Readonly<Record<string, Count>>;
}

export interface CountedTable {
  readonly title: string;
  readonly rows: readonly CountedRow[];
}

/** A measured figure of the host's side, and the bound it should keep, if there is one. */
export interface HostFigure {
  readonly title: string;
  readonly value: number;
  readonly unit: "ratio" | "ms" | "MiB" | "bytes";
  readonly atMost?: number;
  /** How it came about, for the reader. */
  readonly remark?: string;
}

export interface Report {
  /** What was measured with what: name to version. */
  readonly versions: Readonly<Record<string, string>>;
  /** Lengths in bytes of the certificates on the card. */
  readonly certificates: readonly number[];
  /** The driver that the budgets are for. */
  readonly subject: string;
  readonly tables: readonly CountedTable[];
  readonly host: readonly HostFigure[];
}

/** What did not keep its bound, a line each. */
export function missed({ subject, tables, host }: Report): readonly string[] {
  const rows = tables.flatMap(({ title, rows }) =>
    rows.filter((row) => isOver(row, subject)).map((row) => overText(title, row, row.counts[subject])),
  );
  const figures = host.filter(({ value, atMost = Infinity }) => !(value <= atMost));
  return [...rows, ...figures.map((figure) => `${figure.title}: ${figureText(figure)}, ${boundText(figure)} at most`)];
}

/** A driver that did not do the work has not kept to the budget either. */
function isOver({ budget, counts }: CountedRow, driver: string): boolean {
  const count = counts[driver];
  return typeof count === "string" || (budget !== undefined && !((count ?? Infinity) <= budget));
}

function overText(table: string, { title, budget }: CountedRow, count: Count | undefined): string {
  const of = budget === undefined ? "" : `, budget ${budget}`;
  return `${title} (${table}): ${count ?? "not counted"}${of}`;
}

/** The whole report as Markdown that is as readable on a terminal. */
export function toMarkdown(report: Report): string {
  const { versions, certificates, subject, tables, host } = report;
  const lines = [
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `Card: PIV, four keys, certificates of ${Math.min(...certificates)} to ${Math.max(...certificates)} bytes`,
  ];
  for (const { title, rows } of tables) {
    lines.push("", `### ${title}`, "", ...countTable(rows, subject));
  }
  if (host.length > 0) {
    const cells = host.map((figure) => [
      figure.title,
      figureText(figure),
      boundText(figure),
      verdict(figure),
      figure.remark ?? "",
    ]);
    lines.push("", "### Host side", "", ...table(["figure", "measured", "budget", "", "how"], cells, new Set([1, 2])));
  }
  const over = missed(report);
  lines.push(
    "",
    ...(over.length === 0 ? ["All budgets are kept."] : ["Budgets missed:", ...over.map((line) => `- ${line}`)]),
  );
  return `${lines.join("\n")}\n`;
}

function countTable(rows: readonly CountedRow[], subject: string): readonly string[] {
  const drivers = [...new Set(rows.flatMap(({ counts }) => Object.keys(counts)))];
  const cells = rows.map((row) => [
    row.title,
    row.budget === undefined ? "" : String(row.budget),
    ...drivers.map((driver) => {
      const text = String(row.counts[driver] ?? "");
      if (driver !== subject) return text;
      return isOver(row, subject) ? `**${text}** (over)` : `**${text}**`;
    }),
  ]);
  return table(["APDUs", "budget", ...drivers], cells, new Set([1, ...drivers.map((_, index) => index + 2)]));
}

/** Digits after the point of a measured value. */
const DIGITS: Readonly<Record<HostFigure["unit"], number>> = { ratio: 2, ms: 3, MiB: 2, bytes: 0 };

function figureText({ value, unit }: HostFigure): string {
  const text = value.toFixed(DIGITS[unit]);
  return unit === "ratio" ? text : `${text} ${unit}`;
}

function boundText({ unit, atMost }: HostFigure): string {
  if (atMost === undefined) return "";
  return unit === "ratio" ? atMost.toFixed(2) : `${atMost} ${unit}`;
}

/** Whether a figure keeps its bound. */
function verdict({ value, atMost }: HostFigure): string {
  if (atMost === undefined) return "";
  return value <= atMost ? "under" : "**over**";
}

/** @param right Columns that are aligned to the right. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number>,
): readonly string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      return right.has(column) ? cell.padStart(width) : cell.padEnd(width);
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, column) => (right.has(column) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  return [line(head), line(rule), ...rows.map(line)];
}
