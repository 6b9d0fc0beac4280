import { createHmac, timingSafeEqual } from "node:crypto";
import { berToDer, contextTag, type DerElement, DerReader, TAG } from "../asn1/index.ts";
import { concat, DataError, wipe } from "../bytes/index.ts";
import { KeyFileError } from "./error.ts";
import { decryptWithPassword, type Encrypted, pkcs12Iterations } from "./password-encryption.ts";
import { type Pkcs12Hash, pkcs12Kdf } from "./pkcs12-kdf.ts";

const WHAT = "PKCS#12";
const OID = {
  DATA: "1.2.840.113549.1.7.1",
  ENCRYPTED_DATA: "1.2.840.113549.1.7.6",
  PBMAC1: "1.2.840.113549.1.5.14",
  KEY_BAG: "1.2.840.113549.1.12.10.1.1",
  SHROUDED_KEY_BAG: "1.2.840.113549.1.12.10.1.2",
  CERT_BAG: "1.2.840.113549.1.12.10.1.3",
  NESTED: "1.2.840.113549.1.12.10.1.6",
  X509: "1.2.840.113549.1.9.22.1",
} as const;

const MAC_HASHES: Readonly<Record<string, Pkcs12Hash>> = {
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.4": "sha224",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
};

/** How deep bags may lie in bags. */
const MAX_NESTING = 4;
const EXPLICIT = contextTag(0, "constructed");

/** What is in a PKCS#12 file. */
export interface Pkcs12Contents {
  /** PKCS #8, DER; the caller wipes them. */
  readonly keys: Uint8Array[];
  /** X.509, DER, in the file's order. */
  readonly certificates: Uint8Array[];
}

/** A PKCS#12 file that was taken apart and not decrypted. */
export interface Pkcs12File {
  /** The AuthenticatedSafe, over which the MAC is. */
  readonly content: Uint8Array;
  readonly mac: Mac | undefined;
}

