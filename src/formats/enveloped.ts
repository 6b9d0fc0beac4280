import type * as pkijs from "pkijs";
import type { CallOptions } from "../async/index.ts";
import { concat, wipe } from "../bytes/index.ts";
import { digest, type HashName, randomBytes } from "../crypto/index.ts";
import { type Encryption, PublicKey, TokenError } from "../tokens/index.ts";
import type { DecryptingKey } from "./decrypting-key.ts";
import { FormatError, parsing } from "./error.ts";
import { decryptCbc, unwrapAes } from "./key-unwrapping.ts";
import { buffer, HASHES, loadPki, OID, type Pki, readContentInfo } from "./pki.ts";
import { type CertificateInput, readCertificate } from "./signing-certificate.ts";

export interface DecryptCmsOptions extends CallOptions {
  /** Of the key: it says which recipient the key is, where a message has several of its type. */
  readonly certificate?: CertificateInput;
}

const RSAES_OAEP = "1.2.840.113549.1.1.7";
/** AES in CBC mode, and the bytes of its key (RFC 3565). */
const CBC: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.1.2": 16,
  "2.16.840.1.101.3.4.1.22": 24,
  "2.16.840.1.101.3.4.1.42": 32,
};
/** AES key wrap, and the bytes of its key (RFC 3394). */
const WRAPS: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.1.5": 16,
  "2.16.840.1.101.3.4.1.25": 24,
  "2.16.840.1.101.3.4.1.45": 32,
};
/** dhSinglePass-stdDH with the hash of its key derivation (RFC 5753 section 7.1.4). */
const AGREEMENTS: Readonly<Record<string, HashName>> = {
  "1.3.133.16.840.63.0.2": "sha1",
  "1.3.132.1.11.1": "sha256",
  "1.3.132.1.11.2": "sha384",
  "1.3.132.1.11.3": "sha512",
};
const SHA1 = "1.3.14.3.2.26";

/**
 * Encrypts for the holders of certificates as CMS EnvelopedData (RFC 5652 section 6) with AES-256-CBC: RSA-OAEP with SHA-256, or ECDH.
 * @returns ContentInfo, DER.
 * @throws {TokenError} KEY_CANNOT for a certificate whose key only signs.
 */
export async function encryptCms(certificates: readonly CertificateInput[], data: Uint8Array): Promise<Uint8Array> {
  const { pkijs, engine } = await loadPki();
  const message = new pkijs.EnvelopedData();
  if (certificates.length === 0) throw new TokenError("BAD_INPUT", "name the certificate of a recipient at least");
  for (const one of certificates) {
    const { der, publicKey, subject } = readCertificate(one);
    if (!["rsa", "ec"].includes(publicKey.algorithm.type)) {
      throw new TokenError("KEY_CANNOT", `CMS encrypts for no key as that of ${subject} here`);
    }
    const certificate = pkijs.Certificate.fromBER(buffer(der));
    const parameters = { oaepHashAlgorithm: "SHA-256", kdfAlgorithm: "SHA-256", kekEncryptionLength: 256 };
    message.addRecipientByCertificate(certificate, parameters, undefined, engine);
  }
  await message.encrypt({ name: "AES-CBC", length: 256 }, buffer(data), engine);
  const info = new pkijs.ContentInfo({ contentType: OID.envelopedData, content: message.toSchema() });
  return new Uint8Array(info.toSchema().toBER());
}

/**
 * Decrypts CMS EnvelopedData whose content is encrypted with AES-CBC. It says nothing of who encrypted it.
 * @param message ContentInfo, DER or BER.
 * @returns The content; the caller wipes it.
 * @throws {FormatError} NOT_DECRYPTED; MALFORMED, also for an encryption that is not taken.
 * @throws {TokenError} what the key throws.
 */
export async function decryptCms(
  key: DecryptingKey,
  message: Uint8Array,
  { certificate, signal }: DecryptCmsOptions = {},
): Promise<Uint8Array> {
  const pki = await loadPki();
  const info = readContentInfo(pki, message, OID.envelopedData, "the message");
  const enveloped = parsing("the message", () => new pki.pkijs.EnvelopedData({ schema: info.content }));
  const { contentEncryptionAlgorithm, encryptedContent } = enveloped.encryptedContentInfo;
  const length = CBC[contentEncryptionAlgorithm.algorithmId];
  const { algorithmParams: iv } = contentEncryptionAlgorithm as { readonly algorithmParams: unknown };
  if (length === undefined || !encryptedContent || !(iv instanceof pki.asn1js.OctetString)) {
    throw new FormatError(
      "MALFORMED",
      `the message is not encrypted with AES-CBC, but ${contentEncryptionAlgorithm.algorithmId}`,
    );
  }
  const own = certificate === undefined ? undefined : readCertificate(certificate).der;
  const contentKey = await contentKeyFor(pki, key, enveloped, own, length, signal);
  const ciphertext = new Uint8Array(enveloped.encryptedContentInfo.getEncryptedContent());
  return decryptCbc(contentKey, iv.valueBlock.valueHexView, ciphertext).finally(() => {
    wipe(contentKey);
  });
}

