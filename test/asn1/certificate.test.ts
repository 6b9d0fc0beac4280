import { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { describe, expect, test } from "@jest/globals";
import { fromBER, Sequence } from "asn1js";
import fc from "fast-check";
import {
  contextTag,
  derBitString,
  derOctetString,
  derOid,
  derSequence,
  derUnsigned,
  encodeDer,
  parseCertificate,
  TAG,
} from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";

const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";
const CRITICAL = fromHex("0101ff");
const NAME = derSequence(encodeDer(TAG.SET, derSequence(derOid("2.5.4.3"), encodeDer(TAG.UTF8_STRING, utf8("Zoë")))));
const SPKI = fromHex("301306072a8648ce3d020106082a8648ce3d030107");

const utcTime = (text: string): Uint8Array => encodeDer(TAG.UTC_TIME, utf8(text));
const generalizedTime = (text: string): Uint8Array => encodeDer(TAG.GENERALIZED_TIME, utf8(text));
const extension = (oid: string, value: Uint8Array, ...critical: Uint8Array[]): Uint8Array =>
  derSequence(derOid(oid), ...critical, derOctetString(value));

interface Parts {
  serialNumber?: Uint8Array;
  validity?: readonly Uint8Array[];
  extensions?: readonly Uint8Array[];
}

/** A certificate with the fields given; nobody checks its signature here. */
function build({ serialNumber, validity, extensions = [] }: Parts = {}): Uint8Array {
  const algorithm = derSequence(derOid("1.2.840.10045.4.3.2"));
  const tbs = derSequence(
    encodeDer(contextTag(0, "constructed"), derUnsigned(Uint8Array.of(2))),
    serialNumber ?? derUnsigned(fromHex("ff01")),
    algorithm,
    NAME,
    derSequence(...(validity ?? [utcTime("240102030405Z"), utcTime("340102030405Z")])),
    NAME,
    SPKI,
    ...(extensions.length > 0 ? [encodeDer(contextTag(3, "constructed"), derSequence(...extensions))] : []),
  );
  return derSequence(tbs, algorithm, derBitString(new Uint8Array(70)));
}

/** Runs `read`, which may throw a DataError and nothing else. */
function readsOrRefuses(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
  }
}

describe("the root certificates that Node brings, beside Node's own reader and asn1js", () => {
  const roots = rootCertificates.map((pem) => new X509Certificate(pem));

  test.each(roots.map((root) => [root.subject.replaceAll("\n", ", "), root] as const))("%s", (_, root) => {
    const certificate = parseCertificate(new Uint8Array(root.raw));
    const spki = root.publicKey.export({ format: "der", type: "spki" });
    expect(toHex(certificate.subjectPublicKeyInfo)).toBe(toHex(spki));
    expect(BigInt(`0x${toHex(certificate.serialNumber.subarray(2))}`)).toBe(BigInt(`0x${root.serialNumber}`));
    expect(certificate.notBefore).toEqual(new Date(root.validFrom));
    expect(certificate.notAfter).toEqual(new Date(root.validTo));
    expect(certificate.authority).toBe(root.ca);

    const fields = tbsFields(root.raw);
    expect(fields).toContain(toHex(certificate.serialNumber));
    expect(fields).toContain(toHex(certificate.issuer));
    expect(fields).toContain(toHex(certificate.subject));
  });

  /** The elements of a TBSCertificate as asn1js finds them, hexadecimal. */
  function tbsFields(der: Uint8Array): string[] {
    const { result } = fromBER(Uint8Array.from(der));
    const [tbs] = result instanceof Sequence ? result.valueBlock.value : [];
    const fields = tbs instanceof Sequence ? tbs.valueBlock.value : [];
    return fields.map((field) => toHex(field.valueBeforeDecodeView));
  }
});

