import type { CallOptions } from "../async/index.ts";
import { concat, toHex, utf8 } from "../bytes/index.ts";
import { randomBytes } from "../crypto/index.ts";
import { type CmsOptions, hashFor, signedMessage } from "./cms.ts";
import { type TrustOptions, type VerifiedCms, verifyCms } from "./cms-verify.ts";
import { FormatError } from "./error.ts";
import { type CertificateOptions, signingCertificate } from "./signing-certificate.ts";
import type { SigningKey } from "./signing-key.ts";

export interface SmimeOptions
  extends CertificateOptions, CallOptions, Pick<CmsOptions, "hash" | "signingTime" | "timestamp"> {
  /** Media type of the content. Default: "text/plain; charset=utf-8". */
  readonly contentType?: string;
  /** Headers of the message, such as From, To and Subject; they are not signed. */
  readonly headers?: Readonly<Record<string, string>>;
  /** True: the message holds the content inside of the signature, and only programs that know S/MIME show it. Default: false. */
  readonly enclosed?: boolean;
}

/** Longest line of a message, without its end (RFC 5322 section 2.1.1). */
const LONGEST_LINE = 998;
/** Letters in a line of base64 (RFC 2045 section 6.8). */
const BASE64_LINE = 76;

/** Names of hashes in `micalg` (RFC 8551 section 3.5.3.2). */
const MICALG = { "SHA-256": "sha-256", "SHA-384": "sha-384", "SHA-512": "sha-512" } as const;

/**
 * Signs a content as an e-mail message (S/MIME 4.0, RFC 8551): multipart/signed, or application/pkcs7-mime with `enclosed`.
 * @returns The message, with lines that end in CR LF.
 * @throws {FormatError} MALFORMED for a header that is not one line of ASCII; CERTIFICATE_UNFIT with `strict`; TIMESTAMP.
 * @throws {TokenError} as signCms.
 */
export async function signSmime(key: SigningKey, content: Uint8Array, options: SmimeOptions = {}): Promise<Uint8Array> {
  const { contentType = "text/plain; charset=utf-8", headers = {}, enclosed = false } = options;
  const signer = await signingCertificate(key, options, "email");
  const { signal, signingTime, timestamp } = options;
  const hash = hashFor(signer.publicKey.algorithm, options.hash);
  const entity = entityOf(content, contentType);
  const message = await signedMessage(key, signer, entity, {
    detached: !enclosed,
    hash,
    signal,
    ...(signingTime !== undefined && { signingTime }),
    ...(timestamp !== undefined && { timestamp }),
  });
  const outer = [...Object.entries(headers).map(([name, value]) => header(name, value)), "MIME-Version: 1.0"];
  if (enclosed) {
    const type = 'application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"';
    return utf8(lines(...outer, `Content-Type: ${type}`, ...attachment("smime.p7m"), "", ...base64Lines(message)));
  }
  const boundary = `signed-${toHex(randomBytes(16))}`;
  const type = `multipart/signed; protocol="application/pkcs7-signature"; micalg=${MICALG[hash]}; boundary="${boundary}"`;
  const head = lines(...outer, `Content-Type: ${type}`, "", `--${boundary}`);
  const signature = ['Content-Type: application/pkcs7-signature; name="smime.p7s"', ...attachment("smime.p7s"), ""];
  const tail = lines("", `--${boundary}`, ...signature, ...base64Lines(message), "", `--${boundary}--`);
  return concat(utf8(head), entity, utf8(tail));
}

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\r\n`).join("");

const attachment = (name: string): string[] => [
  "Content-Transfer-Encoding: base64",
  `Content-Disposition: attachment; filename="${name}"`,
];

function header(name: string, value: string): string {
  if (/^[!-9;-~]+$/u.test(name) && /^[\t -~]*$/u.test(value)) return `${name}: ${value}`;
  throw new FormatError("MALFORMED", `the header ${JSON.stringify(name)} is not one line of ASCII`);
}

/** The MIME entity that is signed: as it is if it is short lines of ASCII, in base64 otherwise, so that no relay changes it (RFC 8551 section 3.1). */
function entityOf(content: Uint8Array, contentType: string): Uint8Array {
  const text = new TextDecoder("latin1").decode(content).replace(/\r?\n/gu, "\r\n");
  const isPlain = /^[\t\r\n -~]*$/u.test(text) && text.split("\r\n").every((line) => line.length <= LONGEST_LINE);
  const isText = contentType.startsWith("text/");
  const type = header("Content-Type", contentType);
  if (isPlain && isText && !/\r(?!\n)|[\t ]\r\n/u.test(text))
    return utf8(`${lines(type, "Content-Transfer-Encoding: 7bit", "")}${text}`);
  return utf8(lines(type, "Content-Transfer-Encoding: base64", "", ...base64Lines(content)).slice(0, -2));
}

function base64Lines(bytes: Uint8Array): string[] {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).match(new RegExp(`.{1,${BASE64_LINE}}`, "gu")) ?? [""];
}

/**
 * Verifies a signed e-mail message.
 * @returns Its signers, and the MIME entity that was signed.
 * @throws {FormatError} as verifyCms; MALFORMED for a message that is not S/MIME.
 */
export async function verifySmime(message: Uint8Array, options: TrustOptions = {}): Promise<VerifiedCms> {
  // Each letter is a byte.
  const text = latin1(message).replace(/\r?\n/gu, "\r\n");
  const { head, body } = splitEntity(text);
  const type = headerOf(head, "content-type");
  if (/^application\/(?:x-)?pkcs7-mime\b/iu.test(type)) return verifyCms(fromBase64(body), options);
  const boundary = /^multipart\/signed\b.*?\bboundary=(?:"([^"]+)"|([^\s;]+))/isu.exec(type);
  const name = boundary?.[1] ?? boundary?.[2];
  if (name === undefined) throw new FormatError("MALFORMED", "the message is not signed with S/MIME");
  const [, content, signature] = `\r\n${body}`.split(`\r\n--${name}`);
  if (content === undefined || signature === undefined) {
    throw new FormatError("MALFORMED", "the message does not have the two parts of multipart/signed");
  }
  const part = splitEntity(signature.replace(/^[\t ]*\r\n/u, ""));
  const entity = content.replace(/^[\t ]*\r\n/u, "");
  return verifyCms(fromBase64(part.body), {
    ...options,
    content: Uint8Array.from(entity, (letter) => letter.charCodeAt(0)),
  });
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function splitEntity(text: string): { readonly head: string; readonly body: string } {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) throw new FormatError("MALFORMED", "a part of the message has no headers");
  return { head: text.slice(0, end), body: text.slice(end + 4) };
}

/** The value of a header, its lines joined. */
function headerOf(head: string, name: string): string {
  const unfolded = head.replace(/\r\n[\t ]+/gu, " ").split("\r\n");
  const found = unfolded.find((line) => line.toLowerCase().startsWith(`${name}:`));
  return found?.slice(name.length + 1).trim() ?? "";
}

function fromBase64(text: string): Uint8Array {
  const binary = tryBase64(text.replace(/\s/gu, ""));
  if (binary === undefined) throw new FormatError("MALFORMED", "the signature of the message is not base64");
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

function tryBase64(text: string): string | undefined {
  try {
    return atob(text);
  } catch {
    return undefined;
  }
}