interface Mac {
  readonly hash: Pkcs12Hash;
  readonly value: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

/**
 * Takes a PKCS#12 file apart (RFC 7292 section 4), BER or DER.
 * @param name Of the file, for the line that converts it.
 * @throws {KeyFileError} UNSUPPORTED for PBMAC1 (RFC 9579) and for a file that is signed in place of having a MAC; {DataError}.
 */
export function parsePkcs12(bytes: Uint8Array, name: string): Pkcs12File {
  const reader = new DerReader(berToDer(bytes, 0, WHAT).der, WHAT).enter();
  reader.unsigned();
  const authSafe = reader.enter();
  if (authSafe.oid() !== OID.DATA) {
    throw new KeyFileError("UNSUPPORTED", `it is protected by a signature, and only files with a password are read`);
  }
  const content = authSafe.enter(EXPLICIT).octetString();
  return { content, mac: reader.remaining > 0 ? readMac(reader.enter(), name) : undefined };
}

function readMac(reader: DerReader, name: string): Mac {
  const info = reader.enter();
  const algorithm = info.enter();
  const oid = algorithm.oid();
  if (oid === OID.PBMAC1) {
    const line = `openssl pkcs12 -in ${name} -out key.pem`;
    throw new KeyFileError(
      "UNSUPPORTED",
      `it is protected with PBMAC1, which is not supported; convert it with OpenSSL 3.4 or newer: ${line}`,
    );
  }
  const hash = MAC_HASHES[oid];
  if (!hash) throw new KeyFileError("UNSUPPORTED", `its MAC is of an unknown kind, ${oid}`);
  const value = info.octetString();
  const salt = reader.octetString();
  return { hash, value, salt, iterations: reader.remaining > 0 ? pkcs12Iterations(reader.unsigned()) : 1 };
}

/** Whether the password makes the file's MAC (RFC 7292 section 5.1); true for a file without one. */
export function isPkcs12Password({ content, mac }: Pkcs12File, password: Uint8Array): boolean {
  if (!mac) return true;
  const { hash, salt, iterations, value } = mac;
  const length = createHmac(hash, "").digest().length;
  const key = pkcs12Kdf({ hash, id: 3, password, salt, iterations, length });
  const expected = createHmac(hash, key).update(content).digest();
  wipe(key);
  return expected.length === value.length && timingSafeEqual(expected, value);
}

/**
 * The keys and certificates of a file.
 * @throws {KeyFileError} WRONG_PASSWORD, UNSUPPORTED; {DataError} for a malformed file.
 */
export async function openPkcs12(
  { content }: Pkcs12File,
  password: Uint8Array,
  convert: string,
): Promise<Pkcs12Contents> {
  const contents: Pkcs12Contents = { keys: [], certificates: [] };
  const bags = new BagReader(contents, (encrypted) => decryptWithPassword(encrypted, password, convert));
  const parts = new DerReader(berToDer(content, 0, WHAT).der, WHAT).enter();
  try {
    while (parts.remaining > 0) {
      const part = parts.enter();
      const type = part.oid();
      const body = part.enter(EXPLICIT);
      if (type === OID.DATA) await bags.read(body.octetString());
      else if (type === OID.ENCRYPTED_DATA) {
        const plain = await decryptWithPassword(readEncryptedData(body), password, convert);
        await bags.read(plain);
      } else throw new KeyFileError("UNSUPPORTED", `a part of it is encrypted for a certificate, not with a password`);
    }
  } catch (error) {
    wipe(...contents.keys);
    throw error;
  }
  return contents;
}

/** EncryptedData (RFC 5652 section 8); BER may have the ciphertext in segments. */
function readEncryptedData(body: DerReader): Encrypted {
  const data = body.enter();
  data.unsigned();
  const info = data.enter();
  info.oid();
  const algorithm = info.next(TAG.SEQUENCE).encoding;
  const { tag, contents } = info.next();
  return { algorithm, ciphertext: tag === EXPLICIT ? joined(contents) : contents };
}

function joined(segments: Uint8Array): Uint8Array {
  const reader = new DerReader(segments, WHAT);
  const parts: Uint8Array[] = [];
  while (reader.remaining > 0) parts.push(reader.octetString());
  return concat(...parts);
}

/** Collects what is in bags (RFC 7292 section 4.2). */
class BagReader {
  readonly #contents: Pkcs12Contents;
  readonly #decrypt: (encrypted: Encrypted) => Promise<Uint8Array>;

  constructor(contents: Pkcs12Contents, decrypt: (encrypted: Encrypted) => Promise<Uint8Array>) {
    this.#contents = contents;
    this.#decrypt = decrypt;
  }

  /** @param safeContents BER. */
  async read(safeContents: Uint8Array, depth = 0): Promise<void> {
    if (depth > MAX_NESTING) throw new DataError(`${WHAT}: more than ${MAX_NESTING} bags in each other`);
    const bags = new DerReader(berToDer(safeContents, 0, WHAT).der, WHAT).enter();
    while (bags.remaining > 0) {
      const bag = bags.enter();
      const type = bag.oid();
      await this.#take(type, bag.enter(EXPLICIT).next(), depth);
    }
  }

  async #take(type: string, value: DerElement, depth: number): Promise<void> {
    switch (type) {
      case OID.KEY_BAG:
        this.#contents.keys.push(value.encoding.slice());
        return;
      case OID.SHROUDED_KEY_BAG:
        this.#contents.keys.push(await this.#decrypt(readEncryptedPrivateKey(value.encoding)));
        return;
      case OID.CERT_BAG: {
        const certificate = new DerReader(value.contents, WHAT);
        if (certificate.oid() === OID.X509) {
          this.#contents.certificates.push(certificate.enter(EXPLICIT).octetString().slice());
        }
        return;
      }
      case OID.NESTED:
        await this.read(value.encoding, depth + 1);
        return;
      default:
      // Revocation lists and secrets of other programs.
    }
  }
}

/** EncryptedPrivateKeyInfo (RFC 5958 section 3). @throws {DataError} */
export function readEncryptedPrivateKey(der: Uint8Array): Encrypted {
  const reader = new DerReader(der, "encrypted private key").enter();
  const algorithm = reader.next(TAG.SEQUENCE).encoding;
  return { algorithm, ciphertext: reader.octetString() };
}
