import { X509Certificate } from "node:crypto";
import { DataError, fromHex, toHex } from "../../bytes/index.ts";
import { JsonFields } from "../json.ts";
import {
  type AttestationKey,
  isStandardTag,
  MANAGEMENT_ALGORITHMS,
  type ManagementAlgorithm,
  type ManagementKey,
  MAX_OBJECT,
  type PivContents,
  type PivKey,
  type PivTraits,
} from "./model.ts";
import { PIV_DEVIATION_NAMES } from "./deviations.ts";
import { parsePrivateKey } from "../keys.ts";
import { checkedManagementKey, parseSlot } from "./personalise.ts";
import { REFERENCE_LENGTH, ReferenceData } from "../card.ts";
import { isWellFormedPin } from "./pin.ts";

/** The first field of an image, which identifies the format. */
export const FORMAT = "virtual-piv-card";
const VERSION = 1;
const WHAT = "virtual PIV card";
const POLICIES = ["never", "once", "always"] as const;
const TOUCH_POLICIES = ["never", "always", "cached"] as const;
const ORIGINS = ["generated", "imported"] as const;

/** Everything on a card as JSON text, keys and PINs unencrypted. */
export function encodeImage(contents: PivContents): string {
  const { traits, deviations, pin, globalPin, puk, managementKey, keys, attestationKey, objects } = contents;
  const image = {
    format: FORMAT,
    version: VERSION,
    traits,
    deviations: [...deviations],
    pin: encodeReference(pin),
    globalPin: encodeReference(globalPin),
    puk: encodeReference(puk),
    managementKey: { algorithm: managementKey.algorithm, value: toHex(managementKey.value) },
    keys: Object.fromEntries([...keys].map(([slot, key]) => [slot.toString(16), encodeKey(key)])),
    ...(attestationKey && { attestationKey: encodeAttestationKey(attestationKey) }),
    objects: Object.fromEntries([...objects].map(([tag, content]) => [tag.toString(16), toHex(content)])),
  };
  return `${JSON.stringify(image, undefined, 2)}\n`;
}

/**
 * Parses text of {@link encodeImage}.
 * @throws {DataError} that names the field, for any other text. The message repeats no value.
 */
export function decodeImage(text: string): PivContents {
  const image = JsonFields.parse(text, WHAT);
  image.oneOf("format", [FORMAT]);
  image.integer("version", VERSION, VERSION);
  const attestation = image.optionalObject("attestationKey");
  const contents: PivContents = {
    traits: decodeTraits(image.object("traits")),
    deviations: new Set(image.optionalList("deviations", PIV_DEVIATION_NAMES)),
    pin: decodeReference(image.object("pin"), true),
    globalPin: decodeReference(image.object("globalPin"), true),
    puk: decodeReference(image.object("puk"), false),
    managementKey: decodeManagementKey(image.object("managementKey")),
    keys: decodeKeys(image.object("keys")),
    ...(attestation && { attestationKey: decodeAttestationKey(attestation) }),
    objects: decodeObjects(image.object("objects")),
  };
  image.end();
  return contents;
}

function decodeTraits(fields: JsonFields): PivTraits {
  const traits = {
    extended: fields.boolean("extended"),
    defaultSelected: fields.boolean("defaultSelected"),
    yubico: fields.boolean("yubico"),
    serial: fields.integer("serial", 0, 0xffff_ffff),
  };
  fields.end();
  return traits;
}

function encodeReference(reference: ReferenceData): object {
  return { value: toHex(reference.value), tries: reference.tries, maxTries: reference.maxTries };
}

function decodeReference(fields: JsonFields, pin: boolean): ReferenceData {
  const value = fromHex(fields.string("value"));
  const maxTries = fields.integer("maxTries", 1, 15);
  const tries = fields.integer("tries", 0, maxTries);
  fields.end();
  if (pin && !isWellFormedPin(value)) throw new DataError(`${WHAT}: a PIN is 6 to 8 digits, padded with FF`);
  if (value.length !== REFERENCE_LENGTH) throw new DataError(`${WHAT}: a PUK is ${REFERENCE_LENGTH} bytes`);
  return new ReferenceData(value, maxTries, tries);
}

function decodeManagementKey(fields: JsonFields): ManagementKey {
  const algorithm = fields.oneOf("algorithm", Object.keys(MANAGEMENT_ALGORITHMS) as ManagementAlgorithm[]);
  const value = fromHex(fields.string("value"));
  fields.end();
  return checkedManagementKey({ algorithm, value });
}

function encodeKey({ privateKey, pinPolicy, touchPolicy, origin }: PivKey): object {
  return { pinPolicy, touchPolicy, origin, privateKey: privateKey.export({ format: "pem", type: "pkcs8" }) };
}

function decodeKeys(fields: JsonFields): Map<number, PivKey> {
  const keys = new Map<number, PivKey>();
  for (const name of fields.names()) {
    const key = fields.object(name);
    keys.set(parseSlot(name), {
      pinPolicy: key.oneOf("pinPolicy", POLICIES),
      touchPolicy: key.oneOf("touchPolicy", TOUCH_POLICIES, "never"),
      origin: key.oneOf("origin", ORIGINS),
      privateKey: parsePrivateKey(key.string("privateKey")),
    });
    key.end();
  }
  return keys;
}

function encodeAttestationKey({ privateKey, root }: AttestationKey): object {
  return {
    privateKey: privateKey.export({ format: "pem", type: "pkcs8" }),
    root: new X509Certificate(root).toString(),
  };
}

function decodeAttestationKey(fields: JsonFields): AttestationKey {
  const privateKey = parsePrivateKey(fields.string("privateKey"));
  const root = readRoot(fields.string("root"));
  fields.end();
  return { privateKey, root };
}

function readRoot(pem: string): Uint8Array {
  try {
    return new X509Certificate(pem).raw;
  } catch (cause) {
    throw new DataError(`${WHAT}.attestationKey.root: not a certificate in PEM`, { cause });
  }
}

function decodeObjects(fields: JsonFields): Map<number, Uint8Array> {
  const objects = new Map<number, Uint8Array>();
  for (const name of fields.names()) {
    const tag = /^[0-9a-f]{1,6}$/u.test(name) ? Number.parseInt(name, 16) : -1;
    if (!isStandardTag(tag) && tag >> 16 !== 0x5f) throw new DataError(`${WHAT}.objects: not the tag of a data object`);
    const content = fromHex(fields.string(name));
    if (content.length > MAX_OBJECT) throw new DataError(`${WHAT}.objects.${name}: more than ${MAX_OBJECT} bytes`);
    objects.set(tag, content);
  }
  return objects;
}
