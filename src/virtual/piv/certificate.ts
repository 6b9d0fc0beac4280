import { createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { encodeTlv } from "../../apdu/index.ts";
import { concat, fromHex, utf8 } from "../../bytes/index.ts";
import { establishesKeys, SLOT } from "./slot.ts";

/** Who signs certificates. */
export interface Authority {
  readonly privateKey: KeyObject;
  readonly name: string;
}

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

const ECDSA_SHA256 = sequence(oid("2a8648ce3d040302"));
const RSA_SHA256 = sequence(oid("2a864886f70d01010b"), encodeTlv(0x05));

/**
 * An X.509 v3 certificate as PIV cards carry them, with the extensions and thus the size of real ones
 * (RFC 5280; X.509 Certificate and CRL Extensions Profile for SSP).
 */
export function issueCertificate(request: CertificateRequest): Uint8Array {
  const { privateKey, issuer, name, notBefore, notAfter } = request;
  const algorithm = issuer.privateKey.asymmetricKeyType === "rsa" ? RSA_SHA256 : ECDSA_SHA256;
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const tbs = sequence(
    encodeTlv(0xa0, encodeTlv(0x02, Uint8Array.of(2))),
    encodeTlv(0x02, serial),
    algorithm,
    distinguishedName(issuer.name),
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(name),
    createPublicKey(privateKey).export({ format: "der", type: "spki" }),
    encodeTlv(0xa3, sequence(...extensions(request))),
  );
  return sequence(tbs, algorithm, bitString(sign("sha256", tbs, issuer.privateKey)));
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

function distinguishedName(commonName: string): Uint8Array {
  const attribute = (type: string, tag: number, text: string): Uint8Array =>
    encodeTlv(0x31, sequence(oid(type), encodeTlv(tag, utf8(text))));
  return sequence(
    attribute("550406", 0x13, "ZZ"),
    attribute("55040a", 0x0c, "Test Cards"),
    attribute("550403", 0x0c, commonName),
  );
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
function time(date: Date): Uint8Array {
  const digits = `${date.toISOString().slice(0, 19).replace(/\D/gu, "")}Z`;
  return date.getUTCFullYear() < 2050 ? encodeTlv(0x17, utf8(digits.slice(2))) : encodeTlv(0x18, utf8(digits));
}

function extension(id: string, value: Uint8Array, critical = false): Uint8Array {
  return sequence(oid(id), critical ? Uint8Array.of(0x01, 0x01, 0xff) : new Uint8Array(), encodeTlv(0x04, value));
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return encodeTlv(0x30, ...parts);
}

/** An object identifier, given as its encoded content. */
function oid(content: string): Uint8Array {
  return encodeTlv(0x06, fromHex(content));
}

function uri(text: string): Uint8Array {
  return encodeTlv(0x86, utf8(text));
}

function bitString(bytes: Uint8Array): Uint8Array {
  return encodeTlv(0x03, concat(Uint8Array.of(0), bytes));
}
