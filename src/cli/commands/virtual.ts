import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { PluggedCard, SavableCard, VirtualCard } from "../../virtual/index.ts";
import { action, type CommandContext } from "../context.ts";
import {
  addCardOptions,
  type CardOptions,
  createCard,
  openVirtualCard,
  pinsInWords,
  readDeviations,
} from "../input/card-source.ts";
import { writeFailure } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { FileError, UsageError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";

interface CreateOptions extends CardOptions {
  readonly profile: keyof typeof KIND;
}

/** Kinds of cards; those after the first two are as their makers deliver them. */
const KIND = {
  piv: "PIV",
  pkcs15: "PKCS #15",
  myeid: "blank MyEID",
  "iso-applet": "blank IsoApplet",
  "smartcard-hsm": "blank SmartCard-HSM",
} as const;

function addVirtualCreate(virtual: Command, environment: Environment): void {
  const command = addCardOptions(
    virtual
      .command("create")
      .summary("make a virtual card and keep it in a file")
      .description(
        "Make a virtual PIV card with new keys and certificates, PIN 123456, PUK 12345678 and the well-known management " +
          "key, and keep it in a new file. The file holds its keys unencrypted. With --profile pkcs15 it is a PKCS #15 card, which " +
          "also has a signature PIN, 654321. The other profiles are cards as their makers deliver them, without PINs and keys, until they " +
          "are initialised.",
      )
      .argument("<file>", "the new file")
      .addOption(new Option("--profile <profile>", "the kind of card").choices(Object.keys(KIND)).default("piv")),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki virtual create card.json", "a card with the usual keys"],
      ["cryptoki --virtual card.json tokens", "use it"],
      ["cryptoki virtual create card.json --key 9a=p-256 --key 9d=none", "choose its keys"],
      [
        "cryptoki virtual create card.json --yubico --deviation no-certificates",
        "a YubiKey with keys and without certificates",
      ],
      ["cryptoki virtual create card.json --yubico --empty", "a new YubiKey, for card setup"],
    ),
  );
  action<CreateOptions, [string]>(command, environment, async ({ print, options: { force } }, options, file) => {
    const { saveCard } = await import("../../virtual/index.ts");
    const { existsSync } = await import("node:fs");
    if (!force && existsSync(file))
      throw new FileError(`${file} exists already; a card in it would be lost; add --force to write over it`);
    const { profile } = options;
    const { card, pins } = await createByProfile(options);
    try {
      await saveCard(card, file);
    } catch (cause) {
      throw writeFailure(file, cause);
    }
    const use = `cryptoki --virtual ${file} tokens`;
    print.done(`A new ${KIND[profile]} card is in ${file}. ${pins}. Use it with: ${use}`, { file, profile });
  });
}

interface NewCard {
  readonly card: SavableCard;
  /** The PINs of the new card, as a sentence. */
  readonly pins: string;
}

async function createByProfile(options: CreateOptions): Promise<NewCard> {
  const { profile, ...rest } = options;
  if (profile === "piv") return createPivCard(rest);
  if (profile === "pkcs15") return createPkcs15Card(rest);
  if (Object.keys(rest).length > 0) throw new UsageError(`--profile ${profile} takes no other options`);
  const { createBlankCard, VirtualSmartCardHsm } = await import("../../virtual/index.ts");
  const card = profile === "smartcard-hsm" ? await VirtualSmartCardHsm.create() : createBlankCard(profile);
  return { card, pins: "It has no PINs yet" };
}

async function createPivCard(options: CardOptions): Promise<NewCard> {
  const card = await createCard(options);
  return { card, pins: `Its ${pinsInWords(card, options)}` };
}

