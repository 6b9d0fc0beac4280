import type { Extension, Name } from "@peculiar/x509";
import { parseCertificate } from "../asn1/index.ts";
import { encodePem, equalBytes } from "../bytes/index.ts";
import type { AttributeList, CK_MECHANISM, Template } from "../cryptoki/index.ts";
import { CertificateError } from "./error.ts";
import { makeRequest, renewedContents } from "./making.ts";
import { requestKey } from "./request-key.ts";
import { certificatesWith, type CertificateSession } from "./session.ts";
import type { CertificateSigner } from "./signer.ts";
import { planWriting, type Writing } from "./writing.ts";
import { loadX509 } from "./x509.ts";

/** A key to be made for the renewed certificate. */
export interface NewKey {
  /** Its CKA_ID. On a PIV card that of the old key, which it replaces; elsewhere another one, and the old key stays. */
  readonly id: Uint8Array;
  readonly mechanism: CK_MECHANISM;
  readonly publicTemplate: Template;
  readonly privateTemplate: AttributeList;
}

interface Renewed {
  /** CKA_ID of the certificate that is renewed. */
  readonly id: Uint8Array;
  /** A key in words: "9A (id 01)". */
  readonly nameOf: (id: Uint8Array) => string;
  readonly signal?: AbortSignal;
}

export interface RenewalRequest extends Renewed {
  /** Undefined: the key is kept. */
  readonly newKey?: NewKey;
  /** A request that an earlier call wrote, PEM or DER. */
  readonly earlier?: Uint8Array;
  /** What the request says in place of what the old certificate does. */
  readonly name?: Name;
  readonly extensions?: readonly Extension[];
}

/** What a renewal asks of its caller. */
export interface RenewalHooks {
  /** Asks whether something on the card may be destroyed. @param consequence A sentence without its end. */
  confirm(consequence: string): Promise<void>;
  /** Logs in the user, or the security officer, for changes. */
  logIn(): Promise<void>;
  /** Ends the login. */
  logOut(): Promise<void>;
  signer(id: Uint8Array): Promise<CertificateSigner>;
  /** Whether the key signs, as its old certificate's key; asked only where the token does not show the key itself. */
  isKeyOf(id: Uint8Array, spki: Uint8Array): Promise<boolean>;
}

/** The certificate that is renewed, and its key. */
interface Old {
  readonly der: Uint8Array;
  readonly spki: Uint8Array;
}

async function oldCertificate(session: CertificateSession, { id, nameOf }: Renewed): Promise<Old> {
  const [found] = await certificatesWith(session, id);
  if (!found) {
    throw new CertificateError(
      "NOT_FOUND",
      `there is no certificate in ${nameOf(id)} to renew; make a request for a first one`,
    );
  }
  const der = await session.value(found.handle);
  return { der, spki: parseCertificate(der).subjectPublicKeyInfo };
}

/**
 * The first half of a renewal: makes the new key, if one is wanted, and a request that its key signs. What the card holds says how far an
 * earlier call came: a key that was made is not made again, and a request that is of the key is returned as it is.
 * @returns The request, PEM, and whether it is the earlier one.
 * @throws {CertificateError} NOT_FOUND without a certificate; WRONG_KEY if the earlier request, or the key that is kept, is of another key;
 *   OCCUPIED if the new key's place has a certificate of its own.
 */
export async function requestRenewal(
  session: CertificateSession,
  request: RenewalRequest,
  hooks: RenewalHooks,
): Promise<{ readonly request: string; readonly wasThere: boolean }> {
  const { id, newKey, earlier, nameOf } = request;
  const old = await oldCertificate(session, request);
  const place = newKey?.id ?? id;
  const requested = earlier && requestKey(earlier);
  if (earlier && !requested) throw new CertificateError("WRONG_KEY", "the file holds no certificate request");
  const shown = await session.currentKey(place);
  if (earlier && requested && (await isMade(request, old, shown, requested, hooks))) {
    return { request: pemOf(earlier), wasThere: true };
  }
  if (earlier) {
    throw new CertificateError("WRONG_KEY", `the request there is of another key than the one in ${nameOf(place)}`);
  }
  if (newKey) await makeKey(session, request, newKey, old, shown, hooks);
  else if (shown && !equalBytes(shown, old.spki)) {
    throw new CertificateError(
      "WRONG_KEY",
      `the key in ${nameOf(place)} is not its certificate's any more; to go on with a new key that was made there, say that a new one is wanted`,
    );
  }
  const library = await loadX509();
  await using signer = await hooks.signer(place);
  return {
    request: await makeRequest(library, signer, renewedContents(library, old.der, request)),
    wasThere: false,
  };
}

/** Whether an earlier call has made the key and the request. */
async function isMade(
  { newKey, id }: RenewalRequest,
  old: Old,
  shown: Uint8Array | undefined,
  requested: Uint8Array,
  hooks: RenewalHooks,
): Promise<boolean> {
  const ofOld = equalBytes(requested, old.spki);
  if (!newKey) return ofOld;
  if (ofOld) return false;
  if (shown && equalBytes(requested, shown)) return true;
  // A card that shows its keys by their certificates shows the old one until the new certificate is written.
  const showsOld = shown !== undefined && equalBytes(shown, old.spki) && equalBytes(newKey.id, id);
  return showsOld && !(await hooks.isKeyOf(id, old.spki));
}

async function makeKey(
  session: CertificateSession,
  { id, nameOf, signal }: RenewalRequest,
  newKey: NewKey,
  old: Old,
  shown: Uint8Array | undefined,
  hooks: RenewalHooks,
): Promise<void> {
  const place = newKey.id;
  if (equalBytes(place, id)) {
    // Made by an earlier call.
    if (shown && !equalBytes(shown, old.spki)) return;
    await hooks.confirm(`the key in ${nameOf(place)} is destroyed, and a new one made in its place`);
  } else {
    if ((await certificatesWith(session, place)).length > 0) {
      throw new CertificateError(
        "OCCUPIED",
        `there is a certificate in ${nameOf(place)} already; name another place for the new key`,
      );
    }
    if (shown) return;
  }
  await hooks.logIn();
  const { mechanism, publicTemplate, privateTemplate } = newKey;
  await session.cryptoki.C_GenerateKeyPair(
    session.handle,
    mechanism,
    publicTemplate,
    privateTemplate,
    signal ? { signal } : {},
  );
  await hooks.logOut();
}

const latin1 = new TextDecoder("latin1");

function pemOf(request: Uint8Array): string {
  const text = latin1.decode(request);
  return text.includes("-----BEGIN ") ? text : encodePem("CERTIFICATE REQUEST", request);
}

export interface RenewalFinish extends Renewed {
  /** How a message names a certificate. */
  readonly describe: (der: Uint8Array) => string;
  /** CKA_ID of the new key, if it is another one than the old key's. */
  readonly newId?: Uint8Array;
  /** The issued certificate, and any of its issuers, DER. */
  readonly chain: readonly Uint8Array[];
  /** The request, PEM or DER: for cards that do not show a new key before its certificate is there. */
  readonly request?: Uint8Array;
}

/**
 * The second half of a renewal: where the issued certificate goes. `writeBesideKey` writes it.
 * @throws {CertificateError} WRONG_KEY if it is neither of the key there, nor of the request's.
 */
export function planFinish(session: CertificateSession, finish: RenewalFinish): Promise<Writing> {
  const { id, newId = id, chain, request, nameOf, describe } = finish;
  const requested = request && requestKey(request);
  const otherKeys = requested ? [requested] : [];
  return planWriting(session, newId, chain, { name: nameOf(newId), otherKeys, describe });
}
