import type { KeyObject } from "node:crypto";
import { DataError, fromHex, toHex } from "../../bytes/index.ts";
import { ReferenceData } from "../card.ts";
import { JsonFields } from "../json.ts";
import { describeKey, FILE_KEY_TYPES, parsePrivateKey } from "../keys.ts";
import { ISO7816_DEVIATION_NAMES } from "./deviations.ts";
import { ISO_APPLET, ISO_APPLET_1 } from "./iso-applet.ts";
import {
  type CardFile,
  type CardPin,
  type DedicatedFile,
  type IsoContents,
  type IsoTraits,
  type KeyFile,
  type Make,
  type MakeName,
  MASTER_FILE,
  MAX_REFERENCE,
} from "./model.ts";
import { MYEID } from "./myeid.ts";
import { unlockKey } from "./unlock-key.ts";

export const MAKES: Readonly<Record<MakeName, Make>> = {
  myeid: MYEID,
  "iso-applet": ISO_APPLET,
  "iso-applet-1": ISO_APPLET_1,
};
const MAKE_NAMES = Object.keys(MAKES) as MakeName[];

/** The first field of an image, which identifies the format. */
export const FORMAT = "virtual-pkcs15-card";
const VERSION = 1;
const WHAT = "virtual PKCS #15 card";
/** Directories in directories. */
const MAX_DEPTH = 8;

/** Everything on a card as JSON text, keys and PINs unencrypted. */
export function encodeImage(contents: IsoContents): string {
  const { traits, masterFile, pins, keys, changes, inCreation = false, unlockKey: unlocking } = contents;
  const image = {
    format: FORMAT,
    version: VERSION,
    traits: { make: traits.make, extended: traits.extended, serial: toHex(traits.serial) },
    ...(traits.deviations && traits.deviations.length > 0 && { deviations: traits.deviations }),
    changes,
    ...(inCreation && { lifeCycle: "creation" }),
    ...(unlocking && {
      unlockKey: { value: toHex(unlocking.key), tries: unlocking.tries, pin: unlocking.pin },
    }),
    pins: Object.fromEntries([...pins].map(([reference, pin]) => [String(reference), encodePin(pin)])),
    keys: Object.fromEntries([...keys].map(([number, key]) => [String(number), encodeKey(key)])),
    masterFile: encodeFile(masterFile),
  };
  return `${JSON.stringify(image, undefined, 2)}\n`;
}

/**
 * Parses text of {@link encodeImage}.
 * @throws {DataError} that names the field, for any other text. The message repeats no value.
 */
export function decodeImage(text: string): IsoContents {
  const image = JsonFields.parse(text, WHAT);
  image.oneOf("format", [FORMAT]);
  image.integer("version", VERSION, VERSION);
  const deviations = image.optionalList("deviations", ISO7816_DEVIATION_NAMES);
  const traits = { ...decodeTraits(image.object("traits")), ...(deviations.length > 0 && { deviations }) };
  const changes = image.integer("changes", 0, Number.MAX_SAFE_INTEGER);
  const inCreation = image.oneOf("lifeCycle", ["activated", "creation"], "activated") === "creation";
  const pins = decodePins(image.object("pins"), MAKES[traits.make].pinLength);
  const keys = decodeKeys(image.object("keys"));
  const unlocking = decodeUnlockKey(image);
  const masterFile = decodeFile(image.object("masterFile"), MASTER_FILE, 0);
  image.end();
  if (masterFile.kind !== "df") throw new DataError(`${WHAT}.masterFile: not a directory`);
  return { traits, changes, pins, keys, masterFile, ...(inCreation && { inCreation }), ...unlocking };
}

function decodeTraits(fields: JsonFields): IsoTraits {
  const make = fields.oneOf("make", MAKE_NAMES);
  const traits = { make, extended: fields.boolean("extended"), serial: fromHex(fields.string("serial")) };
  fields.end();
  if (traits.serial.length !== 8) throw new DataError(`${WHAT}: a serial number of ${traits.serial.length} bytes`);
  return traits;
}

function encodePin({ data, minLength, puk }: CardPin): object {
  return { value: toHex(data.value), tries: data.tries, maxTries: data.maxTries, minLength, puk: puk ?? 0 };
}