/** @throws {UsageError} if an option is only for PIV cards. */
async function createPkcs15Card(options: CardOptions): Promise<NewCard> {
  const { name, extended, key, yubico, empty, icam, deviation, ...pins } = options;
  const { VirtualPkcs15Card, ISO7816_DEVIATIONS } = await import("../../virtual/index.ts");
  const deviations = readDeviations(deviation ?? [], ISO7816_DEVIATIONS);
  if (key || yubico || empty || icam !== undefined) {
    throw new UsageError("--key, --yubico, --empty and --icam are for PIV cards");
  }
  if (pins.pin !== undefined || pins.globalPin !== undefined) {
    throw new UsageError("--pin and --global-pin are for PIV cards");
  }
  const traits = { deviations, ...(name !== undefined && { name }), ...(extended && { extended }) };
  return { card: await VirtualPkcs15Card.create(traits), pins: "Its PINs are 123456, and 654321 for signatures" };
}

function addVirtualDeviations(virtual: Command, environment: Environment): void {
  const command = virtual
    .command("deviations")
    .summary("list the ways in which virtual cards can differ from the standard")
    .description(
      "List the ways in which real cards differ from the standard, or from each other where it leaves a choice. " +
        "`virtual create --deviation` makes a card with one of them.",
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki virtual deviations", "the list"],
        ["cryptoki virtual create card.json --deviation no-key-history", "a card with one of them"],
      ),
    );
  action(command, environment, async ({ print }) => {
    const { PIV_DEVIATIONS, ISO7816_DEVIATIONS } = await import("../../virtual/index.ts");
    const deviations = [...rows("piv", PIV_DEVIATIONS), ...rows("pkcs15", ISO7816_DEVIATIONS)];
    if (print.json) print.document(deviations);
    else {
      print.table(
        ["CARD", "NAME", "WHAT THE CARD DOES"],
        deviations.map(({ profile, name, meaning }) => [profile, name, meaning]),
      );
    }
  });
}

interface Row {
  readonly profile: "piv" | "pkcs15";
  readonly name: string;
  readonly meaning: string;
}

const rows = (profile: Row["profile"], table: Readonly<Record<string, string>>): Row[] =>
  Object.entries(table).map(([name, meaning]) => ({ profile, name, meaning }));

/** The virtual reader's address, and the saved card's file, if any. */
interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly file?: string;
}

/** Makes the card if no saved one is named. */
interface DemoCard<Options> {
  /** A description of the card, for the message. */
  readonly is: string;
  readonly make: (options: Options) => Promise<VirtualCard>;
}

/** Milliseconds in which a reader notices a new card: vpcd asks for its answer to reset several times a second. */
const NOTICE = 3000;

/** A card that knows whether a reader has used it. vpcd accepts a second card, but waits until the first is removed. */
class WatchedCard implements VirtualCard {
  readonly #card: VirtualCard;
  isSeen = false;

  constructor(card: VirtualCard) {
    this.#card = card;
  }

  get atr(): Uint8Array {
    this.isSeen = true;
    return this.#card.atr;
  }

  reset(): void {
    this.#card.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#card.transmit(command);
  }
}

/** vpcd's first slot. */
const PORT = 35_963;

/** Adds the options of {@link ServeOptions} and the action to a command. */
function addServing<Options extends ServeOptions>(
  command: Command,
  environment: Environment,
  newCard: DemoCard<Options>,
): void {
  command
    .option("--host <host>", "the host on which vpcd listens", "127.0.0.1")
    .option("--port <port>", "vpcd's port; the next virtual reader uses the next port", parsePort, PORT)
    .option("--file <file>", "a saved card; changes are written to the file");
  action<Options>(
    command,
    environment,
    (context, options) => serve(context, options, newCard),
    () => true,
  );
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("--port takes a number from 1 to 65535");
  return port;
}

