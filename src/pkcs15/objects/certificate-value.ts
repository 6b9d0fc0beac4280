import { MalformedAnswerError } from "../../apdu/index.ts";
import { berLength, TAG } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import { readStoredCertificate } from "../../card/index.ts";
import type { CardContents } from "./contents.ts";
import type { CertificateEntry } from "../syntax/certificate.ts";
import { isGuarded } from "../syntax/object.ts";

/** The certificate that an entry leads to, DER. @throws {MalformedAnswerError} if what is there is none. */
export async function readCertificateOf(
  contents: CardContents,
  { value, head }: CertificateEntry,
): Promise<Uint8Array> {
  const where = `certificate ${head.label}`;
  if (!value) throw new MalformedAnswerError(`${where} is not X.509`);
  const options = { enough: isWhole, guarded: isGuarded(head) };
  try {
    return await contents.parsed(value, where, options, (bytes) => readStoredCertificate(bytes));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    contents.report(where, cause.message);
    throw new MalformedAnswerError(`${where} does not parse: ${cause.message}`, { cause });
  }
}

/** Nothing behind the certificate that the file begins with is wanted. Of a compressed one, no length tells the end. */
function isWhole(bytes: Uint8Array): boolean {
  try {
    const length = bytes[0] === TAG.SEQUENCE ? berLength(bytes) : undefined;
    return length !== undefined && bytes.length >= length;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
