import { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { describe, expect, test } from "@jest/globals";
import { fromBER, Sequence } from "asn1js";
import fc from "fast-check";
import {
  berContents,
  contextTag,
  derBitString,
  derNull,
  derOctetString,
  derOid,
  derSequence,
  derUnsigned,
  encodeDer,
  extractCertificate,
  parseCertificate,
  parseDerCertificate,
  TAG,
} from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { shareOf } from "../seeded-random.ts";

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

/** A certificate with the given fields; its signature is not checked here. */
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
    expect(() => parseCertificate(concat(der, Uint8Array.of(0)))).toThrow("certificate: 1 bytes too many at 199");
    for (let length = 0; length < der.length; length++) {
      expect(() => parseCertificate(der.subarray(0, length))).toThrow(
        /^certificate: \d+ bytes needed at [0-3], \d+ left$/u,
      );
    }
  });

  test.each([
    ["0", "020100"],
    ["negative", "0201ff"],
    ["padded", "02020001"],
    ["padded and negative", "0202ff80"],
    ["of 64 bytes", `0240${"01".repeat(64)}`],
  ])("a serial number that is %s is given as it is written", (_, serialNumber) => {
    expect(toHex(parseCertificate(build({ serialNumber: fromHex(serialNumber) })).serialNumber)).toBe(serialNumber);
  });

  test.each([
    ["is empty", "0200", "serial number: an INTEGER without contents"],
    ["is no INTEGER", "040101", "certificate: tag 04 at 5 instead of 02"],
  ])("a serial number that %s is refused", (_, serialNumber, refusal) => {
    expect(() => parseCertificate(build({ serialNumber: fromHex(serialNumber) }))).toThrow(refusal);
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
      { numRuns: shareOf(2000) },
    );
  });
});