/** A saved card is as it was made. @throws {UsageError} for an option that describes a new one. */
function refuseTraits(options: object): void {
  const given = Object.keys(options).find((name) => !["host", "port", "file"].includes(name));
  if (given === undefined) return;
  const option = `--${given.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new UsageError(`--file names a saved card, which is as it was made; leave out ${option}`);
}

async function serve<Options extends ServeOptions>(
  context: CommandContext,
  options: Options,
  newCard: DemoCard<Options>,
): Promise<void> {
  const { plugIntoVpcd } = await import("../../virtual/index.ts");
  const { print, signal } = context;
  const { host, port, file } = options;
  if (file !== undefined) refuseTraits(options);
  const card =
    file === undefined
      ? await newCard.make(options)
      : await openVirtualCard(file, (message) => {
          context.warn(message);
        });
  const watched = new WatchedCard(card);
  const plugged: PluggedCard = context.owns(await plugIntoVpcd(watched, { host, port, signal }));
  if (print.json) print.documentLine({ event: "plugged", host, port, file: file ?? null });
  else {
    const which = file === undefined ? newCard.is : `The card from ${file}`;
    print.line(`${which} is in the virtual reader at ${host}:${port}. Press Ctrl-C to remove it.`);
  }
  const ended = new AbortController();
  void sleep(NOTICE, undefined, { signal: ended.signal }).then(
    () => {
      if (watched.isSeen) return;
      if (print.json) {
        print.documentLine({ event: "unseen", host, port, file: file ?? null });
        return;
      }
      const what =
        "does not use the card: perhaps it holds another one (--port chooses another reader), or pcscd has stopped";
      context.remark.line(`The virtual reader at ${host}:${port} ${what}.`);
    },
    () => undefined,
  );
  await plugged.removed.finally(() => {
    ended.abort();
  });
  if (print.json) print.documentLine({ event: "removed" });
  else print.line("The card has been removed.");
}

function addVirtualPiv(virtual: Command, environment: Environment): void {
  const command = virtual
    .command("piv")
    .summary("put a virtual PIV card into a real pcscd, until interrupted")
    .description(
      "Put a virtual PIV card into the virtual reader of a real pcscd (Debian package vsmartcard-vpcd), where every " +
        "program finds it, until interrupted. Without --file it is a new card with PIN 123456.",
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki virtual piv", "a new card, until Ctrl-C"],
        ["cryptoki virtual piv --file card.json", "a card from: cryptoki virtual create card.json"],
        ["pkcs11-tool --module opensc-pkcs11.so -O", "in another terminal: other programs see it"],
      ),
    );
  addServing<ServeOptions & CardOptions>(command, environment, { is: "A new PIV card (PIN 123456)", make: createCard });
  addCardOptions(command);
}

interface Pkcs15Options extends ServeOptions {
  readonly name?: string;
  readonly extended?: true;
}

function addVirtualPkcs15(virtual: Command, environment: Environment): void {
  const command = virtual
    .command("pkcs15")
    .summary("put a virtual PKCS #15 card with two PINs into a real pcscd, until interrupted")
    .description(
      "Put a virtual PKCS #15 card into the virtual reader of a real pcscd (Debian package vsmartcard-vpcd), where every " +
        "program finds it, until interrupted. Without --file it is a new card with PIN 123456 (PUK 12345678) and signature PIN " +
        "654321 (PUK 87654321).",
    )
    .option("--name <name>", "the holder's name")
    .option("--extended", "the card takes extended-length APDUs")
    .addHelpText(
      "after",
      examples(
        ["cryptoki virtual pkcs15", "a new card, until Ctrl-C"],
        ["pkcs15-tool --dump", "in another terminal: other programs see it"],
      ),
    );
  addServing<Pkcs15Options>(command, environment, {
    is: "A new PKCS #15 card (PIN 123456, signature PIN 654321)",
    async make({ name, extended }) {
      const { VirtualPkcs15Card } = await import("../../virtual/index.ts");
      return VirtualPkcs15Card.create({ ...(name !== undefined && { name }), ...(extended && { extended }) });
    },
  });
}

export function addVirtual(program: Command, environment: Environment): void {
  const virtual = program
    .command("virtual")
    .summary("make virtual cards, and put them into pcscd")
    .description("Software cards for experiments and tests. Their keys are not protected.");
  addVirtualCreate(virtual, environment);
  addVirtualDeviations(virtual, environment);
  addVirtualPiv(virtual, environment);
  addVirtualPkcs15(virtual, environment);
}
