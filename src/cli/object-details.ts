import { DataError } from "../bytes/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { keyName, publicKeyName } from "../crypto/index.ts";
import { CKA, CKO, CryptokiError } from "../cryptoki/index.ts";
import { subjectOf } from "./certificate-text.ts";
import { NotFoundError } from "./failure.ts";
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
  /** It is on the card, and what is in it cannot be read. */
  readonly unreadable?: true;
}

/** Looks into an object. One that cannot be read is told of as such, and spoils nothing else. */
export async function describeObject(session: TokenSession, object: ObjectEntry): Promise<ObjectDetails> {
  try {
    switch (object.class) {
      case CKO.CERTIFICATE:
        return certificateDetails(await session.value(object.handle));
      case CKO.PUBLIC_KEY:
        return {
          ...(await keyDetails(session, object)),
          about: await uses(session, object, PUBLIC_USES),
        };
      case CKO.PRIVATE_KEY:
        return await privateKeyDetails(session, object);
      default:
        return {};
    }
  } catch (error) {
    if (error instanceof DataError || error instanceof CryptokiError)
      return { about: `unreadable: ${error.message}`, unreadable: true };
    throw error;
  }
}

function certificateDetails(der: Uint8Array): ObjectDetails {
  const certificate = parseCertificate(der);
  return { key: publicKeyName(certificate.subjectPublicKeyInfo), about: subjectOf(certificate) };
}

/** The name of a key's algorithm, whether or not this driver computes with it; nothing where the token does not tell. */
async function keyDetails(session: TokenSession, object: ObjectEntry): Promise<Pick<ObjectDetails, "key">> {
  const info = await session.publicKeyInfo(object.handle);
  if (info) return { key: publicKeyName(info) };
  try {
    return { key: keyName(await session.publicKey(object)) };
  } catch (error) {
    if (error instanceof NotFoundError) return {};
    throw error;
  }
}

async function privateKeyDetails(session: TokenSession, object: ObjectEntry): Promise<ObjectDetails> {
  const alwaysAuthenticate = await session.flag(object.handle, CKA.ALWAYS_AUTHENTICATE);
  const can = await uses(session, object, PRIVATE_USES);
  return {
    ...(await keyDetails(session, object)),
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