describe("the structure of a certificate", () => {
  const algorithm = derSequence(derOid("1.2.840.10045.4.3.2"));
  const signature = derBitString(new Uint8Array(70));
  const validity = derSequence(utcTime("240102030405Z"), utcTime("340102030405Z"));
  const other = derOctetString(new Uint8Array(3));
  const FIELDS = ["serial number", "signature", "issuer", "validity", "subject", "public key"] as const;
  const fields = (): Uint8Array[] => [derUnsigned(Uint8Array.of(1)), algorithm, NAME, validity, NAME, SPKI];
  const whole = (tbs: readonly Uint8Array[], ...rest: readonly Uint8Array[]): Uint8Array =>
    derSequence(derSequence(...tbs), ...(rest.length > 0 ? rest : [algorithm, signature]));

  test.each(FIELDS.map((name, index) => [name, index] as const))("the %s has its tag", (_, index) => {
    expect(() => parseCertificate(whole(fields().with(index, other)))).toThrow(
      new RegExp(`^certificate: tag 04 at \\d+ instead of ${index === 0 ? "02" : "30"}$`, "u"),
    );
  });

  test.each([
    ["an algorithm of another type", [other, signature], "tag 04 at \\d+ instead of 30"],
    ["a signature of another type", [algorithm, other], "tag 04 at \\d+ instead of 03"],
    ["a signature that is not whole bytes", [algorithm, fromHex("030204f0")], "a BIT STRING that is not whole bytes"],
    ["something behind the signature", [algorithm, signature, other], "5 bytes too many at \\d+"],
  ])("refuses %s", (_, rest, refusal) => {
    expect(() => parseCertificate(whole(fields(), ...rest))).toThrow(new RegExp(`^certificate: ${refusal}$`, "u"));
  });

  test("the unique identifiers of version 2 are passed over, and nothing may come behind the extensions", () => {
    const extensions = encodeDer(
      contextTag(3, "constructed"),
      derSequence(extension(BASIC_CONSTRAINTS, derSequence(fromHex("0101ff")))),
    );
    const identifiers = [1, 2].map((number) => encodeDer(contextTag(number, "primitive"), fromHex("0001")));
    expect(parseCertificate(whole([...fields(), ...identifiers, extensions])).authority).toBe(true);
    expect(() => parseCertificate(whole([...fields(), ...identifiers, extensions, other]))).toThrow(
      /^certificate: 5 bytes too many at \d+$/u,
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
    const certificate = parseCertificate(build({ validity: [utcTime("24010203Z"), utcTime("340102030405Z")] }));
    expect(certificate.subjectPublicKeyInfo).toEqual(SPKI);
    expect(() => certificate.notBefore).toThrow("time: neither a UTCTime nor a GeneralizedTime of a certificate");
    expect(certificate.notAfter).toEqual(new Date("2034-01-02T03:04:05Z"));
    expect(certificate.writtenValidity).toEqual({ notBefore: "24010203Z", notAfter: "340102030405Z" });
  });
});

describe("odd dates", () => {
  const digits = (length: number): fc.Arbitrary<string> =>
    fc.nat(10 ** length - 1).map((number) => number.toString().padStart(length, "0"));
  /** The bounds that a calendar has, and what is just beyond them. */
  const part = (...bounds: readonly string[]): fc.Arbitrary<string> =>
    fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...bounds) }, { weight: 1, arbitrary: digits(2) });
  const year = fc.oneof(fc.constantFrom("00", "49", "50", "99", "0000", "0099", "1949", "9999", "10000"), digits(4));
  const seconds = fc.oneof({ weight: 3, arbitrary: part("00", "59", "60") }, fc.constantFrom("", "0", "-1"));
  const fraction = fc.constantFrom("", "", ".", ".5", ".000", ",5");
  const zone = fc.constantFrom("Z", "Z", "Z", "", "z", "+0000", "-2400", "+9999", "ZZ");
  const calendar = fc
    .tuple(
      year,
      part("00", "01", "02", "12", "13"),
      part("00", "01", "28", "29", "30", "31", "32"),
      part("00", "23", "24"),
      part("00", "59", "60"),
      seconds,
      fraction,
      zone,
    )
    .map((parts) => utf8(parts.join("")));
  const tag = fc.constantFrom(TAG.UTC_TIME, TAG.GENERALIZED_TIME, TAG.UTF8_STRING, TAG.SEQUENCE);
  const time = fc
    .tuple(tag, fc.oneof({ weight: 5, arbitrary: calendar }, { weight: 1, arbitrary: fc.uint8Array() }))
    .map(([identifier, contents]) => encodeDer(identifier, contents));
  const fine = utcTime("240102030405Z");

  test("give a moment that can be written, or a DataError, and nothing else", () => {
    let [moments, refusals] = [0, 0];
    fc.assert(
      fc.property(fc.array(fc.oneof(time, fc.constant(fine)), { maxLength: 3 }), (validity) => {
        const certificate = parseCertificate(build({ validity }));
        for (const read of [() => certificate.notBefore, () => certificate.notAfter]) {
          let moment: Date;
          try {
            moment = read();
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
            expect((error as Error).message).toMatch(/^(time|validity): /u);
            refusals++;
            continue;
          }
          // Writing an invalid Date throws a RangeError.
          expect(moment.toISOString()).toMatch(/^\d{4}-/u);
          moments++;
        }
      }),
      { numRuns: shareOf(3000) },
    );
    // Both happen, or the property says nothing.
    expect(moments).toBeGreaterThan(10);
    expect(refusals).toBeGreaterThan(10);
  });

  test.each([
    ["month 13", generalizedTime("20241301000000Z"), "time: no such day or hour"],
    ["day 0", generalizedTime("20240100000000Z"), "time: no such day or hour"],
    ["month 0 of year 0", generalizedTime("00000001000000Z"), "time: no such day or hour"],
    ["a fraction of a UTCTime's second", utcTime("240102030405.5Z"), "time: neither a UTCTime"],
    ["no minutes", utcTime("24010203Z"), "time: neither a UTCTime"],
    ["garbage", encodeDer(TAG.UTC_TIME, fromHex("ff00fe01")), "time: neither a UTCTime"],
  ])("%s as the end is refused as that, and the beginning is read", (_, end, refusal) => {
    const certificate = parseCertificate(build({ validity: [fine, end] }));
    expect(certificate.notBefore).toEqual(new Date("2024-01-02T03:04:05Z"));
    expect(() => certificate.notAfter).toThrow(refusal);
  });

  test("a length beyond the end is refused for both", () => {
    const certificate = parseCertificate(build({ validity: [fine, fromHex("1705323430")] }));
    expect(() => certificate.notBefore).toThrow("validity: 5 bytes needed at");
    expect(() => certificate.notAfter).toThrow("validity: 5 bytes needed at");
  });

  test("three of them are refused", () => {
    const certificate = parseCertificate(build({ validity: [fine, fine, fine] }));
    expect(() => certificate.notAfter).toThrow("validity: 15 bytes too many at 30");
  });

  test("the year 0 is one", () => {
    const certificate = parseCertificate(build({ validity: [generalizedTime("00000229000000Z"), fine] }));
    expect(certificate.notBefore.toISOString()).toBe("0000-02-29T00:00:00.000Z");
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

  test.each([
    ["a key usage with something behind it", [KEY_USAGE, "030203c8 00"], "key usage: 1 bytes too many at 4"],
    ["a key usage of another type", [KEY_USAGE, "0401c8"], "key usage: tag 04 at 0 instead of 03"],
  ])("%s is refused when it is asked for", (_, [oid = "", hex = ""], refusal) => {
    const certificate = parseCertificate(build({ extensions: [extension(oid, fromHex(hex))] }));
    expect(() => certificate.keyUsage).toThrow(refusal);
    expect(certificate.authority).toBe(false);
  });

  test("one with something behind its value is refused", () => {
    const one = derSequence(derOid("1.2.3"), CRITICAL, derOctetString(new Uint8Array()), derNull());
    const certificate = parseCertificate(build({ extensions: [one] }));
    expect(() => certificate.keyUsage).toThrow("extensions: 2 bytes too many at");
    expect(() => certificate.authority).toThrow("extensions: 2 bytes too many at");
  });

  test("the freedoms of BER are taken for what they mean", () => {
    const extensions = [
      extension(BASIC_CONSTRAINTS, fromHex("3003010101"), fromHex("010101")),
      extension(KEY_USAGE, fromHex("038102037f")),
    ];
    const certificate = parseCertificate(build({ extensions }));
    expect(certificate.authority).toBe(true);
    expect(certificate.keyUsage).toMatchObject({ digitalSignature: false, nonRepudiation: true, keyAgreement: true });
  });

  test("one that is there twice is refused when it is asked for", () => {
    const extensions = ["0101ff", ""].map((ca) => extension(BASIC_CONSTRAINTS, derSequence(fromHex(ca))));
    const certificate = parseCertificate(build({ extensions }));
    expect(() => certificate.authority).toThrow(`certificate: extension ${BASIC_CONSTRAINTS} twice`);
    expect(certificate.keyUsage).toBeUndefined();
  });
});

