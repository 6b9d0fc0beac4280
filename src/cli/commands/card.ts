import type { Command } from "commander";
import { toHex } from "../../bytes/index.ts";
import {
  type Card,
  CardError,
  type CardFinding,
  type CardObject,
  CardRecognition,
  type CardToken,
  type PinStatus,
} from "../../card/index.ts";
import { profiles } from "../../index.ts";
import { type CardDescription, describeFiles } from "../../pkcs15/index.ts";
import { action } from "../context.ts";
import { examples } from "../input/options.ts";
import { openCard } from "../input/token.ts";
import { NotFoundError } from "../output/failures.ts";
import { type Environment, type Printer, tellFindings, visible } from "../output/printer.ts";
import { addCardBackup, addCardRestore } from "./card-backup.ts";
import { addCardDoctor } from "./card-doctor.ts";
import { addCardSetup } from "./card-setup.ts";
import { addCardVerify } from "./card-verify.ts";

/** A card as `--json` prints it. */
interface Dump {
  readonly profile: string;
  readonly atr: string;
  readonly tokens: readonly DumpedToken[];
  readonly findings: readonly CardFinding[];
}

interface DumpedToken {
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly application: string;
  readonly pin: {
    readonly label: string;
    readonly minLength: number;
    readonly maxLength: number;
    readonly triesLeft: number | null;
  };
  readonly objects: readonly DumpedObject[];
}

interface DumpedObject {
  readonly class: CardObject["class"];
  readonly id: string;
  readonly label: string;
  readonly reference: string;
  readonly private: boolean;
  /** The reason why the value cannot be read, if there is one. */
  readonly problem?: string;
}

function addCardDump(card: Command, environment: Environment): void {
  const command = card
    .command("dump")
    .summary("show everything that can be read without a PIN, and what is malformed")
    .description(
      "Show all that can be read from a card without a PIN: its application, tokens, PINs and objects. Public values are read " +
        "and checked. Objects that are malformed, or refer to something missing, are listed at the end.",
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki card dump", "as text"],
        ["cryptoki card dump --json | jq .findings", "problems only, for a program"],
      ),
    );
  action(command, environment, async (context) => {
    const { print } = context;
    const opened = await openCard(context);
    const dump = await dumpCard(opened);
    if (!dump) throw new NotFoundError("no card that this program knows; see what it says with: cryptoki apdu explain");
    if (print.json) print.document(dump);
    else tellDump(print, dump);
  });
}

async function dumpCard(card: Card): Promise<Dump | undefined> {
  const application = await new CardRecognition(profiles).claim(card);
  if (!application) return undefined;
  const tokens: DumpedToken[] = [];
  for (const token of application.tokens) tokens.push(await dumpToken(token));
  return {
    profile: application.profile,
    atr: toHex(card.atr),
    tokens,
    findings: application.findings?.() ?? [],
  };
}

async function dumpToken(token: CardToken): Promise<DumpedToken> {
  const { label, manufacturer, model, serialNumber, application, pin } = await token.info();
  const status: PinStatus = await token.pinStatus("user");
  const objects: DumpedObject[] = [];
  for (const object of await token.objects()) {
    const dumped = await dumpObject(object);
    if (dumped) objects.push(dumped);
  }
  return {
    label,
    manufacturer,
    model,
    serialNumber,
    application,
    pin: { ...pin, triesLeft: status.triesLeft ?? null },
    objects,
  };
}

/** Undefined if the object is not on the card. */
async function dumpObject(object: CardObject): Promise<DumpedObject | undefined> {
  const { class: kind, id, label, reference } = object;
  const described = { class: kind, id: toHex(id), label, reference, private: object.private };
  try {
    if (!(await object.isPresent({ explicitlyRequested: true }))) return undefined;
    if (!object.private) await ("value" in object ? object.value() : object.publicKey());
    return described;
  } catch (error) {
    if (object.private && error instanceof CardError) return undefined;
    return { ...described, problem: error instanceof Error ? error.message : String(error) };
  }
}

function tellDump(print: Printer, { profile, atr, tokens, findings }: Dump): void {
  print.pairs([
    ["application", profile],
    ["answer to reset", atr.toUpperCase()],
  ]);
  for (const token of tokens) {
    print.line();
    print.line(print.colours.bold(visible(token.label)));
    print.pairs(
      [
        ["made by", token.manufacturer],
        ["model", token.model],
        ["serial number", token.serialNumber],
        ["follows", token.application],
        ["PIN", `${token.pin.label}, ${token.pin.minLength} to ${token.pin.maxLength}, ${tries(token)}`],
      ],
      "  ",
    );
    print.table(
      ["CLASS", "ID", "LABEL", "REFERENCE", ""],
      token.objects.map((one) => [
        one.class,
        one.id,
        one.label,
        one.reference,
        one.problem ?? (one.private ? "private" : ""),
      ]),
    );
  }
  tellFindings(print, findings);
}

const tries = ({ pin }: DumpedToken): string =>
  pin.triesLeft === null ? "tries unknown" : `${pin.triesLeft} tries left`;

function addCardFiles(card: Command, environment: Environment): void {
  const command = card
    .command("files")
    .summary("the file system of a PKCS #15 card")
    .description(
      "List the files that a PKCS #15 card's directories name: their size, their contents, and who may read and write them, " +
        "as far as the card says. Access rules without an expanded form are shown as the card's own bytes. Changes nothing; " +
        "needs no PIN.",
    )
    .addHelpText("after", examples(["cryptoki card files", "every file that the directories name"]));
  action(command, environment, async (context) => {
    const { print } = context;
    const description = await describeFiles(await openCard(context));
    if (!description) throw new NotFoundError("the card has no PKCS #15 file system");
    if (print.json) print.document(description);
    else tellFiles(print, description);
  });
}

function tellFiles(print: Printer, { files, findings }: CardDescription): void {
  print.table(
    ["FILE", { heading: "SIZE", align: "right" }, "CONTENT", "ACCESS"],
    files.map(({ path, content, structure, size, access, problem }) => [
      indented(path),
      structure === "df" ? "DF" : (size?.toString() ?? ""),
      content,
      problem ?? access.join("; "),
    ]),
  );
  tellFindings(print, findings);
}

/** The last file identifier, indented by two spaces for each level. */
function indented(path: string): string {
  const ids = path.split("/");
  return `${"  ".repeat(ids.length - 1)}${ids.at(-1) ?? ""}`;
}

export function addCard(program: Command, environment: Environment): void {
  const card = program
    .command("card")
    .summary("set up, show and examine a card, and copy what can leave it")
    .description(
      "Put a card into service, show what is on it, check it against its standard, copy what can leave it and write it on another card.",
    );
  addCardSetup(card, environment);
  addCardVerify(card, environment);
  addCardDoctor(card, environment);
  addCardDump(card, environment);
  addCardFiles(card, environment);
  addCardBackup(card, environment);
  addCardRestore(card, environment);
}
