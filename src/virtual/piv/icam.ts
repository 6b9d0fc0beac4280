import { createPrivateKey, type KeyObject } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { OctetString } from "asn1js";
import type { ContentInfo } from "pkijs";
import { readTlvs } from "../../apdu/index.ts";
import { DataError, fromUtf8 } from "../../bytes/index.ts";
import { readRegularFile } from "../card-file.ts";
import { VirtualPivCard } from "./card.ts";
import { TAG } from "./model.ts";
import type { KeySource, PivCardOptions } from "./personalise.ts";

const WHAT = "PKCS#12";
/** id-data (RFC 5652 section 4). */
const DATA = "1.2.840.113549.1.7.1";
/** pkcs-12-pkcs-8ShroudedKeyBag (RFC 7292 section 4.2). */
const SHROUDED_KEY_BAG = "1.2.840.113549.1.12.10.1.2";

/**
 * The first private key of a PKCS#12 file (RFC 7292), as programs write it: in a shrouded bag of an unencrypted part.
 * The file's authentication code is not checked.
 * @throws {DataError} if there is no such key, or the password does not open it.
 */
export async function readPkcs12Key(bytes: Uint8Array, password: string): Promise<KeyObject> {
  const info = await findShroudedKey(bytes);
  if (info === undefined) throw new DataError(`${WHAT}: no private key in it`);
  try {
    return createPrivateKey({ key: Buffer.from(info), format: "der", type: "pkcs8", passphrase: password });
  } catch (cause) {
    throw new DataError(`${WHAT}: the password does not open the private key`, { cause });
  }
}

/** The EncryptedPrivateKeyInfo of the first shrouded bag (RFC 7292 section 4.2.2), which OpenSSL reads. */
async function findShroudedKey(bytes: Uint8Array): Promise<ArrayBuffer | undefined> {
  // Loaded here, because loading it takes long.
  const { AuthenticatedSafe, PFX, PKCS8ShroudedKeyBag, SafeContents } = await import("pkijs");
  try {
    const parts = AuthenticatedSafe.fromBER(contentOf(PFX.fromBER(bytes).authSafe)).safeContents;
    return parts
      .filter(({ contentType }) => contentType === DATA)
      .flatMap((part) => SafeContents.fromBER(contentOf(part)).safeBags)
      .filter(({ bagId }) => bagId === SHROUDED_KEY_BAG)
      .map(({ bagValue }) => bagValue)
      .find((value) => value instanceof PKCS8ShroudedKeyBag)
      ?.toSchema()
      .toBER();
  } catch (cause) {
    throw new DataError(`${WHAT}: malformed`, { cause });
  }
}

/** The content of a part that is data: the octets of an OCTET STRING. */
function contentOf({ content }: ContentInfo): ArrayBuffer {
  return (content as OctetString).getValue();
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
    privateKey: await readPkcs12Key(await readRegularFile(path.join(folder, name), MAX_FILE, name), ""),
    certificate: fromUtf8(await readRegularFile(path.join(folder, certificateOf(name)), MAX_FILE, certificateOf(name))),
    anyCertificate: true,
  };
}

const certificateOf = (name: string): string => name.replace(/\.p12$/u, ".crt");
