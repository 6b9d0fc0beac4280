import { refusal } from "./error.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/u;

/** The first certificate in PEM text (RFC 7468 section 5), DER. @throws {DOMException} DataError if there is none. */
export function fromPem(text: string): Uint8Array {
  const body = CERTIFICATE.exec(text)?.[1]?.replaceAll(/\s/gu, "");
  if (!body) throw refusal("DataError", "no certificate in PEM: -----BEGIN CERTIFICATE-----");
  try {
    return Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw refusal("DataError", "the certificate's PEM is no base64", cause);
  }
}

/** A certificate in PEM (RFC 7468 section 5), with a line end at its end. */
export function toPem(der: Uint8Array): string {
  const body = btoa(Array.from(der, (byte) => String.fromCharCode(byte)).join(""));
  return ["-----BEGIN CERTIFICATE-----", ...(body.match(/.{1,64}/gu) ?? []), "-----END CERTIFICATE-----", ""].join(
    "\n",
  );
}
