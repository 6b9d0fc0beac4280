import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { berToDer, DerReader } from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { readFileControl } from "../../src/pkcs15/files/commands.ts";
import { DIRECTORY_KINDS, readElements, readEntry, readOdfEntry } from "../../src/pkcs15/syntax/directory.ts";
import { readEfDir } from "../../src/pkcs15/syntax/ef-dir.ts";
import { derFlags, derNumber } from "../../src/pkcs15/syntax/fields.ts";
import { USAGE } from "../../src/pkcs15/syntax/key.ts";
import { encodePath, readPath, readValue } from "../../src/pkcs15/syntax/path.ts";
import { readTokenInfo } from "../../src/pkcs15/syntax/token-info.ts";
import { readUnusedSpace, unusedSpaceEntry } from "../../src/pkcs15/writing/free-space.ts";
import { path, text, tlv } from "./directory-files.ts";
import { shareOf } from "../seeded-random.ts";

describe("objects", () => {
  test("a private key on a curve, with all that may be said of it", () => {
    const der = tlv(
      "a0",
      tlv("30", text("Sign"), "030206c0", "040101", "020101", tlv("30", tlv("30", "03020520", "040102"))),
      tlv(
        "30",
        "040145",
        "0303060040",
        "0101ff",
        "030203b8",
        "02020084",
        "180f32303330303130313030303030305a",
        tlv("a1", "020101", "020181"),
      ),
      tlv("a0", tlv("30", "0500")),
      tlv("a1", tlv("30", path("3f0050154b01"), tlv("30", "06082a8648ce3d030107"))),
    );
    const entry = readEntry("private-keys", fromHex(der));
    expect(entry).toMatchObject({
      class: "private-key",
      type: "ec",
      curve: "P-256",
      head: { label: "Sign", private: true, modifiable: true, userConsent: 1, authId: Uint8Array.of(1) },
      key: { id: Uint8Array.of(0x45), native: true, keyReference: 0x84, algorithms: [1, 0x81] },
      value: { kind: "file", file: { path: fromHex("3f0050154b01") } },
    });
    if (entry.class !== "private-key") throw new Error("another class");
    expect(entry.key.usage.has(USAGE.NON_REPUDIATION)).toBe(true);
    expect(entry.key.usage.has(USAGE.SIGN)).toBe(false);
    expect(entry.head.accessRules).toMatchObject([{ condition: { kind: "pin", authId: Uint8Array.of(2) } }]);
  });

  test("other kinds of keys are known by their heads", () => {
    const head = tlv("30", text("GOST")) + tlv("30", "040101", "03020520") + tlv("a1", "0500");
    expect(readEntry("private-keys", fromHex(tlv("a4", head)))).toMatchObject({
      type: "other",
      head: { label: "GOST" },
    });
    const secret =
      tlv("30", text("AES")) + tlv("30", "040107", "030206c0") + tlv("a0", tlv("30", "02020100")) + tlv("a1", "0500");
    expect(readEntry("secret-keys", fromHex(tlv("af", secret)))).toMatchObject({ class: "secret-key", keyBits: 256 });
  });

  test.each([
    ["explicitly, as the standard means", tlv("a0", tlv("30", "020101", "020103"))],
    ["implicitly", tlv("a0", "020101", "020103")],
  ])("a value that stands in the directory may be tagged %s", (_, value) => {
    expect(readValue(new DerReader(fromHex(value)))).toEqual({ kind: "direct", der: fromHex("3006020101020103") });
  });

  test("certificates of all three directories, and values that are elsewhere", () => {
    const head = tlv("30", text("CA")) + tlv("30", "040142", "0101ff");
    const url = tlv("30", head, tlv("a1", tlv("30", toHex(concat(Uint8Array.of(0x16, 8), utf8("http://x"))))));
    for (const kind of ["certificates", "trusted-certificates", "useful-certificates"] as const) {
      expect(readEntry(kind, fromHex(url))).toMatchObject({
        class: "certificate",
        authority: true,
        type: "x509",
        value: { kind: "url", url: "http://x" },
      });
    }
    const enveloped = tlv("30", head, tlv("a1", tlv("30", tlv("a2", "0500"))));
    expect(readEntry("certificates", fromHex(enveloped))).toMatchObject({ value: { kind: "protected" } });
    const pgp = tlv("a2", head, tlv("a1", "0500"));
    expect(readEntry("certificates", fromHex(pgp))).toMatchObject({ type: "other", id: Uint8Array.of(0x42) });
  });

  test("data objects, with the value in a SEQUENCE of its own or not", () => {
    const head = tlv("30", text("Note"), "03020780") + tlv("30", text("app"), "06032a0304");
    for (const value of [path("4301"), tlv("30", path("4301"))]) {
      expect(readEntry("data", fromHex(tlv("30", head, tlv("a1", value))))).toMatchObject({
        class: "data",
        application: "app",
        objectId: "1.2.3.4",
        head: { private: true },
        value: { kind: "file", file: { path: fromHex("4301") } },
      });
    }
    const oid = tlv("a1", tlv("30") + tlv("30") + tlv("a1", tlv("30", "06032a0305", path("4302"))));
    expect(readEntry("data", fromHex(oid))).toMatchObject({ objectId: "1.2.3.5" });
  });

  test("a PIN, its PUK's name and its path; other ways of authentication", () => {
    const pin = tlv(
      "30",
      tlv("30", text("PIN 1"), "030206c0", "040109"),
      tlv("30", "040101"),
      tlv("a1", tlv("30", "0302020c", "0a0102", "020104", "020108", "02010c", "800181", "0401ff", path("3f005015"))),
    );
    expect(readEntry("authentication", fromHex(pin))).toMatchObject({
      class: "pin",
      authId: Uint8Array.of(1),
      head: { authId: Uint8Array.of(9) },
      type: "utf8",
      minLength: 4,
      storedLength: 8,
      maxLength: 12,
      reference: 0x81,
      padding: 0xff,
      path: { path: fromHex("3f005015") },
    });
    const others = [
      ["a0", "biometric"],
      ["a1", "key"],
      ["a2", "external"],
    ] as const;
    for (const [tag, type] of others) {
      const der = tlv(tag, tlv("30", text("x")) + tlv("30", "040105") + tlv("a1", "0500"));
      expect(readEntry("authentication", fromHex(der))).toMatchObject({ class: "authentication", type });
    }
  });

  test.each([
    ["a PIN of an unknown type", "0a0109", "020104"],
    ["a PIN longer than a command", "0a0101", "02020200"],
  ])("%s is refused", (_, type, minimum) => {
    const pin = tlv("30", tlv("30") + tlv("30", "040101") + tlv("a1", tlv("30", "030100", type, minimum, "020108")));
    expect(() => readEntry("authentication", fromHex(pin))).toThrow(DataError);
  });
});

