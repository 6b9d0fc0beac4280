import { type KeyObject, randomBytes } from "node:crypto";
import { encodeTlv } from "../../apdu/index.ts";
import { concat, DataError, utf8 } from "../../bytes/index.ts";
import { REFERENCE_LENGTH, ReferenceData } from "../card.ts";
import { VirtualFileCard } from "../iso7816/card.ts";
import { ISO7816_DEVIATION_NAMES, type Iso7816Deviation } from "../iso7816/deviations.ts";
import {
  type AccessRules,
  type CardPin,
  type DedicatedFile,
  type IsoContents,
  MASTER_FILE,
  READ_ONLY,
} from "../iso7816/model.ts";
import { encodeAccess } from "../iso7816/myeid.ts";
import { unlockKey } from "../iso7816/unlock-key.ts";
import { describeKey, generateKey, KEY_TYPES, parsePrivateKey } from "../keys.ts";
import { AID, APPLICATION_PATH, directory, FILE, MANAGED, MANUFACTURER, PIN, transparent } from "./entry.ts";
import { makeObjects, tokenInfo } from "./objects.ts";
import { KEY_PLANS, type KeyPlan, type Pkcs15KeyName, type PlannedKey } from "./plan.ts";

/** The contents of a new card; everything has a default. */
export interface Pkcs15CardOptions {
  /** 4 to 8 characters, for the authentication keys; default: "123456". */
  readonly pin?: string;
  /** 6 to 8 characters, for the signature keys; default: "654321". */
  readonly signaturePin?: string;
  /** 8 characters, unblocks the PIN; default: "12345678". A card with an unlock key has none. */
  readonly puk?: string;
  /**
   * A Triple-DES key, 24 bytes, that unblocks the PIN by challenge and response in place of the PUK: the response is the challenge encrypted
   * with it. After three wrong responses it is blocked. No make of card that the driver knows does this; default: none.
   */
  readonly unlockKey?: Uint8Array;
  /** 8 characters, unblocks the signature PIN; default: "87654321". */
  readonly signaturePuk?: string;
  /** Tries of each PIN and PUK, 1 to 15; default: 3. */
  readonly tries?: number;
  /**
   * Keys in PEM or as key objects; default: new keys, RSA-2048 and P-256 for authentication, RSA-3072 and P-384 for
   * signature, and no other kinds.
   */
  readonly keys?: Readonly<Partial<Record<Pkcs15KeyName, string | KeyObject | undefined>>>;
  /** The cardholder's name; default: "Test Cardholder". */
  readonly name?: string;
  /** The token's label; default: "Virtual eID". */
  readonly label?: string;
  /** Serial number, 8 bytes; default: random. */
  readonly serial?: Uint8Array;
  /** Supports extended-length commands; default: false. */
  readonly extended?: boolean;
  /** Deviations from the imitated card; default: none. */
  readonly deviations?: readonly Iso7816Deviation[];
}

/** Room for a longer label. */
const TOKEN_INFO_SIZE = 256;

/** The PIN allows creating files in the application. */
const APPLICATION_RULES: AccessRules = { ...MANAGED, use: PIN.AUTHENTICATION, delete: "never" };