async function contentKeyFor(
  pki: Pki,
  key: DecryptingKey,
  { recipientInfos }: pkijs.EnvelopedData,
  own: Uint8Array | undefined,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { algorithm } = await key.publicKey({ signal });
  const { KeyTransRecipientInfo, KeyAgreeRecipientInfo } = pki.pkijs;
  const certificate = own && pki.pkijs.Certificate.fromBER(buffer(own));
  const isOurs = (rid: unknown): boolean => !certificate || names(pki, rid, certificate);
  for (const { value } of recipientInfos) {
    if (value instanceof KeyTransRecipientInfo && algorithm.type === "rsa" && isOurs(value.rid)) {
      return transported(pki, key, value, length, signal);
    }
    if (value instanceof KeyAgreeRecipientInfo && algorithm.type === "ec") {
      const encrypted = value.recipientEncryptedKeys.encryptedKeys.find(({ rid }) => isOurs(rid.value));
      if (encrypted) return agreed(pki, key, value, encrypted.encryptedKey.valueBlock.valueHexView, signal);
    }
  }
  throw new FormatError("NOT_DECRYPTED", "the message has no recipient with this key");
}

function names({ pkijs }: Pki, rid: unknown, { issuer, serialNumber }: pkijs.Certificate): boolean {
  // A recipient by its key identifier may be this one.
  if (!(rid instanceof pkijs.IssuerAndSerialNumber)) return true;
  return rid.issuer.isEqual(issuer) && rid.serialNumber.isEqual(serialNumber);
}

async function transported(
  pki: Pki,
  key: DecryptingKey,
  { keyEncryptionAlgorithm, encryptedKey }: pkijs.KeyTransRecipientInfo,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const box = encryptedKey.valueBlock.valueHexView;
  const { algorithmId, algorithmParams } = keyEncryptionAlgorithm as { algorithmId: string; algorithmParams: unknown };
  if (algorithmId === RSAES_OAEP) {
    return key.decrypt(box, { padding: "oaep", hash: oaepHash(pki, algorithmParams), signal });
  }
  if (algorithmId !== OID.rsaEncryption) throw notTaken(algorithmId);
  // A key of chance in place of a padding that is wrong: an answer must not tell which it was (RFC 3218 section 2.3.2).
  const chance = randomBytes(length);
  const found = await key.decrypt(box, { padding: "pkcs1", signal }).catch((error: unknown) => {
    if (!(error instanceof TokenError && error.is("CKR_ENCRYPTED_DATA_INVALID"))) throw error;
    return chance;
  });
  return found.length === length ? found : chance;
}

const notTaken = (algorithm: string): FormatError =>
  new FormatError("MALFORMED", `the message's key has an encryption that is not taken: ${algorithm}`);

function oaepHash({ pkijs }: Pki, parameters: unknown): NonNullable<Encryption["hash"]> {
  const { hashAlgorithm, maskGenAlgorithm } = parsing(
    "the message",
    () => new pkijs.RSAESOAEPParams({ schema: parameters }),
  );
  const inner = (maskGenAlgorithm as { readonly algorithmParams?: unknown }).algorithmParams;
  const mask =
    inner === undefined
      ? SHA1
      : parsing("the message", () => new pkijs.AlgorithmIdentifier({ schema: inner })).algorithmId;
  if (mask !== hashAlgorithm.algorithmId) throw notTaken("RSA-OAEP with two hashes");
  if (mask === SHA1) return "SHA-1";
  for (const [name, { oid }] of Object.entries(HASHES)) if (oid === mask) return name as keyof typeof HASHES;
  throw notTaken(mask);
}

async function agreed(
  { pkijs, asn1js }: Pki,
  key: DecryptingKey,
  { originator, ukm, keyEncryptionAlgorithm }: pkijs.KeyAgreeRecipientInfo,
  wrapped: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { algorithmId, algorithmParams } = keyEncryptionAlgorithm as { algorithmId: string; algorithmParams: unknown };
  const hash = AGREEMENTS[algorithmId];
  const wrap = parsing("the message", () => new pkijs.AlgorithmIdentifier({ schema: algorithmParams }));
  const length = WRAPS[wrap.algorithmId];
  if (!hash || length === undefined) throw notTaken(algorithmId);
  const { publicKey } = originator.value as {
    readonly publicKey?: { readonly valueBlock: { readonly valueHexView: Uint8Array } };
  };
  if (!publicKey) throw new FormatError("MALFORMED", "the message has no key of its sender");
  const recipient = await key.publicKey({ signal });
  const secret = await key.deriveSecret(peerOf(recipient, publicKey.valueBlock.valueHexView), { signal });
  const bits = new Uint8Array(4);
  new DataView(bits.buffer).setUint32(0, length * 8);
  const info = new pkijs.ECCCMSSharedInfo({
    keyInfo: wrap,
    ...(ukm && { entityUInfo: ukm }),
    suppPubInfo: new asn1js.OctetString({ valueHex: buffer(bits) }),
  });
  const kek = x963(hash, secret, new Uint8Array(info.toSchema().toBER()), length);
  wipe(secret);
  return unwrapAes(wrapped, kek).finally(() => {
    wipe(kek);
  });
}

/** The sender's point, as a key on the recipient's curve: the two differ in their last bytes only. */
function peerOf({ spki }: PublicKey, point: Uint8Array): PublicKey {
  return new PublicKey(concat(spki.subarray(0, spki.length - point.length), point));
}

/** X9.63's derivation of keys (SEC 1 section 3.6.1). @param length In bytes. */
function x963(hash: HashName, secret: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let made = 0;
  for (let counter = 1; made < length; counter++) {
    const part = digest(hash, concat(secret, Uint8Array.of(0, 0, 0, counter), info));
    parts.push(part);
    made += part.length;
  }
  return concat(...parts).slice(0, length);
}
