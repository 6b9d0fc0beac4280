import { X509Certificate } from "node:crypto";
import { parseCertificate } from "../../asn1/index.ts";
import { equalBytes, toHex } from "../../bytes/index.ts";
import { digest } from "../../crypto/index.ts";
import { CKA, CKO } from "../../cryptoki/index.ts";
import { shownName, summarise } from "../output/descriptions.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { asAllowed, logIn, type OfficerOptions, type TokenSession } from "../session.ts";
import { confirm, type ConfirmationOptions } from "./confirmation.ts";
import { placeName, referenceOf } from "./key-place.ts";
import { certificateTemplate } from "./new-object.ts";
import { warn, warnOfKnownKey } from "./officer.ts";

/** How a certificate is written on a card. */
export interface WritingOptions extends OfficerOptions, ConfirmationOptions {
  readonly label?: string;
  readonly unchecked?: true;
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

const keyOf = (der: Uint8Array): Uint8Array => parseCertificate(der).subjectPublicKeyInfo;
const subjectOf = (der: Uint8Array): string => shownName(summarise(der).subject);

/**
 * The certificate of a chain that belongs to the key, wherever it stands, and the others.
 * @throws {UsageError} if none does, or the only one is of another key.
 */
async function chooseLeaf(
  session: TokenSession,
  id: Uint8Array,
  chain: readonly Uint8Array[],
  unchecked: boolean,
): Promise<{ leaf: Uint8Array; others: readonly Uint8Array[] }> {
  const [first = new Uint8Array(), ...rest] = chain;
  const [key] = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  const spki = key && (await session.publicKeyInfo(key.handle));
  const name = placeName(session.token, id);
  if (!spki) {
    warn(
      session.context,
      `the card does not show the public key in ${name}: whether the certificate is its own was not checked`,
    );
    return { leaf: first, others: rest };
  }
  const leaf = chain.find((der) => equalBytes(keyOf(der), spki));
  if (leaf) return { leaf, others: chain.filter((der) => der !== leaf) };
  if (unchecked) return { leaf: first, others: rest };
  const what =
    chain.length === 1 ? `the certificate of ${subjectOf(first)} is` : `none of the ${chain.length} certificates is`;
  throw new UsageError(
    `${what} of the key in ${name}; if the card shows an old certificate's key there, write it with --unchecked`,
  );
}

/**
 * Writes the certificate that belongs to a key beside it, after a question if there is one already. The others of a chain go to cards
 * that have places for certificates without a key.
 * @returns The certificate that was written, DER.
 */
export async function writeCertificate(
  session: TokenSession,
  id: Uint8Array,
  chain: readonly Uint8Array[],
  options: WritingOptions,
): Promise<Uint8Array> {
  const { leaf, others } = await chooseLeaf(session, id, chain, options.unchecked ?? false);
  const name = placeName(session.token, id);
  const before = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id });
  if (before.length > 0) {
    const subjects = before.map(({ handle }) => session.value(handle).then(subjectOf, () => "an unreadable subject"));
    const old = (await Promise.all(subjects)).join(" and one of ");
    await confirm(
      session.context,
      `there is a certificate of ${old} in ${name} already, which the new one replaces`,
      options,
    );
  }
  await logIn(session, options, (pin) => {
    warnOfKnownKey(session.context, pin);
  });
  const create = (der: Uint8Array, more: object): Promise<number> =>
    asAllowed(
      options,
      session.cryptoki.C_CreateObject(
        session.handle,
        { ...certificateTemplate("the file", der), [CKA.TOKEN]: true, ...more },
        { signal: session.context.signal },
      ),
    );
  const isPiv = referenceOf(session.token, id) !== undefined;
  await create(leaf, { [CKA.ID]: id, ...(options.label !== undefined && { [CKA.LABEL]: options.label }) });
  if (isPiv && others.length > 0) {
    warn(
      session.context,
      `a PIV card has no place for the other ${others.length} certificates of the chain; they were left out`,
    );
  }
  if (!isPiv) {
    for (const { handle } of before) await session.cryptoki.C_DestroyObject(session.handle, handle);
    for (const der of others) {
      const own = digest("sha1", keyOf(der));
      const [known] = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.VALUE]: der });
      if (!known) await create(der, { [CKA.ID]: own, [CKA.LABEL]: subjectOf(der) });
    }
  }
  return leaf;
}

/** What was written, for people and as JSON. */
export function tellWritten(session: TokenSession, id: Uint8Array, der: Uint8Array): void {
  const { subject, notAfter, sha256 } = summarise(der);
  session.context.print.done(`The certificate of ${shownName(subject)} is in ${placeName(session.token, id)}.`, {
    written: true,
    id: toHex(id),
    reference: referenceOf(session.token, id),
    subject,
    notAfter,
    sha256,
  });
}
