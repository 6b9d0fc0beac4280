import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import path from "node:path";
import type { Command } from "commander";
import { DataError } from "../../bytes/index.ts";
import type { CardProfile } from "../../card/index.ts";
import { createProfiles, directoryStore, profiles } from "../../index.ts";
import { MemoryReaders, openSystemPcsc, type Pcsc, type PcscTransport } from "../../pcsc/index.ts";
import type {
  KeyTypeName,
  PinPolicy,
  PivCardOptions,
  PivDeviation,
  VirtualCard,
  VirtualPivCard,
} from "../../virtual/index.ts";
import { FileError, NotFoundError, UsageError } from "../output/failures.ts";
import { type Environment, openOutput } from "../output/printer.ts";
import { FOR, readFailure, systemCode, writeFailure } from "./files.ts";
import { DEFAULT_CARD, DEFAULT_PATIENCE, type GlobalOptions } from "./options.ts";

/** Whether --virtual names a new card, not a file. */
export const isNewCard = (name: string): boolean => name === "piv" || name === "pkcs15";

/**
 * The card that --virtual names. "piv": a new one with new keys, PIN 123456 and PUK 12345678; "pkcs15": likewise, with
 * a signature PIN too, 654321 with PUK 87654321; anything else: the file of a saved card, which is updated when the
 * card changes.
 * @param warn Says that the file cannot be written; the card refuses the change.
 */
export async function openVirtualCard(name: string, warn: (message: string) => void): Promise<VirtualCard> {
  const virtual = await import("../../virtual/index.ts");
  if (name === "piv") return virtual.VirtualPivCard.create();
  if (name === "pkcs15") return virtual.VirtualPkcs15Card.create();
  try {
    return await virtual.loadCard(name, (error) => {
      warn(`the card cannot keep a change: ${writeFailure(name, error).message}`);
    });
  } catch (cause) {
    if (cause instanceof DataError) {
      const message = `${name} holds no virtual card; write --virtual=piv if this argument does not belong to --virtual`;
      throw new FileError(message, { cause });
    }
    if (systemCode(cause) === "ENOENT") {
      throw new NotFoundError(`no virtual card in ${name}; make one with: cryptoki virtual create ${name}`, { cause });
    }
    throw new FileError(`the virtual card ${name} cannot be read`, { cause });
  }
}

/** The reader with the card of --virtual. */
const VIRTUAL_READER = "Virtual Reader";

/** Card readers, and the way to them. */
export interface OpenedReaders {
  readonly pcsc: Pcsc;
  readonly transport: PcscTransport | "virtual";
}

/** Opens the card readers that the options name. */
export async function openPcsc(
  options: GlobalOptions,
  { env }: Environment,
  warn: (message: string) => void,
): Promise<OpenedReaders> {
  const { virtual, transport } = options;
  const patience = 1000 * (options.patience ?? DEFAULT_PATIENCE);
  if (virtual !== undefined) {
    const card = await openVirtualCard(virtual === true ? DEFAULT_CARD : virtual, warn);
    return { pcsc: withCard(card), transport: "virtual" };
  }
  const socket = env["PCSCLITE_CSOCK_NAME"];
  const wanted = transport === "auto" ? undefined : transport;
  return openSystemPcsc({ patience, transport: wanted, ...(socket && { socket }) });
}

/**
 * Every card profile: with --cache over the folder in which this user keeps copies of cards' public data, if the environment names one (XDG
 * Base Directory Specification).
 */
export function openProfiles({ cache }: GlobalOptions, { env }: Environment): readonly CardProfile[] {
  const { XDG_CACHE_HOME: caches, HOME: home = "" } = env;
  const folder = caches !== undefined && path.isAbsolute(caches) ? caches : path.join(home, ".cache");
  if (!cache || !path.isAbsolute(folder)) return profiles;
  return createProfiles({ store: directoryStore(path.join(folder, "cryptoki", "cards")) });
}

/** A reader of this process with a card in it. */
function withCard(card: VirtualCard): Pcsc {
  const readers = new MemoryReaders();
  readers.plug(VIRTUAL_READER);
  readers.insert(VIRTUAL_READER, card);
  return readers.client();
}

/** The properties of a new virtual card, from the command line. */
export interface CardOptions {
  readonly key?: readonly string[];
  readonly name?: string;
  readonly extended?: true;
  readonly yubico?: true;
  readonly empty?: true;
  readonly icam?: string;
  readonly pin?: string;
  readonly globalPin?: string;
  readonly deviation?: readonly string[];
}

const KEY_TYPES: readonly string[] = [
  "rsa-1024",
  "rsa-2048",
  "rsa-3072",
  "rsa-4096",
  "p-256",
  "p-384",
  "ed25519",
  "x25519",
] satisfies KeyTypeName[];

/** PINs of a new test card; they are not secret. */
const DEFAULT_PINS = { application: "123456", global: "12345678" } as const;

/** The PINs of a new card as text; the one that commands ask for comes first. */
export function pinsInWords(card: VirtualPivCard, options: CardOptions): string {
  const { pin = DEFAULT_PINS.application, globalPin = DEFAULT_PINS.global } = options;
  switch (card.pinUsage) {
    case "application":
      return `PIN is ${pin}`;
    case "application-then-global":
      return `PIN is ${pin}, its global PIN ${globalPin}`;
    case "global-then-application":
      return `PIN is the global one, ${globalPin}; that of the PIV application is ${pin}`;
  }
}