describe("parseCertificate", () => {
  test("gives the fields as DER", () => {
    const certificate = parseCertificate(build());
    expect(toHex(certificate.serialNumber)).toBe("020300ff01");
    expect(certificate.issuer).toEqual(NAME);
    expect(certificate.subject).toEqual(NAME);
    expect(certificate.subjectPublicKeyInfo).toEqual(SPKI);
  });

  test("refuses bytes behind the certificate, and every way of cutting it off", () => {
    const der = build();
    expect(() => parseCertificate(concat(der, Uint8Array.of(0)))).toThrow(/^certificate: 1 bytes too many/u);
    for (let length = 0; length < der.length; length++) {
      expect(() => parseCertificate(der.subarray(0, length))).toThrow(
        /^certificate: \d+ bytes wanted at [0-3], \d+ left$/u,
      );
    }
  });

  test("refuses a serial number that is not in its shortest form", () => {
    expect(() => parseCertificate(build({ serialNumber: fromHex("02020001") }))).toThrow(
      "serial number: an INTEGER that is not in its shortest form",
    );
  });

  test("with bytes changed it is read or refused, and nothing else", () => {
    const der = build({ extensions: [extension(BASIC_CONSTRAINTS, derSequence(fromHex("0101ff")), CRITICAL)] });
    const change = fc.tuple(fc.nat(der.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const changed = der.slice();
        for (const [index, value] of changes) changed[index] = value;
        readsOrRefuses(() => {
          const certificate = parseCertificate(changed);
          readsOrRefuses(() => certificate.notBefore);
          readsOrRefuses(() => certificate.keyUsage);
          readsOrRefuses(() => certificate.authority);
        });
      }),
      { numRuns: 2000 },
    );
  });
});

describe("validity", () => {
  test("has a GeneralizedTime from 2050 on", () => {
    const certificate = parseCertificate(
      build({ validity: [utcTime("240102030405Z"), generalizedTime("20611231235959Z")] }),
    );
    expect(certificate.notBefore).toEqual(new Date("2024-01-02T03:04:05Z"));
    expect(certificate.notAfter).toEqual(new Date("2061-12-31T23:59:59Z"));
  });

  test("that does not parse leaves the rest of the certificate readable", () => {
    const certificate = parseCertificate(build({ validity: [utcTime("2401020304Z"), utcTime("340102030405Z")] }));
    expect(certificate.subjectPublicKeyInfo).toEqual(SPKI);
    expect(() => certificate.notBefore).toThrow("time: not in the form of RFC 5280 4.1.2.5");
    expect(certificate.writtenValidity).toEqual({ notBefore: "2401020304Z", notAfter: "340102030405Z" });
  });
});

describe("extensions", () => {
  test("without them the key usage is not said, and the certificate is no authority's", () => {
    const certificate = parseCertificate(build());
    expect(certificate.keyUsage).toBeUndefined();
    expect(certificate.authority).toBe(false);
  });

  test("key usage, the bits of RFC 5280 section 4.2.1.3", () => {
    const keyUsage = extension(KEY_USAGE, fromHex("030203c8"), CRITICAL);
    const certificate = parseCertificate(build({ extensions: [extension("2.5.29.14", fromHex("0400")), keyUsage] }));
    expect(certificate.keyUsage).toEqual({
      digitalSignature: true,
      nonRepudiation: true,
      keyEncipherment: false,
      dataEncipherment: false,
      keyAgreement: true,
      keyCertSign: false,
      crlSign: false,
    });
  });

  test.each([
    ["", false],
    ["0101ff", true],
    ["0101ff020100", true],
    ["010100", false],
  ])("basic constraints %j", (contents, authority) => {
    const extensions = [extension(BASIC_CONSTRAINTS, derSequence(fromHex(contents)), CRITICAL)];
    expect(parseCertificate(build({ extensions })).authority).toBe(authority);
  });

  test("one that is there twice is refused when it is asked for", () => {
    const extensions = ["0101ff", ""].map((ca) => extension(BASIC_CONSTRAINTS, derSequence(fromHex(ca))));
    const certificate = parseCertificate(build({ extensions }));
    expect(() => certificate.authority).toThrow(/twice/u);
    expect(certificate.keyUsage).toBeUndefined();
  });
});