function decodePins(fields: JsonFields, length: number): Map<number, CardPin> {
  const pins = new Map<number, CardPin>();
  for (const name of fields.names()) {
    const pin = fields.object(name);
    const reference = Number(name);
    if (!/^\d{1,2}$/u.test(name) || reference < 1 || reference > MAX_REFERENCE) {
      throw new DataError(`${WHAT}.pins: 1 to ${MAX_REFERENCE}`);
    }
    const value = fromHex(pin.string("value"));
    if (value.length !== length) throw new DataError(`${WHAT}: a PIN is ${length} bytes`);
    const maxTries = pin.integer("maxTries", 1, 15);
    const tries = pin.integer("tries", 0, maxTries);
    const minLength = pin.integer("minLength", 1, length);
    const puk = pin.integer("puk", 0, MAX_REFERENCE);
    pin.end();
    pins.set(reference, { data: new ReferenceData(value, maxTries, tries), minLength, ...(puk > 0 && { puk }) });
  }
  for (const { puk } of pins.values()) {
    if (puk !== undefined && !pins.has(puk)) throw new DataError(`${WHAT}.pins: no PUK ${puk}`);
  }
  return pins;
}

function decodeUnlockKey(image: JsonFields): Pick<IsoContents, "unlockKey"> {
  const fields = image.optionalObject("unlockKey");
  if (!fields) return {};
  const decoded = unlockKey(
    fromHex(fields.string("value")),
    fields.integer("pin", 1, 14),
    fields.integer("tries", 0, 3),
  );
  fields.end();
  return { unlockKey: decoded };
}

const encodeKey = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

function decodeKeys(fields: JsonFields): Map<number, KeyObject> {
  const keys = new Map<number, KeyObject>();
  for (const name of fields.names()) {
    if (!/^\d{1,3}$/u.test(name)) throw new DataError(`${WHAT}.keys: a key's number has one to three digits`);
    keys.set(Number(name), parsePrivateKey(fields.string(name)));
  }
  fields.end();
  return keys;
}

function encodeFile(file: CardFile): object {
  const head = { kind: file.kind, security: toHex(file.security) };
  const short = "shortId" in file ? { shortId: file.shortId } : {};
  switch (file.kind) {
    case "df": {
      const files = Object.fromEntries(
        file.files.map((child) => [child.id.toString(16).padStart(4, "0"), encodeFile(child)]),
      );
      return { ...head, name: toHex(file.name ?? new Uint8Array()), files };
    }
    case "transparent":
      return { ...head, shortId: 0, ...short, contents: toHex(file.contents) };
    case "records": {
      const records = Object.fromEntries(file.records.map((record, index) => [String(index + 1), toHex(record)]));
      return { ...head, shortId: 0, ...short, records };
    }
    case "key": {
      const privateKey = file.privateKey ? encodeKey(file.privateKey) : "";
      return { ...head, type: file.type, bits: file.bits, consent: file.consent, privateKey };
    }
  }
}

function decodeFile(fields: JsonFields, id: number, depth: number): CardFile {
  if (depth > MAX_DEPTH) throw new DataError(`${WHAT}: directories more than ${MAX_DEPTH} deep`);
  const kind = fields.oneOf("kind", ["df", "transparent", "records", "key"]);
  const head = { id, security: fromHex(fields.string("security")) };
  const decode = (): CardFile => {
    switch (kind) {
      case "df":
        return { kind, ...head, ...decodeDirectory(fields, depth) };
      case "transparent":
        return { kind, ...head, ...decodeShortId(fields), contents: fromHex(fields.string("contents")) };
      case "records":
        return { kind, ...head, ...decodeShortId(fields), records: decodeRecords(fields.object("records")) };
      case "key":
        return { kind, ...head, ...decodeKey(fields) };
    }
  };
  const file = decode();
  fields.end();
  return file;
}

function decodeDirectory(fields: JsonFields, depth: number): Pick<DedicatedFile, "name" | "files"> {
  const name = fromHex(fields.string("name"));
  const children = fields.object("files");
  const files = children.names().map((child) => {
    if (!/^[0-9a-f]{4}$/u.test(child)) throw new DataError(`${WHAT}: a file identifier is four hexadecimal digits`);
    return decodeFile(children.object(child), Number.parseInt(child, 16), depth + 1);
  });
  return { files, ...(name.length > 0 && { name }) };
}

function decodeShortId(fields: JsonFields): { shortId?: number } {
  const shortId = fields.integer("shortId", 0, 30);
  return shortId === 0 ? {} : { shortId };
}

function decodeRecords(fields: JsonFields): Uint8Array[] {
  return fields.names().map((name) => fromHex(fields.string(name)));
}

function decodeKey(fields: JsonFields): Pick<KeyFile, "type" | "bits" | "consent" | "privateKey"> {
  const type = fields.oneOf("type", ["rsa", "ec"]);
  const bits = fields.integer("bits", 256, 4096);
  const consent = fields.boolean("consent");
  const pem = fields.string("privateKey");
  if (pem === "") return { type, bits, consent };
  const privateKey = parsePrivateKey(pem, FILE_KEY_TYPES);
  const info = describeKey(privateKey, FILE_KEY_TYPES);
  if (info.type !== type || info.bits !== bits) throw new DataError(`${WHAT}: a key that is not of its file's type`);
  return { type, bits, consent, privateKey };
}
