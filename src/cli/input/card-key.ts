import { parseCertificate } from "../../asn1/index.ts";
import { equalBytes, tryParse } from "../../bytes/index.ts";
import type { CertificateSession } from "../../certificates/index.ts";
import { parsePublicKey } from "../../crypto/index.ts";
import { CKA, CKO } from "../../cryptoki/index.ts";
import { NotFoundError } from "../output/failures.ts";
import type { TokenSession } from "../session.ts";
import { findPrivateKey } from "./card-administration.ts";
import { placeName, referenceOf } from "./key-place.ts";
import { listTokens, onCardToken } from "./token.ts";

/** A key as it is on the card now. */
export interface CardKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Whether it signs by C_Sign. */
  readonly signs: boolean;
}

/**
 * The key with a CKA_ID. A PIV card shows the key of the certificate that lies there, which may be an older key's; a YubiKey tells what the
 * key itself is when it is asked for that, and a session knows of a key that it has made.
 * @returns Undefined if the token shows none.
 */
export async function currentKey(session: TokenSession, id: Uint8Array): Promise<CardKey | undefined> {
  const [entry] = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  const shown = entry && (await session.publicKeyInfo(entry.handle));
  const ofShown = entry && shown && { spki: shown, signs: await session.flag(entry.handle, CKA.VERIFY) };
  const certified = await certifiedKey(session, id);
  const isTold = referenceOf(session.token, id) !== undefined && session.context.options.server === undefined;
  if (!ofShown || !certified || !isTold || !equalBytes(ofShown.spki, certified)) return ofShown;
  return (await keyOfCard(session, id)) ?? ofShown;
}

async function certifiedKey(session: TokenSession, id: Uint8Array): Promise<Uint8Array | undefined> {
  const [certificate] = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id });
  if (!certificate) return undefined;
  const der = await session.value(certificate.handle);
  return tryParse(() => parseCertificate(der).subjectPublicKeyInfo);
}

async function keyOfCard(session: TokenSession, id: Uint8Array): Promise<CardKey | undefined> {
  const { context, token } = session;
  const all = await listTokens(context);
  const here = all.find(({ slotID }) => slotID === token.slotID) ?? token;
  return onCardToken(context, here, all.includes(here) ? all : [here], async (cardToken) => {
    const key = await findPrivateKey(cardToken, id);
    if (!key) return undefined;
    const spki = await key.publicKey();
    const { usage } = key;
    const type = tryParse(() => parsePublicKey(spki))?.type;
    const signs = type !== undefined && (typeof usage === "function" ? usage(type) : usage).sign;
    return { spki, signs };
  });
}

/** As {@link currentKey}. @throws {NotFoundError} if there is none. */
export async function requireCurrentKey(session: TokenSession, id: Uint8Array): Promise<CardKey> {
  const found = await currentKey(session, id);
  if (found) return found;
  const name = placeName(session.token, id);
  throw new NotFoundError(
    `there is no key in ${name}, or the card does not show its public key; see: cryptoki key list; if the card has the key, give its public key with --key`,
  );
}

/** A session for what src/certificates does. */
export function certificateSession(session: TokenSession): CertificateSession {
  return {
    cryptoki: session.cryptoki,
    handle: session.handle,
    find: (template) => session.find(template),
    value: (object) => session.value(object),
    currentKey: async (id) => (await currentKey(session, id))?.spki,
  };
}
