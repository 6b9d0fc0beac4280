import { DataError } from "../bytes/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { parsePublicKey } from "../crypto/index.ts";
import { CKA, CKO, CryptokiError } from "../cryptoki/index.ts";
import { keyName, subjectOf } from "./certificate-text.ts";
import type { ObjectEntry, TokenSession } from "./session.ts";

/** What an object is called in tables. */
export const TYPE_WORDS: ReadonlyMap<number, string> = new Map([
  [CKO.CERTIFICATE, "certificate"],
  [CKO.PUBLIC_KEY, "public key"],
  [CKO.PRIVATE_KEY, "private key"],
  [CKO.SECRET_KEY, "secret key"],
  [CKO.DATA, "data"],
  [CKO.PROFILE, "profile"],
]);

/** What more there is to tell of an object. */
export interface ObjectDetails {
  /** Of keys and certificates: "RSA-2048", "P-256". */
  readonly key?: string;
  /** A certificate's subject; what a key may be used for. */
  readonly about?: string;
  /** A private key's PIN is wanted for each use. */
  readonly alwaysAuthenticate?: boolean;
}

/** Looks into an object. One that cannot be read is told of as such, and spoils nothing else. */
export async function describeObject(session: TokenSession, object: ObjectEntry): Promise<ObjectDetails> {
  try {
    switch (object.class) {
      case CKO.CERTIFICATE:
        return certificateDetails(await session.value(object.handle));
      case CKO.PUBLIC_KEY:
        return {
          key: keyName(await session.publicKey(object.handle)),
          about: await uses(session, object, PUBLIC_USES),
        };
      case CKO.PRIVATE_KEY:
        return await privateKeyDetails(session, object);
      default:
        return {};
    }
  } catch (error) {
    if (error instanceof DataError || error instanceof CryptokiError) return { about: `unreadable: ${error.message}` };
    throw error;
  }
}

function certificateDetails(der: Uint8Array): ObjectDetails {
  const key = parsePublicKey(parseCertificate(der).subjectPublicKeyInfo);
  return { key: keyName(key), about: subjectOf(der) };
}

async function privateKeyDetails(session: TokenSession, object: ObjectEntry): Promise<ObjectDetails> {
  const alwaysAuthenticate = await session.flag(object.handle, CKA.ALWAYS_AUTHENTICATE);
  const can = await uses(session, object, PRIVATE_USES);
  return {
    key: keyName(await session.publicKey(object.handle)),
    about: alwaysAuthenticate ? `${can}; PIN for each use` : can,
    alwaysAuthenticate,
  };
}

const PUBLIC_USES = [
  ["verify", CKA.VERIFY],
  ["encrypt", CKA.ENCRYPT],
] as const;
const PRIVATE_USES = [
  ["sign", CKA.SIGN],
  ["decrypt", CKA.DECRYPT],
  ["derive", CKA.DERIVE],
] as const;

async function uses(
  session: TokenSession,
  object: ObjectEntry,
  table: readonly (readonly [word: string, attribute: CKA])[],
): Promise<string> {
  const found: string[] = [];
  for (const [word, attribute] of table) if (await session.flag(object.handle, attribute)) found.push(word);
  return found.join(", ");
}
