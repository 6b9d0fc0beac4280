import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { berToDer, DerReader, parseCertificate, TAG } from "../asn1/index.ts";
import { DataError, decodePem, equalBytes, tryParse, wipe } from "../bytes/index.ts";
import { encodePublicKey, HostPrivateKey } from "../crypto/index.ts";
import { KeyFileError } from "./error.ts";
import { decryptWithPassword, type Encrypted, wrongPassword } from "./password-encryption.ts";
import { isPkcs12Password, openPkcs12, parsePkcs12, readEncryptedPrivateKey } from "./pkcs12.ts";

/** A private key from a file. */
export interface KeyFile {
  /** The caller wipes it. */
  readonly key: HostPrivateKey;
  /** The key's own, X.509, DER; undefined if the file has none. */
  readonly certificate: Uint8Array | undefined;
  /** The other certificates, as they stand in the file. */
  readonly others: readonly Uint8Array[];
}

interface KeyFileOptions {
  /** The file's name, for messages. */
  readonly name: string;
  /** Asked when the file is encrypted; it is wiped after use. */
  readonly password?: () => Promise<Uint8Array>;
}

/**
 * Reads the private key of a file, and the certificates beside it: PEM or DER; PKCS #8, PKCS #1 and SEC 1, also encrypted; PKCS#12 with
 * PBES2, or with SHA-1 and triple DES.
 * @throws {KeyFileError} with the reason as its code.
 */
export async function readKeyFile(bytes: Uint8Array, options: KeyFileOptions): Promise<KeyFile> {
  try {
    return await (isPem(bytes) ? readPem(bytes, options) : readDer(bytes, options));
  } catch (error) {
    if (error instanceof KeyFileError) {
      throw new KeyFileError(error.code, `${options.name}: ${error.message}`, { cause: error.cause });
    }
    if (!(error instanceof DataError)) throw error;
    throw new KeyFileError("MALFORMED", `${options.name} cannot be read: ${error.message}`, { cause: error });
  }
}

const isPem = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes("-----BEGIN ");
const NOTHING = new Uint8Array();

/** The line that turns a file into one that is read here: OpenSSL writes PBES2. */
const toPkcs8 = (name: string): string =>
  `openssl pkcs8 -provider legacy -provider default -topk8 -in ${name} -out key.pem`;
const toPem = (name: string): string => `openssl pkcs12 -legacy -in ${name} -out key.pem`;

async function readPem(bytes: Uint8Array, options: KeyFileOptions): Promise<KeyFile> {
  const text = Buffer.from(bytes).toString("latin1");
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----/gsu)];
  const keys = blocks.filter(([, label = ""]) => label.endsWith("PRIVATE KEY"));
  const certificates = blocks
    .filter(([, label = ""]) => /^(?:X509 |TRUSTED )?CERTIFICATE$/u.test(label))
    .map(([block]) => certificateOf(() => new X509Certificate(block)));
  const [found] = keys;
  if (!found || keys.length > 1) throw noKey(keys.length);
  const [block, label = ""] = found;
  if (label === "OPENSSH PRIVATE KEY") {
    throw new KeyFileError(
      "UNSUPPORTED",
      `it is a key in OpenSSH's own format; convert a copy of it with: ssh-keygen -p -m PKCS8 -f ${options.name}`,
    );
  }
  if (label === "ENCRYPTED PRIVATE KEY") {
    const encrypted = readEncryptedPrivateKey(decodePem(label, block) ?? NOTHING);
    return whole(await decrypted(encrypted, options, toPkcs8(options.name)), certificates);
  }
  if (!/^Proc-Type: 4,ENCRYPTED/mu.test(block))
    return whole(
      exported(() => createPrivateKey(block)),
      certificates,
    );
  return whole(await withPassword(options, (password) => opened(block, password)), certificates);
}

