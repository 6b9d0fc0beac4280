import { parseCertificate, parseDerCertificate } from "../asn1/index.ts";
import { equalBytes, tryParse } from "../bytes/index.ts";
import { digest } from "../crypto/index.ts";
import { CKA, CKC, CKO, type Template } from "../cryptoki/index.ts";
import { chainOrder } from "./chain.ts";
import { CertificateError } from "./error.ts";
import { certificatesWith, type CertificateSession, type StoredObject } from "./session.ts";

/** What is to be written beside a key, and what of it is there. */
export interface Writing {
  /** CKA_ID of the key. */
  readonly id: Uint8Array;
  /** The key's own certificate, DER. */
  readonly leaf: Uint8Array;
  /** Those of its issuers, in order, and any others of the file. */
  readonly others: readonly Uint8Array[];
  /** Whether the file had them in the order of a chain. */
  readonly wasInOrder: boolean;
  /** Whether the token shows the key: else it was not checked that the certificate is its own. */
  readonly isChecked: boolean;
  /** Whether the token holds the key's own certificate with this CKA_ID already. */
  readonly isThere: boolean;
  /** Other certificates with this CKA_ID, which the new one replaces. */
  readonly replaced: readonly (StoredObject & {
    /** Undefined if it cannot be read. */ readonly value: Uint8Array | undefined;
  })[];
}

interface WritingOptions {
  /** The key's name, for messages: "9A (id 01)". */
  readonly name: string;
  /** Keys that the token does not show, whose certificates are right all the same: SubjectPublicKeyInfo, DER. */
  readonly otherKeys?: readonly Uint8Array[];
  /** Take the first certificate if none is of the key. */
  readonly unchecked?: boolean;
  /** How a message names a certificate. */
  readonly describe: (der: Uint8Array) => string;
}

const keyOf = (der: Uint8Array): Uint8Array | undefined => tryParse(() => parseCertificate(der))?.subjectPublicKeyInfo;

/**
 * Finds the certificate of a key in a chain of any order, and what it replaces.
 * @param chain X.509, DER; at least one.
 * @throws {CertificateError} WRONG_KEY if none belongs to the key.
 */
export async function planWriting(
  session: CertificateSession,
  id: Uint8Array,
  chain: readonly Uint8Array[],
  { name, otherKeys = [], unchecked = false, describe }: WritingOptions,
): Promise<Writing> {
  const shown = await session.currentKey(id);
  const keys = [...(shown ? [shown] : []), ...otherKeys];
  const own = chain.find((der) => keys.some((key) => equalBytes(keyOf(der) ?? new Uint8Array(), key)));
  const [first = new Uint8Array()] = chain;
  if (!own && keys.length > 0 && !unchecked) {
    const what =
      chain.length === 1
        ? `the certificate of ${describe(first)} is not`
        : `none of the ${chain.length} certificates is`;
    throw new CertificateError("WRONG_KEY", `${what} of the key in ${name}`);
  }
  const leaf = own ?? first;
  const sorted = chainOrder(chain, leaf);
  const stored: Writing["replaced"][number][] = [];
  for (const object of await certificatesWith(session, id)) {
    const value = await session.value(object.handle).catch(() => undefined);
    stored.push({ ...object, value });
  }
  const isLeaf = ({ value }: { value: Uint8Array | undefined }): boolean =>
    value !== undefined && equalBytes(value, leaf);
  return {
    id,
    leaf,
    others: [...sorted.chain.slice(1), ...sorted.others],
    wasInOrder: sorted.wasInOrder,
    isChecked: own !== undefined || keys.length > 0,
    isThere: stored.some(isLeaf),
    replaced: stored.filter((one) => !isLeaf(one)),
  };
}

interface PlacedOptions {
  /** CKA_LABEL of the key's own certificate. */
  readonly label?: string;
  /** One certificate a key, and no place for others, as on PIV cards: the new one replaces the old by itself. */
  readonly onePlaceEach: boolean;
  readonly describe: (der: Uint8Array) => string;
  readonly signal?: AbortSignal;
}

/**
 * Writes a certificate beside its key, then removes those that it replaces, then writes the issuers' where the card has places for them.
 * Whatever of it was done before an interruption is not done again.
 */
export async function writeBesideKey(
  session: CertificateSession,
  { id, leaf, others, isThere, replaced }: Writing,
  { label, onePlaceEach, describe, signal }: PlacedOptions,
): Promise<void> {
  const options = signal ? { signal } : {};
  const create = (der: Uint8Array, more: Template): Promise<number> =>
    session.cryptoki.C_CreateObject(session.handle, { ...certificateTemplate(der), ...more }, options);
  if (!isThere) await create(leaf, { [CKA.ID]: id, ...(label !== undefined && { [CKA.LABEL]: label }) });
  if (onePlaceEach) return;
  for (const { handle } of replaced) await session.cryptoki.C_DestroyObject(session.handle, handle, options);
  for (const der of others) {
    const [known] = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.VALUE]: der });
    if (known) continue;
    await create(der, { [CKA.ID]: digest("sha1", keyOf(der) ?? der), [CKA.LABEL]: describe(der) });
  }
}

/** A certificate as an object of a token. @throws {DataError} if it is none. */
function certificateTemplate(der: Uint8Array): Template {
  const { subject, issuer, serialNumber } = parseDerCertificate(der);
  return {
    [CKA.CLASS]: CKO.CERTIFICATE,
    [CKA.CERTIFICATE_TYPE]: CKC.X_509,
    [CKA.TOKEN]: true,
    [CKA.SUBJECT]: subject,
    [CKA.ISSUER]: issuer,
    [CKA.SERIAL_NUMBER]: serialNumber,
    [CKA.VALUE]: der,
  };
}