describe("the files above the directories", () => {
  test("an ODF entry is a path, or the objects themselves", () => {
    expect(readOdfEntry(fromHex(tlv("a4", path("4404"))))).toEqual({
      kind: "certificates",
      file: { path: fromHex("4404") },
    });
    expect(readOdfEntry(fromHex(tlv("a8", tlv("a0", "3000"))))).toEqual({
      kind: "authentication",
      objects: fromHex("3000"),
    });
    expect(readOdfEntry(fromHex(tlv("a0", tlv("a1", "0500"))))).toEqual({ kind: "private-keys", protected: true });
    expect(() => readOdfEntry(fromHex(tlv("a9", path("4404"))))).toThrow(DataError);
  });

  test("TokenInfo, with algorithms and the time of the last update", () => {
    const algorithm = tlv("30", "020101", "020101", "0500", "03020640", "06092a864886f70d010101", "020112");
    const der = tlv(
      "30",
      "020101",
      "0404cafe0001",
      text("Maker"),
      `8005${toHex(utf8("Token"))}`,
      "03020410",
      tlv("a2", algorithm),
      tlv("a5", "180f32303236313132313130313033345a"),
    );
    expect(readTokenInfo(fromHex(der))).toMatchObject({
      serialNumber: fromHex("cafe0001"),
      manufacturer: "Maker",
      label: "Token",
      algorithms: [{ reference: 1, mechanism: 1, objectId: "1.2.840.113549.1.1.1", algorithmReference: 0x12 }],
      lastUpdate: { time: "2026-11-21T10:10:34.000Z" },
    });
  });

  test("a TokenInfo whose tail is broken keeps its head", () => {
    const der = tlv("30", "020101", "040101", text("Maker"), "8001" + "54", "030100", tlv("a2", "3003020101"));
    expect(readTokenInfo(fromHex(der))).toMatchObject({ label: "T", algorithms: [] });
  });

  test("EF.DIR with several applications, of which some are of another standard", () => {
    const pkcs15 = tlv(
      "61",
      tlv("4f", "a000000063504b43532d3135"),
      tlv("50", toHex(utf8("eID"))),
      tlv("51", "3f005015"),
    );
    const other = tlv("61", tlv("4f", "a0000000871002"), tlv("50", toHex(utf8("USIM"))));
    const iso = tlv(
      "61",
      tlv("4f", "e828bd080fd25047656e65726963"),
      tlv("73", path("3f0050405031"), tlv("a0", tlv("04", "5032"))),
    );
    const found = readEfDir(fromHex(pkcs15 + other + iso + "ffff0000"));
    expect(found).toMatchObject([
      { label: "eID", path: fromHex("3f005015") },
      { odf: { path: fromHex("3f0050405031") }, tokenInfo: { path: fromHex("5032") } },
    ]);
  });

  test("unused space", () => {
    const space = fromHex(tlv("30", tlv("30", tlv("04", "3f0050154400"), "020110", "800140"), "040101"));
    expect(readUnusedSpace(space)).toEqual({
      file: { path: fromHex("3f0050154400"), index: 16, length: 64 },
      authId: fromHex("01"),
    });
    expect(unusedSpaceEntry(readUnusedSpace(space))).toEqual(space);
    expect(() => readUnusedSpace(fromHex("30020500"))).toThrow(DataError);
  });

  test("padding before, between and behind objects is skipped; what is wrong within is left out; what is no object ends the search", () => {
    const { elements, broken } = readElements(fromHex("00ff 300105 ff 0000 3000 30"), "x");
    expect(elements.map(({ offset, length }) => [offset, length])).toEqual([[8, 2]]);
    expect(broken.map(({ offset }) => offset)).toEqual([2, 10]);
    expect(readElements(fromHex("00ff 30020500 ff 0000 3000 ffff"), "x").elements).toMatchObject([
      { offset: 2, length: 4 },
      { offset: 9, length: 2 },
    ]);
  });

  test("a billion objects are not looked at", () => {
    const { elements, broken } = readElements(fromHex("3000".repeat(5000)), "x");
    expect(elements.length).toBeLessThan(5000);
    expect(broken[0]?.reason).toContain("more than");
  });
});

