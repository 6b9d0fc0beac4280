import type * as pkijs from "pkijs";
import type { CallOptions } from "../async/index.ts";
import { equalBytes } from "../bytes/index.ts";
import { digest, randomBytes } from "../crypto/index.ts";
import { FormatError, messageOf, parsing } from "./error.ts";
import { buffer, HASHES, loadPki, octets, OID, type Pki, readContentInfo } from "./pki.ts";

/** Asks a time-stamping authority: gets a TimeStampReq in DER, and returns a TimeStampResp in DER (RFC 3161). */
export type TimestampFunction = (request: Uint8Array, options: CallOptions) => Promise<Uint8Array>;

/** The address of a time-stamping authority, http or https, or what asks one. */
export type Timestamp = string | URL | TimestampFunction;

/** Longest answer that is read, in bytes. */
const MAX_RESPONSE = 1 << 20;
/** Milliseconds that an authority may take. */
const PATIENCE = 30_000;
/** In bytes. */
const NONCE_LENGTH = 8;
/** PKIStatus: granted, granted with modifications (RFC 3161 section 2.4.2). */
const GRANTED: readonly number[] = [0, 1];

/**
 * Has an authority state that `data` existed now (RFC 3161), with SHA-256. The answer is checked: it is for this data and this request, and
 * its signature verifies. Whether the authority is one to be trusted is for those who verify.
 * @returns The time-stamp token, ContentInfo in DER.
 * @throws {FormatError} TIMESTAMP; the signal's reason.
 */
export async function requestTimestamp(
  data: Uint8Array,
  timestamp: Timestamp,
  { signal }: CallOptions = {},
): Promise<Uint8Array> {
  const pki = await loadPki();
  const { pkijs, asn1js } = pki;
  const imprint = digest("sha256", data);
  const nonce = new asn1js.Integer({ valueHex: buffer(positive(randomBytes(NONCE_LENGTH))) });
  const request = new pkijs.TimeStampReq({
    version: 1,
    messageImprint: new pkijs.MessageImprint({
      hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: HASHES["SHA-256"].oid }),
      hashedMessage: octets(pki, imprint),
    }),
    nonce,
    certReq: true,
  });
  const answer = await ask(timestamp, new Uint8Array(request.toSchema().toBER()), signal);
  const { token, info } = await checkedAnswer(pki, answer, data);
  if (!info.nonce?.isEqual(nonce)) throw refused("answered another request: the nonce differs");
  return token;
}

/** Has an authority answer a request that a library made; the answer is checked to be for `data`. @returns TimeStampResp, DER. */
export async function answerFor(
  request: Uint8Array,
  data: Uint8Array,
  timestamp: Timestamp,
  { signal }: CallOptions = {},
): Promise<Uint8Array> {
  const answer = await ask(timestamp, request, signal);
  await checkedAnswer(await loadPki(), answer, data);
  return answer;
}

async function checkedAnswer(
  pki: Pki,
  answer: Uint8Array,
  data: Uint8Array,
): Promise<{ readonly token: Uint8Array; readonly info: pkijs.TSTInfo }> {
  const { status, timeStampToken } = parsing("the time stamp's answer", () =>
    pki.pkijs.TimeStampResp.fromBER(buffer(answer)),
  );
  if (!GRANTED.includes(status.status) || !timeStampToken) {
    const reasons = (status.statusStrings ?? []).map((text) => text.valueBlock.value).join("; ");
    throw refused(`refused the request: ${reasons || `status ${status.status}`}`);
  }
  const token = new Uint8Array(timeStampToken.toSchema().toBER());
  const { info } = await verifiedTimestamp(pki, token, data);
  return { token, info };
}

const refused = (what: string, cause?: unknown): FormatError =>
  new FormatError("TIMESTAMP", `the time-stamping authority ${what}`, { cause });

/** A positive INTEGER in its shortest form. */
function positive(bytes: Uint8Array): Uint8Array {
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

async function ask(timestamp: Timestamp, request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  if (typeof timestamp === "function") return timestamp(request, { signal });
  const url = readAddress(timestamp);
  const limit = AbortSignal.timeout(PATIENCE);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/timestamp-query", accept: "application/timestamp-reply" },
      body: buffer(request),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    if (!response.ok) throw refused(`at ${url.host} answered ${response.status} ${response.statusText}`);
    return await readAll(response);
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof FormatError) throw cause;
    throw refused(`at ${url.host} does not answer: ${messageOf(cause)}`, cause);
  }
}

function readAddress(text: string | URL): URL {
  const url = URL.canParse(String(text)) ? new URL(text) : undefined;
  if (url && ["http:", "https:"].includes(url.protocol)) return url;
  throw new FormatError(
    "TIMESTAMP",
    `"${String(text)}" is no address of a time-stamping authority: http://... or https://...`,
  );
}

async function readAll(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // The type of the body differs between Node and browsers; it is a stream of bytes.
  for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > MAX_RESPONSE) throw refused(`answered more than ${MAX_RESPONSE} bytes`);
    parts.push(part);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** What a time-stamp token says, checked against the data that it is for. */
export interface VerifiedTimestamp {
  readonly info: pkijs.TSTInfo;
  readonly message: pkijs.SignedData;
  /** Of the authority. */
  readonly certificate: pkijs.Certificate;
}

/** Id of the purpose that a time-stamping authority's certificate has (RFC 3161 section 2.3). */
const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";

/** @throws {FormatError} TIMESTAMP. */
export async function verifiedTimestamp(pki: Pki, token: Uint8Array, data: Uint8Array): Promise<VerifiedTimestamp> {
  const { pkijs, engine } = pki;
  const content = readContentInfo(pki, token, OID.signedData, "the time stamp");
  const message = parsing("the time stamp", () => new pkijs.SignedData({ schema: content.content }));
  const { eContent, eContentType } = message.encapContentInfo;
  if (eContentType !== OID.timeStampInfo || !eContent) throw refused("gave no time stamp");
  const info = parsing("the time stamp", () => pkijs.TSTInfo.fromBER(eContent.getValue()));
  const { hashAlgorithm, hashedMessage } = info.messageImprint;
  const hash = Object.values(HASHES).find(({ oid }) => oid === hashAlgorithm.algorithmId);
  if (!hash) throw refused(`used a hash that is not taken here: ${hashAlgorithm.algorithmId}`);
  if (!equalBytes(digest(hash.name, data), hashedMessage.valueBlock.valueHexView)) {
    throw refused("gave a time stamp for other data");
  }
  let verified: pkijs.SignedDataVerifyResult;
  try {
    verified = await message.verify({ signer: 0, data: buffer(data), extendedMode: true }, engine);
  } catch (cause) {
    throw refused(`gave a time stamp that does not verify: ${messageOf(cause)}`, cause);
  }
  const { signatureVerified, signerCertificate } = verified;
  if (signatureVerified !== true || !signerCertificate) throw refused("gave a time stamp that does not verify");
  const usage = signerCertificate.extensions?.find(({ extnID }) => extnID === "2.5.29.37")?.parsedValue as unknown;
  if (!(usage instanceof pkijs.ExtKeyUsage) || !usage.keyPurposes.includes(TIME_STAMPING)) {
    throw refused("signed with a certificate that is not for time stamps");
  }
  return { info, message, certificate: signerCertificate };
}