/** The contents of a new card. Errors as VirtualPkcs15Card.create. */
async function personalise(options: Pkcs15CardOptions): Promise<IsoContents> {
  const serial = options.serial ?? randomBytes(8);
  if (serial.length !== 8) throw new DataError(`PKCS #15 card: a serial number of ${serial.length} bytes instead of 8`);
  const { deviations = [] } = options;
  const unknown = deviations.find((name) => !ISO7816_DEVIATION_NAMES.includes(name));
  if (unknown !== undefined) throw new DataError(`PKCS #15 card: no deviation "${unknown}"`);
  const shown = deviations.includes("long-serial-number") ? concat(new Uint8Array(8).fill(0x10), serial) : serial;
  const pins = makePins(options);
  const keys = await Promise.all(KEY_PLANS.map((plan) => makeKey(plan, options)));
  const label = options.label ?? "Virtual eID";
  const application: DedicatedFile = {
    kind: "df",
    id: FILE.APPLICATION,
    name: AID,
    security: encodeAccess(APPLICATION_RULES),
    files: [
      transparent(
        FILE.TOKEN_INFO,
        directory(
          [tokenInfo({ serial: shown, manufacturer: MANUFACTURER, label, lastUpdate: new Date() })],
          TOKEN_INFO_SIZE,
        ),
      ),
      ...(await makeObjects(keys, options.name ?? "Test Cardholder", deviations, options.unlockKey !== undefined)),
    ],
  };
  const dir = encodeTlv(0x61, encodeTlv(0x4f, AID), encodeTlv(0x50, utf8(label)), encodeTlv(0x51, APPLICATION_PATH));
  const masterFile: DedicatedFile = {
    kind: "df",
    id: MASTER_FILE,
    security: encodeAccess({ ...READ_ONLY, use: "never" }),
    files: [transparent(FILE.DIR, directory([dir], 128), READ_ONLY), application],
  };
  const traits = { make: "myeid", extended: options.extended ?? false, serial: serial.slice(), deviations } as const;
  const unlocking = options.unlockKey && { unlockKey: unlockKey(options.unlockKey, PIN.AUTHENTICATION) };
  return { traits, masterFile, pins, keys: new Map(), changes: 0, ...unlocking };
}

function makePins(options: Pkcs15CardOptions): Map<number, CardPin> {
  const tries = options.tries ?? (options.deviations?.includes("five-pin-tries") ? 5 : 3);
  if (!Number.isInteger(tries) || tries < 1 || tries > 15)
    throw new DataError(`PKCS #15 card: ${tries} tries; it has 1 to 15`);
  const pin = (text: string, what: string, minLength: number, puk?: number): CardPin => ({
    data: new ReferenceData(padded(text, what, minLength), tries),
    minLength,
    ...(puk !== undefined && { puk }),
  });
  return new Map([
    [
      PIN.AUTHENTICATION,
      pin(options.pin ?? "123456", "PIN", 4, options.unlockKey ? undefined : PIN.AUTHENTICATION_PUK),
    ],
    [PIN.SIGNATURE, pin(options.signaturePin ?? "654321", "signature PIN", 6, PIN.SIGNATURE_PUK)],
    [PIN.AUTHENTICATION_PUK, pin(options.puk ?? "12345678", "PUK", REFERENCE_LENGTH)],
    [PIN.SIGNATURE_PUK, pin(options.signaturePuk ?? "87654321", "signature PUK", REFERENCE_LENGTH)],
  ]);
}

function padded(text: string, what: string, minLength: number): Uint8Array {
  if (!/^\d*$/u.test(text) || text.length < minLength || text.length > REFERENCE_LENGTH) {
    throw new DataError(`PKCS #15 card: a ${what} is ${minLength} to ${REFERENCE_LENGTH} digits`);
  }
  return concat(utf8(text), new Uint8Array(REFERENCE_LENGTH - text.length).fill(0xff));
}

/** The given key, or a new one. */
async function makeKey(plan: KeyPlan, { keys }: Pkcs15CardOptions): Promise<PlannedKey> {
  const { name, kind } = plan;
  const given = keys?.[name];
  const type = KEY_TYPES[kind];
  if (given === undefined) return { plan, privateKey: await generateKey(type), made: true };
  const privateKey = parsePrivateKey(given);
  if (describeKey(privateKey) !== type) throw new DataError(`PKCS #15 card: the key ${name} is not of type ${kind}`);
  return { plan, privateKey, made: false };
}

/**
 * An identity card in software: a PKCS #15 application with two PINs, a PUK for each, and keys, certificates and data
 * objects protected by them. Its commands are those of ISO/IEC 7816-4, -8 and -9 in the dialect of MyEID and OsEID,
 * which OpenSC supports, with raw and padded RSA of all sizes, ECDSA and ECDH.
 */
export class VirtualPkcs15Card extends VirtualFileCard {
  /**
   * Makes a card. Defaults: PIN 123456 with PUK 12345678, signature PIN 654321 with PUK 87654321. Generating keys takes
   * a while.
   * @throws {DataError} for a key, PIN or serial number that no card can hold.
   */
  static async create(options: Pkcs15CardOptions = {}): Promise<VirtualPkcs15Card> {
    return new VirtualPkcs15Card(await personalise(options));
  }
}
