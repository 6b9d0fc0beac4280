import type { KeyObject } from "node:crypto";
import { encodeTlv } from "../../apdu/index.ts";
import { fromHex } from "../../bytes/index.ts";
import { type Authority, extension, oid, sequence, signCertificate, uri } from "../x509.ts";
import { establishesKeys, SLOT } from "./slot.ts";

export interface CertificateRequest {
  readonly slot: number;
  readonly privateKey: KeyObject;
  /** Common name. */
  readonly name: string;
  readonly issuer: Authority;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Of the card holder, 25 bytes, and of the card, 16 bytes: both stand in the certificate (SP 800-73-4 part 1 section 3.1.2). */
  readonly fascn: Uint8Array;
  readonly guid: Uint8Array;
}

/**
 * An X.509 v3 certificate as PIV cards carry them, with the extensions and thus the size of real ones
 * (RFC 5280; X.509 Certificate and CRL Extensions Profile for SSP).
 */
export function issueCertificate(request: CertificateRequest): Uint8Array {
  return signCertificate({ ...request, extensions: extensions(request) });
}

function extensions({ slot, privateKey, fascn, guid }: CertificateRequest): Uint8Array[] {
  const rsa = privateKey.asymmetricKeyType === "rsa";
  return [
    extension("551d0f", keyUsage(slot, rsa), true),
    extension("551d25", sequence(...extendedKeyUsages(slot))),
    // id-fpki-common-authentication and its siblings.
    extension("551d20", sequence(sequence(oid("6086480165030201030d")))),
    extension("551d11", alternativeNames(fascn, guid)),
    extension(
      "551d1f",
      sequence(sequence(encodeTlv(0xa0, encodeTlv(0xa0, uri("http://crl.example.test/virtual-piv.crl"))))),
    ),
    extension("2b06010505070101", sequence(sequence(oid("2b06010505073001"), uri("http://ocsp.example.test/piv")))),
    // NACI indicator: no background check was made (FIPS 201-1 appendix D.2).
    extension("60864801650306 0901", Uint8Array.of(0x01, 0x01, 0x00)),
  ];
}

/** Bits of KeyUsage: digitalSignature 0, nonRepudiation 1, keyEncipherment 2, keyAgreement 4. */
function keyUsage(slot: number, rsa: boolean): Uint8Array {
  if (slot === SLOT.SIGNATURE) return fromHex("030206c0");
  if (establishesKeys(slot)) return rsa ? fromHex("03020520") : fromHex("03020308");
  return fromHex("03020780");
}

function extendedKeyUsages(slot: number): Uint8Array[] {
  // id-PIV-cardAuth
  if (slot === SLOT.CARD_AUTHENTICATION) return [oid("608648016503060 8")];
  // clientAuth and Microsoft's smart card logon, or emailProtection
  if (slot === SLOT.AUTHENTICATION) return [oid("2b06010505070302"), oid("2b0601040182371402 02")];
  return [oid("2b06010505070304")];
}

/** The FASC-N as pivFASC-N, and the card's UUID as a URN (RFC 4122). */
function alternativeNames(fascn: Uint8Array, guid: Uint8Array): Uint8Array {
  const digits = Buffer.from(guid).toString("hex");
  const uuid = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)];
  return sequence(
    encodeTlv(0xa0, oid("60864801650306 06"), encodeTlv(0xa0, encodeTlv(0x04, fascn))),
    uri(`urn:uuid:${uuid.join("-")}`),
  );
}
