import { X509Certificate } from "node:crypto";
import { planWriting, type Writing, writeBesideKey } from "../../certificates/index.ts";
import { tryParse, toHex } from "../../bytes/index.ts";
import { shownName, summarise } from "../output/descriptions.ts";
import { FileError } from "../output/failures.ts";
import { asAllowed, logIn, type OfficerOptions, type TokenSession } from "../session.ts";
import { certificateSession } from "./card-key.ts";
import { confirm, type ConfirmationOptions } from "./confirmation.ts";
import { placeName, referenceOf } from "./key-place.ts";
import { warn, warnOfKnownKey } from "./officer.ts";

/** How a certificate is written on a card. */
export interface WritingOptions extends OfficerOptions, ConfirmationOptions {
  readonly label?: string;
  readonly unchecked?: true;
  /** Keys that were proved to be there although the card shows another or none: SubjectPublicKeyInfo, DER. */
  readonly otherKeys?: readonly Uint8Array[];
}

/**
 * The certificates of a file, PEM or DER, in its order.
 * @throws {FileError} if there is none, or one of them does not parse.
 */
export function readCertificates(file: string, bytes: Uint8Array): Uint8Array[] {
  const text = Buffer.from(bytes).toString("latin1");
  const blocks = text.match(
    /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/gsu,
  );
  try {
    if (blocks) return blocks.map((block) => new Uint8Array(new X509Certificate(block).raw));
    return [new Uint8Array(new X509Certificate(bytes).raw)];
  } catch (cause) {
    throw new FileError(`${file} holds no certificate, in PEM or DER`, { cause });
  }
}

/** A certificate in messages: its subject. */
export const subjectOf = (der: Uint8Array): string =>
  tryParse(() => shownName(summarise(der).subject)) ?? "an unreadable subject";

/** Whether a certificate expires before another one; false if either time cannot be read. */
export function expiresEarlier(one: Uint8Array, other: Uint8Array): boolean {
  const end = (der: Uint8Array): number => Date.parse(tryParse(() => summarise(der).notAfter) ?? "");
  return end(one) < end(other);
}

/**
 * Finds the certificate that belongs to the key with a CKA_ID in a chain of any order.
 * @throws {CertificateError} WRONG_KEY if none does.
 */
function planCertificate(
  session: TokenSession,
  id: Uint8Array,
  chain: readonly Uint8Array[],
  { unchecked, otherKeys = [] }: WritingOptions,
): Promise<Writing> {
  return planWriting(certificateSession(session), id, chain, {
    name: placeName(session.token, id),
    unchecked: unchecked ?? false,
    otherKeys,
    describe: subjectOf,
  });
}

/** Says what was not as expected, and asks before a certificate is replaced. @throws {UsageError} if that is not wanted. */
export async function confirmWriting(
  session: TokenSession,
  { id, others, wasInOrder, isChecked, replaced }: Writing,
  options: ConfirmationOptions,
): Promise<void> {
  const { context, token } = session;
  const name = placeName(token, id);
  if (!isChecked) {
    warn(
      context,
      `the card does not show the public key in ${name}: whether the certificate is its own was not checked`,
    );
  }
  if (!wasInOrder) {
    warn(context, "the chain was in the wrong order: the key's own certificate is written first, then each issuer's");
  }
  if (referenceOf(token, id) !== undefined && others.length > 0) {
    const what = others.length === 1 ? "other certificate" : `other ${others.length} certificates`;
    warn(context, `a PIV card has no place for the ${what} of the chain; left out`);
  }
  if (replaced.length === 0) return;
  const old = replaced.map(({ value }) => (value ? subjectOf(value) : "an unreadable subject")).join(" and one of ");
  await confirm(context, `there is a certificate of ${old} in ${name} already, which the new one replaces`, options);
}

/** Logs in for changes: the user, or the security officer with --so, whose key is judged. */
export function logInForChanges(session: TokenSession, options: OfficerOptions): Promise<void> {
  return logIn(session, options, (pin) => {
    warnOfKnownKey(session.context, pin);
  });
}

/** Writes what was planned; the login must have been made. */
export function writePlanned(session: TokenSession, writing: Writing, options: WritingOptions): Promise<void> {
  const { label } = options;
  return asAllowed(
    options,
    writeBesideKey(certificateSession(session), writing, {
      ...(label !== undefined && { label }),
      onePlaceEach: referenceOf(session.token, writing.id) !== undefined,
      describe: subjectOf,
      signal: session.context.signal,
    }),
  );
}

/** Writes the certificate of a chain that belongs to a key beside it, after a question if there is another one already. */
export async function writeCertificate(
  session: TokenSession,
  id: Uint8Array,
  chain: readonly Uint8Array[],
  options: WritingOptions,
): Promise<Writing> {
  const writing = await planCertificate(session, id, chain, options);
  await confirmWriting(session, writing, options);
  if (isWritten(session, writing)) return writing;
  await logInForChanges(session, options);
  await writePlanned(session, writing, options);
  return writing;
}

/** Whether nothing is left to write: a PIV card has one certificate a key, and an earlier call may have written it. */
export function isWritten({ token }: TokenSession, { id, isThere }: Writing): boolean {
  return isThere && referenceOf(token, id) !== undefined;
}

/** What was written, for people and as JSON. */
export function tellWritten({ context, token }: TokenSession, { id, leaf }: Writing): void {
  const { subject, notAfter, sha256 } = summarise(leaf);
  context.print.done(`The certificate of ${shownName(subject)} is in ${placeName(token, id)}.`, {
    written: true,
    id: toHex(id),
    reference: referenceOf(token, id),
    subject,
    notAfter,
    sha256,
  });
}
