import { createDecipheriv, pbkdf2, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { DerReader, TAG } from "../asn1/index.ts";
import { DataError, toHex, wipe } from "../bytes/index.ts";
import { KeyFileError } from "./error.ts";
import { type Pkcs12Hash, pkcs12Kdf } from "./pkcs12-kdf.ts";

/** A part of a file that a password opens: AlgorithmIdentifier, DER, and the ciphertext. */
export interface Encrypted {
  readonly algorithm: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** Iterations of a key derivation function: some seconds of work. A file may ask for any number. */
const MAX_ITERATIONS = { pbkdf2: 5_000_000, pkcs12: 1_000_000 } as const;
/** Bytes of memory for scrypt. */
const MAX_SCRYPT_MEMORY = 256 << 20;

const OID = {
  PBES2: "1.2.840.113549.1.5.13",
  PBKDF2: "1.2.840.113549.1.5.12",
  SCRYPT: "1.3.6.1.4.1.11591.4.11",
} as const;

/** HMACs of PBKDF2 (RFC 8018 appendix B.1.2). */
const PRFS: Readonly<Record<string, string>> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.8": "sha224",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512",
};

interface Cipher {
  readonly name: string;
  /** In bytes. */
  readonly keyLength: number;
  readonly ivLength: number;
}

/** Ciphers of PBES2. */
const CIPHERS: Readonly<Record<string, Cipher>> = {
  "2.16.840.1.101.3.4.1.2": { name: "aes-128-cbc", keyLength: 16, ivLength: 16 },
  "2.16.840.1.101.3.4.1.22": { name: "aes-192-cbc", keyLength: 24, ivLength: 16 },
  "2.16.840.1.101.3.4.1.42": { name: "aes-256-cbc", keyLength: 32, ivLength: 16 },
  "1.2.840.113549.3.7": { name: "des-ede3-cbc", keyLength: 24, ivLength: 8 },
};

/** Encryption with SHA-1 and the key derivation of PKCS#12 (RFC 7292 appendix C). */
const SHA1_CIPHERS: Readonly<Record<string, Cipher>> = {
  "1.2.840.113549.1.12.1.3": { name: "des-ede3-cbc", keyLength: 24, ivLength: 8 },
  "1.2.840.113549.1.12.1.4": { name: "des-ede-cbc", keyLength: 16, ivLength: 8 },
};

/** Encryption that is refused by its name: OpenSSL 3 reads it with its legacy provider only. */
const REFUSED: Readonly<Record<string, string>> = {
  "1.2.840.113549.1.12.1.1": "RC4-128 (pbeWithSHAAnd128BitRC4)",
  "1.2.840.113549.1.12.1.2": "RC4-40 (pbeWithSHAAnd40BitRC4)",
  "1.2.840.113549.1.12.1.5": "RC2-128 (pbeWithSHAAnd128BitRC2-CBC)",
  "1.2.840.113549.1.12.1.6": "RC2-40 (pbeWithSHAAnd40BitRC2-CBC)",
  "1.2.840.113549.1.5.1": "DES (pbeWithMD2AndDES-CBC)",
  "1.2.840.113549.1.5.3": "DES (pbeWithMD5AndDES-CBC)",
  "1.2.840.113549.1.5.6": "RC2-64 (pbeWithMD5AndRC2-CBC)",
  "1.2.840.113549.1.5.10": "DES (pbeWithSHA1AndDES-CBC)",
  "1.2.840.113549.1.5.11": "RC2-64 (pbeWithSHA1AndRC2-CBC)",
};

/**
 * Decrypts with a password: PBES2 with PBKDF2 or scrypt and AES or triple DES (RFC 8018 section 6.2), and SHA-1 with triple DES (RFC 7292
 * appendix C).
 * @param convert Given what this does not read: the line that converts the file, for the error.
 * @returns The plaintext; the caller wipes it.
 * @throws {KeyFileError} WRONG_PASSWORD, if the padding is wrong; UNSUPPORTED, with the algorithm's name.
 */
export async function decryptWithPassword(
  { algorithm, ciphertext }: Encrypted,
  password: Uint8Array,
  convert: string,
): Promise<Uint8Array> {
  const reader = new DerReader(algorithm, "encryption algorithm").enter();
  const oid = reader.oid();
  const refused = (what: string): KeyFileError =>
    new KeyFileError(
      "UNSUPPORTED",
      `it is encrypted with ${what}, which is not supported; convert it with: ${convert}`,
    );
  const old = SHA1_CIPHERS[oid];
  const { cipher, key, iv } =
    oid === OID.PBES2
      ? await pbes2(reader.enter(), password, refused)
      : old
        ? pkcs12Pbe(old, reader.enter(), password)
        : { cipher: undefined, key: new Uint8Array(), iv: new Uint8Array() };
  if (!cipher) throw refused(REFUSED[oid] ?? `an algorithm of object identifier ${oid}`);
  // Triple DES with two keys is the one with three whose third is the first.
  const whole = cipher.name === "des-ede-cbc" ? Buffer.concat([key, key.subarray(0, 8)]) : key;
  try {
    const decipher = createDecipheriv(cipher.name.replace("ede-", "ede3-"), whole, iv);
    const first = decipher.update(ciphertext);
    const last = decipher.final();
    const plaintext = new Uint8Array(Buffer.concat([first, last]));
    wipe(first, last);
    // What is encrypted is a SEQUENCE always; one wrong password in 256 leaves a right padding.
    if (plaintext[0] === TAG.SEQUENCE) return plaintext;
    wipe(plaintext);
  } catch (cause) {
    throw wrongPassword(cause);
  } finally {
    wipe(key, whole);
  }
  throw wrongPassword();
}

export const wrongPassword = (cause?: unknown): KeyFileError =>
  new KeyFileError("WRONG_PASSWORD", "the password is wrong", { cause });

interface Derived {
  readonly cipher: Cipher;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

async function pbes2(
  reader: DerReader,
  password: Uint8Array,
  refused: (what: string) => KeyFileError,
): Promise<Derived> {
  const derivation = reader.enter();
  const scheme = reader.enter();
  const cipherOid = scheme.oid();
  const cipher = CIPHERS[cipherOid];
  if (!cipher) throw refused(`PBES2 and a cipher of object identifier ${cipherOid}`);
  const iv = scheme.octetString();
  if (iv.length !== cipher.ivLength) throw new DataError(`encryption algorithm: an IV of ${iv.length} bytes`);
  const name = derivation.oid();
  if (name === OID.PBKDF2) return { cipher, iv, key: await byPbkdf2(derivation.enter(), password, cipher, refused) };
  if (name === OID.SCRYPT) return { cipher, iv, key: await byScrypt(derivation.enter(), password, cipher) };
  throw refused(`PBES2 and a key derivation function of object identifier ${name}`);
}

/** RFC 8018 appendix A.2: salt, iterations, length of the key, HMAC (with SHA-1 if it is left out). */
async function byPbkdf2(
  reader: DerReader,
  password: Uint8Array,
  { keyLength }: Cipher,
  refused: (what: string) => KeyFileError,
): Promise<Uint8Array> {
  const salt = reader.octetString();
  const iterations = count(reader.unsigned(), MAX_ITERATIONS.pbkdf2, "iterations");
  if (reader.peek() === TAG.INTEGER) reader.unsigned();
  const prfOid = reader.remaining > 0 ? reader.enter().oid() : "1.2.840.113549.2.7";
  const prf = PRFS[prfOid];
  if (prf === undefined) throw refused(`PBKDF2 and a function of object identifier ${prfOid}`);
  return new Uint8Array(await promisify(pbkdf2)(password, salt, iterations, keyLength, prf));
}

/** RFC 7914 section 7.1: salt, cost, block size, parallelism. */
async function byScrypt(reader: DerReader, password: Uint8Array, { keyLength }: Cipher): Promise<Uint8Array> {
  const salt = reader.octetString();
  const N = count(reader.unsigned(), 1 << 24, "cost");
  const r = count(reader.unsigned(), 1 << 10, "block size");
  const p = count(reader.unsigned(), 16, "parallelism");
  const derive = promisify<Uint8Array, Uint8Array, number, object, Buffer>(scrypt);
  try {
    return new Uint8Array(await derive(password, salt, keyLength, { N, r, p, maxmem: MAX_SCRYPT_MEMORY }));
  } catch (cause) {
    throw new DataError("encryption algorithm: parameters of scrypt that need too much memory", { cause });
  }
}

function pkcs12Pbe(cipher: Cipher, reader: DerReader, password: Uint8Array): Derived {
  const salt = reader.octetString();
  const iterations = pkcs12Iterations(reader.unsigned());
  const derive = (id: 1 | 2, length: number): Uint8Array =>
    pkcs12Kdf({ hash: "sha1" satisfies Pkcs12Hash, id, password, salt, iterations, length });
  return { cipher, key: derive(1, cipher.keyLength), iv: derive(2, cipher.ivLength) };
}

/** Iterations of the key derivation of PKCS#12. @throws {DataError} for more than a file may ask for. */
export function pkcs12Iterations(number: Uint8Array): number {
  return count(number, MAX_ITERATIONS.pkcs12, "iterations");
}

function count(number: Uint8Array, max: number, what: string): number {
  const value = number.length > 4 ? Infinity : Number.parseInt(toHex(number) || "0", 16);
  if (value >= 1 && value <= max) return value;
  throw new DataError(`password encryption: ${what} from 1 to ${max} are read here`);
}
