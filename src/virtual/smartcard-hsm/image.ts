import type { KeyObject } from "node:crypto";
import { DataError, fromHex, toHex } from "../../bytes/index.ts";
import { ReferenceData } from "../card.ts";
import { JsonFields } from "../json.ts";
import { FILE_KEY_TYPES, parsePrivateKey } from "../keys.ts";
import { SHARE_LENGTH } from "./dkek.ts";
import type { HsmContents, HsmSecurity } from "./model.ts";

/** The first field of an image, which identifies the format. */
export const FORMAT = "virtual-smartcard-hsm";
const VERSION = 1;
const WHAT = "virtual SmartCard-HSM";

const encodeKey = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

/** Everything on a card as JSON text, keys and PINs unencrypted. */
export function encodeImage({ serial, deviceKey, files, keys, security }: HsmContents): string {
  const image = {
    format: FORMAT,
    version: VERSION,
    serial,
    deviceKey: encodeKey(deviceKey),
    files: Object.fromEntries([...files].map(([id, bytes]) => [id, toHex(bytes)])),
    keys: Object.fromEntries([...keys].map(([number, key]) => [String(number), encodeKey(key)])),
    ...(security && { security: encodeSecurity(security) }),
  };
  return `${JSON.stringify(image, undefined, 2)}\n`;
}

function encodeSecurity({ pin, code, allowsReset, dkek }: HsmSecurity): object {
  return {
    pin: encodePin(pin),
    code: encodePin(code),
    allowsReset,
    ...(dkek && { dkek: { shares: dkek.shares, outstanding: dkek.outstanding, value: toHex(dkek.value) } }),
  };
}

const encodePin = ({ value, tries, maxTries }: ReferenceData): object => ({ value: toHex(value), tries, maxTries });

/**
 * Parses text of {@link encodeImage}.
 * @throws {DataError} that names the field, for any other text. The message repeats no value.
 */
export function decodeImage(text: string): HsmContents {
  const image = JsonFields.parse(text, WHAT);
  image.oneOf("format", [FORMAT]);
  image.integer("version", VERSION, VERSION);
  const serial = image.string("serial");
  const deviceKey = parsePrivateKey(image.string("deviceKey"));
  const files = new Map<string, Uint8Array>();
  const listed = image.object("files");
  for (const id of listed.names()) {
    if (!/^[0-9a-f]{4}$/u.test(id)) throw new DataError(`${WHAT}.files: an identifier has four hexadecimal digits`);
    files.set(id, fromHex(listed.string(id)));
  }
  const keys = new Map<number, KeyObject>();
  const kept = image.object("keys");
  for (const name of kept.names()) {
    const number = Number(name);
    if (!/^\d{1,3}$/u.test(name) || number < 1 || number > 255) throw new DataError(`${WHAT}.keys: 1 to 255`);
    keys.set(number, parsePrivateKey(kept.string(name), FILE_KEY_TYPES));
  }
  const set = image.optionalObject("security");
  const security = set && decodeSecurity(set);
  image.end();
  return { serial, deviceKey, files, keys, security };
}

function decodeSecurity(fields: JsonFields): HsmSecurity {
  const pin = decodePin(fields.object("pin"));
  const code = decodePin(fields.object("code"));
  const allowsReset = fields.boolean("allowsReset");
  const wrapping = fields.optionalObject("dkek");
  const dkek = wrapping && {
    shares: wrapping.integer("shares", 0, 255),
    outstanding: wrapping.integer("outstanding", 0, 255),
    value: fromHex(wrapping.string("value")),
  };
  wrapping?.end();
  fields.end();
  if (dkek && dkek.value.length !== SHARE_LENGTH) throw new DataError(`${WHAT}.security.dkek: not 32 bytes`);
  return { pin, code, allowsReset, dkek };
}

function decodePin(fields: JsonFields): ReferenceData {
  const value = fromHex(fields.string("value"));
  const maxTries = fields.integer("maxTries", 1, 15);
  const tries = fields.integer("tries", 0, maxTries);
  fields.end();
  return new ReferenceData(value, maxTries, tries);
}
