import type { Command } from "commander";
import { DataError } from "../bytes/index.ts";
import type { PinPolicy, PivCardOptions, PivDeviation, KeyTypeName, VirtualPivCard } from "../virtual/index.ts";
import { FileError, UsageError } from "./failure.ts";
import { readFailure, systemCode } from "./files.ts";

/** What a new virtual card is to be like, as the command line says it. */
export interface CardOptions {
  readonly key?: readonly string[];
  readonly name?: string;
  readonly extended?: true;
  readonly yubico?: true;
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

/** PINs of a new card. A test card: they are no secrets. */
const DEFAULT_PINS = { application: "123456", global: "12345678" } as const;

/** The PINs of a new card in words, the one that is asked for first in front. */
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

/** Adds the options that say what a new card is to be like. */
export function addCardOptions(command: Command): Command {
  return command
    .option(
      "--key <slot=type>",
      `a key of the new card: 9a, 9c, 9d, 9e or 82 to 95 = ${KEY_TYPES.join(", ")} or none; :never, :once or :always after ` +
        "the type says when it wants the PIN; may be repeated",
      repeated,
    )
    .option("--name <name>", "the holder's name")
    .option("--extended", "the card takes extended-length APDUs")
    .option("--yubico", "the card answers the commands that Yubico added to PIV")
    .option("--icam <folder>", "take keys, certificates and data from a folder of the ICAM test cards")
    .option("--pin <digits>", `the PIV application's PIN; default: ${DEFAULT_PINS.application}`)
    .option("--global-pin <digits>", `the card's global PIN, where it has one; default: ${DEFAULT_PINS.global}`)
    .option(
      "--deviation <name>",
      'a way in which the card differs from the standard, as "cryptoki virtual deviations" lists them; may be repeated',
      repeated,
    );
}

/** Collects the values of an option that may be repeated. */
const repeated = (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text];

/**
 * The deviations that `names` spell.
 * @param table Those that there are.
 * @throws {UsageError} for any other.
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
  return new UsageError(`--deviation ${name}: no deviation of this kind of card; there are`, { candidates });
}

/**
 * Makes a card as `options` say: PIN 123456, PUK 12345678, the well-known management key.
 * @throws {UsageError} for options that do not fit; {@link FileError} for a folder that is none of a card.
 */
export async function createCard(options: CardOptions): Promise<VirtualPivCard> {
  const { VirtualPivCard, personaliseFromFolder, PIV_DEVIATIONS } = await import("../virtual/index.ts");
  const { name, extended, yubico, icam } = options;
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
    return orUsageError(VirtualPivCard.create({ ...traits, keys }));
  }
  if (options.key) throw new UsageError("--key and --icam do not go together: the folder says which keys there are");
  try {
    return await personaliseFromFolder(icam, traits);
  } catch (cause) {
    if (systemCode(cause) !== undefined) throw readFailure(icam, cause);
    throw new FileError(`${icam} cannot be made into a card`, { cause });
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