describe("codecs", () => {
  const reference = fc.record(
    {
      path: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 1 }),
        fc.array(fc.uint8Array({ minLength: 2, maxLength: 2 }), { maxLength: 8 }).map((ids) => concat(...ids)),
      ),
      index: fc.nat(0xfffff),
      length: fc.nat(0xfffff),
    },
    { requiredKeys: ["path"] },
  );

  test("a path comes back as it went", () => {
    fc.assert(
      fc.property(reference, (file) => {
        expect(readPath(new DerReader(encodePath(file)).enter())).toEqual(file);
      }),
    );
  });

  test("numbers and flags are DER", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.uniqueArray(fc.nat(15)), (number, bits) => {
        const reader = new DerReader(concat(derNumber(number), derFlags(bits)));
        expect(reader.unsigned().reduce((value, octet) => value * 256 + octet, 0)).toBe(number);
        const { bytes } = reader.bitString();
        const read = Array.from({ length: 16 }, (_, bit) => bit).filter(
          (bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0,
        );
        expect(read).toEqual([...bits].sort((a, b) => a - b));
      }),
    );
  });

  /** Objects with one byte changed, which get further than any bytes do. */
  const nearly = fc
    .tuple(
      fc.constantFrom(
        tlv(
          "30",
          tlv("30", text("K"), "030206c0", "040101"),
          tlv("30", "040145", "03020520", "030203b8", "020100"),
          tlv("a1", tlv("30", path("3f005015"), "02020800")),
        ),
        tlv(
          "30",
          tlv("30", text("P"), "030206c0"),
          tlv("30", "040101"),
          tlv("a1", tlv("30", "0302020c", "0a0101", "020104", "020108", "020108", "800101", "040100")),
        ),
        tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", "3f005015"), tlv("73", path("5031"))),
        tlv(
          "30",
          "020101",
          "0404cafe0001",
          text("Maker"),
          "030100",
          tlv("a2", tlv("30", "020101", "020101", "0500", "03020640")),
        ),
      ),
      fc.nat(),
      fc.nat(255),
    )
    .map(([hex, at, value]) => {
      const bytes = fromHex(hex);
      bytes[at % bytes.length] = value;
      return bytes;
    });

  test("any bytes are read or refused with a DataError", () => {
    const readers: ((bytes: Uint8Array) => unknown)[] = [
      ...DIRECTORY_KINDS.map((kind) => (bytes: Uint8Array) => readEntry(kind, berToDer(bytes).der)),
      readOdfEntry,
      readTokenInfo,
      readEfDir,
      readUnusedSpace,
      readFileControl,
      (bytes) => readElements(bytes, "x"),
    ];
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), nearly), (bytes) => {
        for (const read of readers) {
          try {
            read(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        }
      }),
      { numRuns: shareOf(1000) },
    );
  });
});
