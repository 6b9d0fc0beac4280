import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError } from "../../src/bytes/index.ts";
import { formatUri, isUri, parseUri, type Pkcs11Uri } from "../../src/cryptoki/uri.ts";
import { growth } from "./growth.ts";

describe("reading the examples of RFC 7512 section 3", () => {
  test.each<[string, Pkcs11Uri]>([
    ["pkcs11:", {}],
    ["pkcs11:object=my-pubkey;type=public", { object: "my-pubkey", type: "public" }],
    [
      "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
      { object: "my-key", type: "private", pinSource: "file:/etc/token" },
    ],
    [
      "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
      {
        token: "The Software PKCS#11 Softtoken",
        manufacturer: "Snake Oil, Inc.",
        model: "1.0",
        object: "my-certificate",
        type: "cert",
        id: Uint8Array.of(0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91),
        serial: "",
        pinSource: "file:/etc/token_pin",
      },
    ],
    [
      "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
      { object: "my-sign-key", type: "private", moduleName: "mypkcs11" },
    ],
    [
      "pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1",
      { object: "my-sign-key", type: "private", modulePath: "/mnt/libmypkcs11.so.1" },
    ],
    [
      "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-value=the-pin",
      { token: "Software PKCS#11 softtoken", manufacturer: "Snake Oil, Inc.", pinValue: "the-pin" },
    ],
    ["pkcs11:slot-description=Sun%20Metaslot", { slotDescription: "Sun Metaslot" }],
    [
      "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;library-version=1.23",
      {
        libraryManufacturer: "Snake Oil, Inc.",
        libraryDescription: "Soft Token Library",
        libraryVersion: { major: 1, minor: 23 },
      },
    ],
    [
      "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06",
      {
        token: "My token% created by Joe",
        libraryVersion: { major: 3, minor: 0 },
        id: Uint8Array.of(1, 2, 3, 0xba, 0xdd, 0xca, 0xfe, 4, 5, 6),
      },
    ],
    [
      "pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert",
      { token: "A name with a substring %;", object: "my-certificate", type: "cert" },
    ],
    [
      "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;type=cert",
      { token: "Name with a small A with acute: á", object: "my-certificate", type: "cert" },
    ],
    [
      "pkcs11:token=my-token;object=my-certificate;type=cert;vendor-aaa=value-a?pin-source=file:/etc/token_pin&vendor-bbb=value-b",
      {
        token: "my-token",
        object: "my-certificate",
        type: "cert",
        vendorPath: { "vendor-aaa": "value-a" },
        pinSource: "file:/etc/token_pin",
        vendorQuery: { "vendor-bbb": ["value-b"] },
      },
    ],
  ])("%s", (text, uri) => {
    expect(parseUri(text)).toEqual(uri);
    expect(parseUri(formatUri(uri))).toEqual(uri);
  });
});

describe("refusing", () => {
  test.each([
    ["another scheme", "https://example.test"],
    ["no scheme", "token=x"],
    ["an attribute without a value", "pkcs11:token"],
    ["an attribute without a name", "pkcs11:=x"],
    ["an empty attribute", "pkcs11:token=x;;object=y"],
    ["a separator at the end", "pkcs11:token=x;"],
    ["a blank", "pkcs11:token=my token"],
    ["a character beyond ASCII", "pkcs11:token=á"],
    ["a slash in the path", "pkcs11:token=a/b"],
    ["a fragment", "pkcs11:token=x#y"],
    ["half a percent code", "pkcs11:token=%2"],
    ["a percent code that is none", "pkcs11:token=%zz"],
    ["text that is not UTF-8", "pkcs11:token=%C3"],
    ["an attribute twice", "pkcs11:token=a;token=a"],
    ["a vendor's path attribute twice", "pkcs11:x-a=a;x-a=a"],
    ["a query attribute twice", "pkcs11:?pin-source=a&pin-source=b"],
    ["pin-source beside pin-value", "pkcs11:?pin-source=a&pin-value=b"],
    ["an unknown type", "pkcs11:type=pubkey"],
    ["a slot ID that is no number", "pkcs11:slot-id=one"],
    ["a slot ID without digits", "pkcs11:slot-id="],
    ["a slot ID beyond exact numbers", "pkcs11:slot-id=9999999999999999"],
    ["a version of three parts", "pkcs11:library-version=1.2.3"],
    ["a version beyond a byte", "pkcs11:library-version=256"],
    ["a version without its minor part", "pkcs11:library-version=1."],
    ["more than 64 Ki characters", `pkcs11:token=${"x".repeat(65_536)}`],
  ])("%s", (_, text) => {
    expect(() => parseUri(text)).toThrow(DataError);
  });

  test("a PIN with a wrong character is not repeated in the message", () => {
    expect(() => parseUri("pkcs11:?pin-value=12 34")).toThrow(/^(?!.*34).*pin-value/u);
  });
});