describe("a certificate in BER", () => {
  const der = build({ extensions: [extension(KEY_USAGE, fromHex("030203c8"), CRITICAL)] });
  /** The elements within the outermost one. */
  const inside = berContents(der).elements;
  const [tbs = der, algorithm = der, signature = der] = inside;
  /** A SEQUENCE whose length takes more bytes than it needs. */
  const longForm = (...parts: Uint8Array[]): Uint8Array => {
    const contents = concat(...parts);
    return concat(fromHex("308400"), fromHex(contents.length.toString(16).padStart(6, "0")), contents);
  };
  const indefinite = (...parts: Uint8Array[]): Uint8Array => concat(fromHex("3080"), ...parts, fromHex("0000"));
  const tbsParts = berContents(tbs).elements;

  test.each([
    ["a length in more bytes than it needs", longForm(...inside)],
    ["a length that its contents tell", indefinite(...inside)],
    ["both, one in the other", longForm(tbs, indefinite(...berContents(algorithm).elements), signature)],
  ])("%s around what is signed: the certificate in DER", (_, ber) => {
    expect(extractCertificate(ber)).toEqual(der);
    expect(parseCertificate(ber).subjectPublicKeyInfo).toEqual(SPKI);
    expect(() => parseDerCertificate(ber)).toThrow(/^certificate: length /u);
  });

  test.each([
    ["a length in more bytes than it needs", longForm(...tbsParts)],
    ["a length that its contents tell", indefinite(...tbsParts)],
  ])("%s of what is signed: it stays as it is, and is read", (_, changed) => {
    const extracted = extractCertificate(derSequence(changed, algorithm, signature));
    expect(toHex(extracted)).toContain(toHex(changed));
    const certificate = parseCertificate(extracted);
    expect(certificate.subject).toEqual(NAME);
    expect(certificate.keyUsage?.keyAgreement).toBe(true);
  });

  test("names and the public key are given in DER", () => {
    const longName = concat(fromHex("308100").with(2, NAME.length - 2), NAME.subarray(2));
    const changed = derSequence(...tbsParts.with(3, longName).with(5, longName));
    const certificate = parseCertificate(derSequence(changed, algorithm, signature));
    expect(certificate.subject).toEqual(NAME);
    expect(certificate.issuer).toEqual(NAME);
  });

  test("what is behind a certificate is left out, and refused where only a certificate belongs", () => {
    for (const behind of ["00", "ffff", "30820000", "00".repeat(100)].map((hex) => fromHex(hex))) {
      expect(extractCertificate(concat(der, behind))).toEqual(der);
      expect(() => parseCertificate(concat(der, behind))).toThrow(/^certificate: \d+ bytes too many at /u);
      expect(() => parseDerCertificate(concat(der, behind))).toThrow(/^certificate: \d+ bytes too many at /u);
    }
  });

  test.each([
    ["nothing", new Uint8Array(), "certificate: it does not begin with a SEQUENCE"],
    ["a SET", encodeDer(TAG.SET, ...inside), "certificate: it does not begin with a SEQUENCE"],
    ["two elements", derSequence(tbs, algorithm), "certificate: not three elements"],
    ["four elements", derSequence(...inside, derNull()), "certificate: not three elements"],
    ["a certificate that is cut off", der.subarray(0, -1), "bytes at 3, "],
    ["a length that its contents do not tell", concat(fromHex("3080"), ...inside), "certificate: cut off at "],
  ])("%s: refused", (_, bytes, refusal) => {
    expect(() => extractCertificate(bytes)).toThrow(refusal);
  });

  test("what is written keeps to DER", () => {
    expect(parseDerCertificate(der).subject).toEqual(NAME);
    expect(() => parseDerCertificate(build({ serialNumber: fromHex("02020001") }))).toThrow(
      "serial number: an INTEGER that is not in its shortest form",
    );
    // Authorities with such numbers exist, and a card may hold their certificates.
    expect(toHex(parseDerCertificate(build({ serialNumber: fromHex("0201ff") })).serialNumber)).toBe("0201ff");
  });

  test("any bytes hold a certificate or none", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.uint8Array().map((bytes) => concat(fromHex("3080"), bytes)),
        ),
        (bytes) => {
          readsOrRefuses(() => parseCertificate(extractCertificate(bytes)));
        },
      ),
    );
  });

  test("with bytes changed one is found, alone and the same once more, or none is", () => {
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (index, value) => {
        readsOrRefuses(() => {
          const found = extractCertificate(der.with(index, value));
          expect(extractCertificate(found)).toEqual(found);
        });
      }),
      { numRuns: shareOf(2000) },
    );
  });
});
