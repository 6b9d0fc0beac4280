import { createPrivateKey, type KeyObject } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { encodeTlv, readTlvs, type Tlv } from "../../apdu/index.ts";
import { DataError, equalBytes, fromHex, fromUtf8 } from "../../bytes/index.ts";
import { readRegularFile } from "../card-file.ts";
import { VirtualPivCard } from "./card.ts";
import { TAG } from "./model.ts";
import type { KeySource, PivCardOptions } from "./personalise.ts";

const DATA = fromHex("2a864886f70d010701");
const SHROUDED_KEY_BAG = fromHex("2a864886f70d010c0a0102");
const WHAT = "PKCS#12";

/**
 * The first private key of a PKCS#12 file (RFC 7292), as programs write it: in a shrouded bag of an unencrypted part.
 * The file's authentication code is not checked.
 * @throws {DataError} if there is no such key, or the password does not open it.
 */
export function readPkcs12Key(bytes: Uint8Array, password: string): KeyObject {
  const [, authenticatedSafe] = sequence(readTlvs(bytes, WHAT)[0]);
  const parts = sequence(only(octets(contentOf(authenticatedSafe))));
  for (const part of parts) {
    const [type] = sequence(part);
    if (!isOid(type, DATA)) continue;
    for (const bag of sequence(only(octets(contentOf(part))))) {
      const [id, value] = sequence(bag);
      if (isOid(id, SHROUDED_KEY_BAG)) return decrypt(only(value?.value), password);
    }
  }
  throw new DataError(`${WHAT}: no private key in it`);
}

/** A shrouded bag holds an EncryptedPrivateKeyInfo, which OpenSSL reads (RFC 7292 section 4.2.2). */
function decrypt(info: Tlv, passphrase: string): KeyObject {
  const key = Buffer.from(encodeTlv(info.tag, info.value));
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8", passphrase });
  } catch (cause) {
    throw new DataError(`${WHAT}: the password does not open the private key`, { cause });
  }
}

function sequence(tlv: Tlv | undefined): readonly Tlv[] {
  if (tlv?.tag !== 0x30) throw new DataError(`${WHAT}: a SEQUENCE is missing`);
  return readTlvs(tlv.value, WHAT);
}

/** The [0] EXPLICIT content of a ContentInfo. */
function contentOf(info: Tlv | undefined): Tlv {
  const [, content] = sequence(info);
  if (content?.tag !== 0xa0) throw new DataError(`${WHAT}: a part without content`);
  return only(content.value);
}

function octets(tlv: Tlv): Uint8Array {
  if (tlv.tag !== 0x04) throw new DataError(`${WHAT}: an OCTET STRING is missing`);
  return tlv.value;
}

function only(bytes: Uint8Array | undefined): Tlv {
  const [first, ...more] = readTlvs(bytes ?? new Uint8Array(), WHAT);
  if (first === undefined || more.length > 0) throw new DataError(`${WHAT}: more or fewer than one element`);
  return first;
}

function isOid(tlv: Tlv | undefined, content: Uint8Array): boolean {
  return tlv?.tag === 0x06 && equalBytes(tlv.value, content);
}

/** Data objects by the number with which their file's name begins; the file holds the content without the outer 53. */
const OBJECT_FILES: ReadonlyMap<number, number> = new Map([
  [1, TAG.DISCOVERY],
  [2, TAG.SECURITY_OBJECT],
  [7, TAG.CAPABILITY_CONTAINER],
  [8, TAG.CHUID],
  [9, TAG.FINGERPRINTS],
  [10, TAG.FACIAL_IMAGE],
  [11, TAG.PRINTED_INFORMATION],
  [13, TAG.KEY_HISTORY],
]);

/** Keys by the number of their .p12 (without password) and .crt (PEM) files. */
const KEY_FILES: ReadonlyMap<number, string> = new Map([
  [3, "9a"],
  [4, "9c"],
  [5, "9d"],
  [6, "9e"],
  [14, "82"],
  [15, "83"],
  [16, "84"],
  [17, "85"],
  [18, "86"],
]);

/** Far more than the largest data object of SP 800-73-4 part 1, appendix A. */
const MAX_FILE = 1 << 20;

/**
 * Makes a card with exactly the keys, certificates and data objects of a folder in the layout of the ICAM test cards
 * (github.com/GSA/gsa-icam-card-builder), even if they do not match: some of these cards test whether programs notice.
 * `options` gives the rest, such as the PINs.
 * @throws {DataError} if no file belongs to such a card, or one does not have the contents that its number says; the
 *   file system's errors.
 */
export async function personaliseFromFolder(
  folder: string,
  options: Omit<PivCardOptions, "keys" | "objects"> = {},
): Promise<VirtualPivCard> {
  const names = (await readdir(folder)).sort();
  const numbers = [...OBJECT_FILES.keys(), ...KEY_FILES.keys()];
  if (!names.some((name) => numbers.some((number) => name.startsWith(`${number} - `)))) {
    throw new DataError('no file of an ICAM test card, such as "8 - CHUID Object"');
  }
  const objects = new Map<number, Uint8Array | null>();
  for (const [number, tag] of OBJECT_FILES) {
    const name = names.find((candidate) => candidate.startsWith(`${number} - `));
    const content =
      name === undefined ? new Uint8Array() : await readRegularFile(path.join(folder, name), MAX_FILE, name);
    objects.set(tag, nonEmpty(tag === TAG.DISCOVERY ? withoutOuterTag(content) : content));
  }
  const keys: Record<string, KeySource | null> = {};
  for (const [number, slot] of KEY_FILES) keys[slot] = await readKey(folder, names, number);
  return VirtualPivCard.create({ ...options, keys, objects });
}

/** In the file the discovery object keeps its 7E. */
function withoutOuterTag(content: Uint8Array): Uint8Array {
  const [object] = readTlvs(content, "discovery object");
  if (object !== undefined && object.tag !== TAG.DISCOVERY)
    throw new DataError("discovery object: the outer tag 7E is missing");
  return object?.value ?? new Uint8Array();
}

const nonEmpty = (content: Uint8Array): Uint8Array | null => (content.length === 0 ? null : content);

async function readKey(folder: string, names: readonly string[], number: number): Promise<KeySource | null> {
  const isKey = (name: string): boolean => name.startsWith(`${number} - `) && name.endsWith(".p12");
  const name = names.find((candidate) => isKey(candidate) && names.includes(certificateOf(candidate)));
  if (name === undefined) return null;
  return {
    privateKey: readPkcs12Key(await readRegularFile(path.join(folder, name), MAX_FILE, name), ""),
    certificate: fromUtf8(await readRegularFile(path.join(folder, certificateOf(name)), MAX_FILE, certificateOf(name))),
    anyCertificate: true,
  };
}

const certificateOf = (name: string): string => name.replace(/\.p12$/u, ".crt");
