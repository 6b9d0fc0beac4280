import type { Command } from "commander";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { DataError, wipe } from "../../bytes/index.ts";
import { type CardApplication, CardRecognition } from "../../card/index.ts";
import type { Finding, Libraries, Report } from "../../doctor/index.ts";
import { profiles } from "../../index.ts";
import { openCard } from "../input/token.ts";
import { action, type CommandContext } from "../context.ts";
import { type Environment, type Printer, visible } from "../output/printer.ts";
import { FileError, NotFoundError, UsageError, UnsoundCardError } from "../output/failures.ts";
import { LIMIT, readFailure, readWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { PIN, readPin, secret } from "../input/pin.ts";

interface DoctorOptions {
  readonly at?: string;
  readonly ca?: readonly string[];
  readonly login?: true;
}

export function addCardDoctor(card: Command, environment: Environment): void {
  const command = card
    .command("doctor")
    .summary("where a card differs from its standard, and what to do")
    .description(
      "Examine a card and report where it differs from its standard: what was found, the section of the standard, what it " +
        "means, and what you can do. The command changes nothing and spends no PIN try. For a PIV card " +
        "it also checks the signatures, hashes, identifiers and dates of the objects. The exit code is 5 if there is a defect.",
    )
    .option("--at <date>", "check validity at this time, such as 2030-01-31 or 2030-01-31T12:00:00Z; default: now")
    .option("--ca <path>", "a certificate of a trusted authority, or a folder of them; may be repeated", collect)
    .option("--login", "give the PIN, to read protected objects and test all keys")
    .addHelpText(
      "after",
      examples(
        ["cryptoki card doctor", "every check that needs no PIN"],
        ["cryptoki card doctor --ca authorities/ --login", "everything"],
        ["cryptoki card doctor --at 2030-01-31", "whether the card will still be valid on that day"],
        ["cryptoki card doctor --json | jq '.findings[] | select(.level == \"defect\")'", "defects, for a program"],
      ),
    );
  action<DoctorOptions>(command, environment, async (context, options) => {
    const moment = options.at === undefined ? undefined : readMoment(options.at);
    const { ExchangeLog, examineCard, loadLibraries } = await import("../../doctor/index.ts");
    const libraries = await loadLibraries();
    const authorities = options.ca && (await readAuthorities(libraries, options.ca, context.signal));
    const log = new ExchangeLog();
    context.listen(log.sink);
    context.observe(log.measure);
    const opened = await openCard(context);
    const application = await new CardRecognition(profiles).claim(opened);
    if (!application) {
      throw new NotFoundError(
        "this program does not recognise the card; see its answer to reset with: cryptoki readers",
      );
    }
    // Takes the time late: a virtual card may be newer than the command's start.
    const at = moment ?? new Date();
    const pin = options.login && (await askPin(context, application));
    try {
      const report = await examineCard(opened, application, {
        libraries,
        at,
        log,
        ...(authorities && { authorities }),
        ...(pin && { pin }),
      });
      tell(context, report, at);
    } finally {
      if (pin) wipe(pin);
    }
  });
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function readMoment(text: string | undefined): Date {
  const moment = text === undefined ? new Date() : new Date(text);
  const isIso =
    text === undefined || /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/u.test(text);
  // Date.parse turns February 30 into March 1; that is refused.
  const isDay = (day: string): boolean => new Date(day).toISOString().startsWith(day);
  if (!isIso || Number.isNaN(moment.getTime()) || (text !== undefined && !isDay(text.slice(0, 10)))) {
    throw new UsageError("--at takes a date such as 2030-01-31, or a time such as 2030-01-31T12:00:00Z");
  }
  return moment;
}

/** Reads the certificates in files, and in the files of folders. */
async function readAuthorities(
  libraries: Libraries,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const { readCertificates } = await import("../../doctor/index.ts");
  const found: Uint8Array[] = [];
  for (const file of (await Promise.all(paths.map(filesOf))).flat()) {
    try {
      found.push(...readCertificates(libraries, await readWhole(file, signal, LIMIT.KEY)));
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new FileError(`${file} holds no certificate`, { cause });
    }
  }
  return found;
}

async function filesOf(name: string): Promise<readonly string[]> {
  try {
    if (!(await stat(name)).isDirectory()) return [name];
    const names = (await readdir(name)).filter((file) => /\.(?:crt|cer|pem|der)$/iu.test(file));
    if (names.length === 0) throw new FileError(`${name} holds no file that ends in .crt, .cer, .pem or .der`);
    return names.sort().map((file) => path.join(name, file));
  } catch (cause) {
    if (cause instanceof FileError) throw cause;
    throw readFailure(name, cause);
  }
}

async function askPin({ options, environment }: CommandContext, { tokens }: CardApplication): Promise<Uint8Array> {
  const info = await tokens[0]?.info();
  const question = `${info?.pin.label ?? "PIN"} of ${visible(info?.label ?? "the card")}`;
  return readPin(secret(PIN, question, options.pinSource), environment);
}

/** @throws {UnsoundCardError} after the report, if it lists a defect; sets the exit code. */
function tell({ print, transport }: CommandContext, report: Report, at: Date): void {
  const defects = report.findings.filter(({ level }) => level === "defect");
  const clean = defects.length === 0;
  if (print.json) print.document({ clean, at: at.toISOString(), transport, ...report });
  else {
    print.pairs([
      ["card", report.label],
      ["application", report.profile],
      ["made by", report.maker || "unknown"],
      ["model", report.model],
      ["serial number", report.serialNumber || "unknown"],
      ["answer to reset", report.atr.toUpperCase()],
      ["checked at", at.toISOString()],
      ["way to the reader", transport ?? "unknown"],
    ]);
    tellGroup(print, "Defects", defects);
    tellGroup(
      print,
      "Notes",
      report.findings.filter(({ level }) => level === "note"),
    );
    if (report.unchecked.length > 0) {
      print.line();
      print.line(print.colours.bold("Not checked"));
      for (const { what, why } of report.unchecked) print.line(visible(`  ${what}: ${why}`));
    }
    print.line();
    print.line(clean ? print.colours.green("No defect was found.") : print.colours.red(counted(defects.length)));
  }
  if (!clean) throw new UnsoundCardError(counted(defects.length));
}

const counted = (defects: number): string =>
  defects === 1 ? "The card has 1 defect." : `The card has ${defects} defects.`;

function tellGroup(print: Printer, heading: string, findings: readonly Finding[]): void {
  if (findings.length === 0) return;
  print.line();
  print.line(print.colours.bold(heading));
  for (const { where, finding, section, consequence, remedy, name } of findings) {
    print.line(visible(`  ${where}: ${finding}`));
    for (const line of [consequence, remedy, `${section} (${name})`])
      print.line(print.colours.dim(`    ${visible(line)}`));
  }
}