/** The encryption of PEM before PKCS #8, with the cipher in DEK-Info: OpenSSL's own. */
function opened(block: string, password: Uint8Array): Uint8Array {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: block, passphrase: Buffer.from(password) });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && String(cause.code).includes("UNSUPPORTED")) {
      const cipher = /^DEK-Info: ([^,\s]+)/mu.exec(block)?.[1] ?? "an unknown cipher";
      throw new KeyFileError("UNSUPPORTED", `it is encrypted with ${cipher}, which is not supported`, { cause });
    }
    throw wrongPassword(cause);
  }
  return exported(() => key);
}

async function readDer(bytes: Uint8Array, options: KeyFileOptions): Promise<KeyFile> {
  const { der } = berToDer(bytes, 0, "private key");
  const reader = new DerReader(der, "private key").enter();
  if (reader.peek() === TAG.SEQUENCE) {
    return whole(await decrypted(readEncryptedPrivateKey(der), options, toPkcs8(options.name)), []);
  }
  const [version = 0] = reader.unsigned();
  const next = reader.peek();
  if (next === TAG.SEQUENCE && version === 3) return readPkcs12(bytes, options);
  const type = next === TAG.SEQUENCE ? "pkcs8" : next === TAG.INTEGER ? "pkcs1" : "sec1";
  return whole(
    exported(() => createPrivateKey({ key: Buffer.from(der), format: "der", type })),
    [],
  );
}

/** A file with an empty password opens without a question. */
async function readPkcs12(bytes: Uint8Array, options: KeyFileOptions): Promise<KeyFile> {
  const file = parsePkcs12(bytes, options.name);
  const open = async (password: Uint8Array): Promise<KeyFile> => {
    if (!isPkcs12Password(file, password)) throw wrongPassword();
    const { keys, certificates } = await openPkcs12(file, password, toPem(options.name));
    const [key, ...more] = keys;
    if (key && more.length === 0) return whole(key, certificates);
    wipe(...keys);
    throw noKey(keys.length);
  };
  const isOpen = file.mac !== undefined && isPkcs12Password(file, NOTHING);
  return isOpen ? open(NOTHING) : withPassword(options, open);
}

const decrypted = (encrypted: Encrypted, options: KeyFileOptions, convert: string): Promise<Uint8Array> =>
  withPassword(options, (password) => decryptWithPassword(encrypted, password, convert));

async function withPassword<T>(
  { password }: KeyFileOptions,
  work: (password: Uint8Array) => T | Promise<T>,
): Promise<T> {
  if (!password) throw new KeyFileError("PASSWORD_MISSING", "it is encrypted, and there is no password for it");
  const given = await password();
  try {
    return await work(given);
  } finally {
    wipe(given);
  }
}

/** PKCS #8, DER, of what OpenSSL reads. */
function exported(read: () => KeyObject): Uint8Array {
  try {
    return new Uint8Array(read().export({ format: "der", type: "pkcs8" }));
  } catch (cause) {
    throw new KeyFileError("MALFORMED", "it holds no private key that OpenSSL reads", { cause });
  }
}

function certificateOf(read: () => X509Certificate): Uint8Array {
  try {
    return new Uint8Array(read().raw);
  } catch (cause) {
    throw new KeyFileError("MALFORMED", "a certificate in it cannot be read", { cause });
  }
}

const noKey = (found: number): KeyFileError =>
  new KeyFileError("NO_KEY", found === 0 ? "it holds no private key" : `it holds ${found} private keys, and not one`);

/** The key, with the certificate that is its own. @param pkcs8 Wiped. */
function whole(pkcs8: Uint8Array, certificates: readonly Uint8Array[]): KeyFile {
  let key: HostPrivateKey;
  try {
    key = HostPrivateKey.fromPkcs8(pkcs8);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    const kinds = "RSA, EC on P-256, P-384 or P-521, Ed25519 and X25519";
    throw new KeyFileError("UNSUPPORTED", `its private key is of another kind than ${kinds}`, { cause });
  } finally {
    wipe(pkcs8);
  }
  const spki = encodePublicKey(key.publicKey);
  const isOwn = (der: Uint8Array): boolean =>
    equalBytes(tryParse(() => parseCertificate(der))?.subjectPublicKeyInfo ?? NOTHING, spki);
  const certificate = certificates.find(isOwn);
  return { key, certificate, others: certificates.filter((der) => der !== certificate) };
}