const isKeyType = (text: string): text is KeyTypeName => KEY_TYPES.includes(text);

/** Adds the options for the properties of a new card. */
export function addCardOptions(command: Command): Command {
  return command
    .option(
      "--key <slot=type>",
      `a key of the new card: 9a, 9c, 9d, 9e or 82 to 95 = ${KEY_TYPES.join(", ")} or none; :never, :once or :always after ` +
        "the type says when the key needs the PIN; may be repeated",
      repeated,
    )
    .option("--name <name>", "the cardholder's name")
    .option("--extended", "the card takes extended-length APDUs")
    .option("--yubico", "the card answers the commands that Yubico added to PIV")
    .option("--empty", "as its maker delivers it, without keys, certificates and data; with --yubico a new YubiKey")
    .option("--icam <folder>", "take keys, certificates and data from a folder of the ICAM test cards")
    .option("--pin <digits>", `the PIV application's PIN; default: ${DEFAULT_PINS.application}`)
    .option("--global-pin <digits>", `the card's global PIN, if it has one; default: ${DEFAULT_PINS.global}`)
    .option(
      "--deviation <name>",
      'a way in which the card differs from the standard; see "cryptoki virtual deviations"; may be repeated',
      repeated,
    );
}

/** Collects the values of an option that may be repeated. */
const repeated = (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text];

/**
 * Returns the deviations with these names.
 * @param table The known deviations.
 * @throws {UsageError} for an unknown name.
 */
export function readDeviations<Table extends Readonly<Record<string, string>>>(
  names: readonly string[],
  table: Table,
): readonly (keyof Table & string)[] {
  const isKnown = (name: string): name is keyof Table & string => Object.hasOwn(table, name);
  return names.map((text) => {
    if (isKnown(text)) return text;
    throw unknownDeviation(text, Object.keys(table));
  });
}

function unknownDeviation(name: string, candidates: readonly string[]): UsageError {
  return new UsageError(`--deviation ${name}: this kind of card has no such deviation; it has`, { candidates });
}

/**
 * Makes a card as `options` say: PIN 123456, PUK 12345678, the well-known management key.
 * @throws {UsageError} for options that do not fit together; {@link FileError} if the folder does not hold a card.
 */
export async function createCard(options: CardOptions): Promise<VirtualPivCard> {
  const { VirtualPivCard, personaliseFromFolder, PIV_DEVIATIONS } = await import("../../virtual/index.ts");
  const { name, extended, yubico, empty, icam } = options;
  const { pin = DEFAULT_PINS.application, globalPin = DEFAULT_PINS.global } = options;
  const deviations: readonly PivDeviation[] = readDeviations(options.deviation ?? [], PIV_DEVIATIONS);
  const traits = {
    ...(name !== undefined && { name }),
    ...(extended && { extended }),
    ...(yubico && { yubico }),
    pin,
    globalPin,
    deviations,
  };
  if (icam === undefined) {
    const keys = readKeys(options.key ?? []);
    return orUsageError(VirtualPivCard.create({ ...traits, keys, ...(empty && { empty }) }));
  }
  if (empty) throw new UsageError("--empty and --icam exclude each other: the folder determines what is on the card");
  if (options.key) throw new UsageError("--key and --icam exclude each other: the folder determines the keys");
  try {
    return await personaliseFromFolder(icam, traits);
  } catch (cause) {
    if (systemCode(cause) !== undefined) throw readFailure(icam, cause);
    throw new FileError(`${icam} does not hold a card`, { cause });
  }
}

function readKeys(texts: readonly string[]): NonNullable<PivCardOptions["keys"]> {
  return Object.fromEntries(
    texts.map((text) => {
      const [slot = "", key = ""] = text.toLowerCase().split("=");
      if (key === "none") return [slot, null];
      const [type = "", policy] = key.split(":");
      const pinPolicy = PIN_POLICIES.find((one) => one === policy);
      if (!isKeyType(type) || pinPolicy !== policy) {
        const types = `types: ${KEY_TYPES.join(", ")}, none`;
        throw new UsageError(
          `--key ${text}: write SLOT=TYPE, such as 9c=p-384, 9a=rsa-2048:always or 9d=none; ${types}`,
        );
      }
      return [slot, { privateKey: { type }, ...(pinPolicy && { pinPolicy }) }];
    }),
  );
}

const PIN_POLICIES: readonly PinPolicy[] = ["never", "once", "always"];

async function orUsageError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof DataError) throw new UsageError(cause.message, { cause });
    throw cause;
  }
}

/** A file for a recording. */
export interface RecordingFile extends AsyncDisposable {
  readonly sink: (line: string) => void;
}

/**
 * Opens the file for a recording and empties an old one; only its owner can read it, because it shows what is on a
 * card.
 * @throws {FileError} if it cannot be written; the signal's reason.
 */
export async function createRecording(path: string, signal: AbortSignal): Promise<RecordingFile> {
  let stream: Writable;
  try {
    stream = await openOutput(path, FOR.USER, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw writeFailure(path, cause);
  }
  const written = finished(stream);
  written.catch(() => undefined);
  return {
    sink: (line) => void stream.write(line),
    [Symbol.asyncDispose]: async (): Promise<void> => {
      stream.end();
      await written.catch((cause: unknown) => {
        throw writeFailure(path, cause);
      });
    },
  };
}