test("the scheme's case does not matter, an attribute's does", () => {
  expect(parseUri("PKCS11:token=a")).toEqual({ token: "a" });
  expect(parseUri("pkcs11:Token=a")).toEqual({ vendorPath: { Token: "a" } });
});

const text = fc.string({ unit: "binary" });
const byte = fc.integer({ min: 0, max: 255 });
const vendorName = fc.stringMatching(/^x-[\w-]{0,8}$/u);
const uris = fc
  .record(
    {
      token: text,
      manufacturer: text,
      serial: text,
      model: text,
      libraryManufacturer: text,
      libraryDescription: text,
      libraryVersion: fc.record({ major: byte, minor: byte }, { noNullPrototype: true }),
      object: text,
      type: fc.constantFrom("public", "private", "cert", "secret-key", "data"),
      id: fc.uint8Array({ maxLength: 40 }),
      slotDescription: text,
      slotManufacturer: text,
      slotId: fc.maxSafeNat(),
      pinSource: text,
      moduleName: text,
      modulePath: text,
      vendorPath: fc.dictionary(vendorName, text, { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
      vendorQuery: fc.dictionary(vendorName, fc.array(text, { minLength: 1, maxLength: 3 }), {
        minKeys: 1,
        maxKeys: 3,
        noNullPrototype: true,
      }),
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .map((uri) => uri as Pkcs11Uri);

test("what is written is read back", () => {
  fc.assert(
    fc.property(uris, (uri) => {
      expect(parseUri(formatUri(uri))).toEqual(uri);
    }),
  );
});

test("any text is read, or refused with a DataError", () => {
  const pieces = fc.constantFrom("token", "id", "slot-id", "=", ";", "&", "?", "%", "%41", "%C3", "1", "é", " ", "x-v");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map((parts) => parts.join("")),
      ),
      (rest) => {
        let uri;
        try {
          uri = parseUri(`pkcs11:${rest}`);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
          return;
        }
        expect(parseUri(formatUri(uri))).toEqual(uri);
      },
    ),
  );
});

test("what is no URI of this scheme is told apart without reading it", () => {
  expect(isUri("pkcs11:nonsense")).toBe(true);
  expect(isUri("letter.txt")).toBe(false);
});

test.each([
  ["path attributes of its own", (count: number) => pieces(count, (at) => `a${at}=`, ";")],
  ["query attributes of its own", (count: number) => `?${pieces(count, (at) => `a${at}=`, "&")}`],
  ["one query attribute again and again", (count: number) => `?${pieces(count, () => "x=", "&")}`],
  ["escaped characters", (count: number) => `token=${"%41".repeat(2 * count)}`],
  ["plain characters", (count: number) => `token=${"a".repeat(6 * count)}`],
])("a URI with many %s takes a time that grows as its length does", (_, make) => {
  const read = (count: number): void => {
    parseUri(`pkcs11:${make(count)}`);
  };
  expect(make(8_000).length).toBeGreaterThan(20_000);
  expect(growth(read, 1_000, 8)).toBeLessThan(32);
});

function pieces(count: number, piece: (at: number) => string, separator: string): string {
  return Array.from({ length: count }, (_, at) => piece(at)).join(separator);
}
