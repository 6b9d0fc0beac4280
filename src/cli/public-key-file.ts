import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { FileError } from "./failure.ts";
import { LIMIT, readWhole } from "./files.ts";

/**
 * The public key in a file: a certificate or a public key, PEM or DER (SubjectPublicKeyInfo or PKCS #1).
 * @throws {FileError} if it is neither, or longer than {@link LIMIT.KEY}.
 */
export async function readPublicKey(path: string, signal?: AbortSignal): Promise<KeyObject> {
  const bytes = Buffer.from(await readWhole(path, signal, LIMIT.KEY));
  for (const attempt of ATTEMPTS) {
    const key = attemptKey(() => attempt(bytes));
    if (key) return key;
  }
  throw new FileError(`${path} holds neither a certificate nor a public key, in PEM or DER`);
}

const ATTEMPTS: readonly ((bytes: Buffer) => KeyObject)[] = [
  (bytes) => new X509Certificate(bytes).publicKey,
  (bytes) => createPublicKey(bytes),
  (bytes) => createPublicKey({ key: bytes, format: "der", type: "spki" }),
  (bytes) => createPublicKey({ key: bytes, format: "der", type: "pkcs1" }),
];

/** OpenSSL tells what a file is by trying. */
function attemptKey(attempt: () => KeyObject): KeyObject | undefined {
  try {
    return attempt();
  } catch {
    return undefined;
  }
}
