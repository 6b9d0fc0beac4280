import { DerReader, TAG } from "../asn1/index.ts";
import { DataError, decodePem } from "../bytes/index.ts";

/**
 * SubjectPublicKeyInfo of a certificate request (RFC 2986 section 4.1), PEM or DER; undefined for what is no request.
 */
export function requestKey(bytes: Uint8Array): Uint8Array | undefined {
  const text = new TextDecoder("latin1").decode(bytes);
  try {
    const der = decodePem("CERTIFICATE REQUEST", text) ?? decodePem("NEW CERTIFICATE REQUEST", text) ?? bytes;
    const outer = new DerReader(der, "certificate request");
    const request = outer.enter();
    outer.end();
    const info = request.enter();
    info.unsigned();
    info.next(TAG.SEQUENCE);
    const { encoding } = info.next(TAG.SEQUENCE);
    request.next(TAG.SEQUENCE);
    request.bitStringBytes();
    request.end();
    return encoding;
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}
