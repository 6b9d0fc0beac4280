import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseCertificate } from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { readCardUrl, readProperties, readServiceTable } from "../../src/cac/data-model.ts";
import { commonName, findPublicKey, findSubject, locateCertificate } from "../../src/cac/certificates.ts";
import { signDecrypt } from "../../src/cac/commands.ts";
import { encodeSimpleTlvs, joinBuffers, readSimpleTlvs, readTagLengths } from "../../src/cac/buffers.ts";
import { certificate, HOLDER, properties } from "./cards.ts";

const bytes = (maxLength = 600): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const objects = fc.array(fc.record({ tag: fc.nat(255), value: bytes() }), { maxLength: 8 });

/** Whatever goes in, a result or a DataError comes out. */
function neverElse(read: (input: Uint8Array) => unknown): void {
  fc.assert(
    fc.property(bytes(100), (input) => {
      try {
        read(input);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
  );
}

describe("SIMPLE-TLV", () => {
  test("survives encoding and decoding", () => {
    fc.assert(
      fc.property(objects, (input) => {
        expect(readSimpleTlvs(encodeSimpleTlvs(input))).toEqual(input);
      }),
    );
  });

  test("is the same whether tags and values are in one buffer or in two", () => {
    fc.assert(
      fc.property(objects, (input) => {
        const tags = concat(
          ...input.map(({ tag, value }) => encodeSimpleTlvs([{ tag, value }]).slice(0, value.length < 255 ? 2 : 4)),
        );
        const values = concat(...input.map(({ value }) => value));
        expect(joinBuffers(readTagLengths(tags), values)).toEqual(input);
      }),
    );
  });

  test("has long lengths with the least significant byte first", () => {
    expect(readTagLengths(fromHex("710170ffb203722 6".replace(" ", "")))).toEqual([
      { tag: 0x71, length: 1 },
      { tag: 0x70, length: 0x03b2 },
      { tag: 0x72, length: 0x26 },
    ]);
  });

  test("throws a DataError for anything else", () => {
    neverElse((input) => readSimpleTlvs(input));
    neverElse((input) => joinBuffers(readTagLengths(input), input));
  });
});

describe("what applets tell of themselves", () => {
  test("a CardURL leads to an applet and an object", () => {
    // Line 12 of the capability container of libcacard (cac.c).
    const { type, place } = readCardUrl(fromHex("a000000079040100010000000000000 0".replace(" ", "")));
    expect({ type, aid: toHex(place.aid), object: toHex(place.object) }).toEqual({
      type: 4,
      aid: "a0000000790100",
      object: "0100",
    });
    neverElse(readCardUrl);
  });

  test("properties tell which objects have keys, and which are SIMPLE-TLV", () => {
    expect(readProperties(properties(0x51, "0101"))).toEqual([
      { id: fromHex("0101"), simpleTlv: true, hasPrivateKey: true },
    ]);
    expect(readProperties(properties(0x50, "02fe", false))).toEqual([
      { id: fromHex("02fe"), simpleTlv: false, hasPrivateKey: false },
    ]);
    neverElse(readProperties);
  });

  test("a service table lists applets", () => {
    const table = "0105100206020294010 2930a409207a0000001163000930a619207a0000000790100".replace(" ", "");
    expect(readServiceTable(fromHex(table)).map((aid) => toHex(aid))).toEqual(["a0000001163000", "a0000000790100"]);
    neverElse(readServiceTable);
  });
});

test.each([
  ["of a padded block for a signature is shown", "0001ffffffffffffffff", "nothing"],
  ["of what may be a cryptogram is secret", "0001ffffffffffffff00", "answer"],
  ["of a block for encryption is secret", "0002ffffffffffffffff", "answer"],
])("in recordings the answer to PRIVATE SIGN/DECRYPT %s", (_, head, expected) => {
  const commands = signDecrypt(concat(fromHex(head), new Uint8Array(246)));
  expect(commands.map(({ p1, conceal }) => [p1, conceal])).toEqual([
    [0x80, expected],
    [0x00, expected],
  ]);
});

describe("the beginning of a certificate", () => {
  const der = certificate(1);

  test.each([
    ["subject", findSubject, 400],
    ["public key", findPublicKey, 600],
  ])("is read just as far as the %s", (name, find, most) => {
    let length = 0;
    let steps = 0;
    for (let found = find(der.subarray(0, length)); typeof found === "number"; steps++) {
      expect(found).toBeGreaterThan(length);
      length = found;
      found = find(der.subarray(0, length));
    }
    expect(steps).toBeLessThan(13);
    expect(length).toBeLessThan(most);
    const { subject, subjectPublicKeyInfo } = parseCertificate(der);
    expect(find(der.subarray(0, length))).toEqual(name === "subject" ? subject : subjectPublicKeyInfo);
    expect(commonName(subject)).toBe(HOLDER);
  });

  test("that is something else gives a DataError", () => {
    neverElse(findSubject);
    neverElse(findPublicKey);
    neverElse(commonName);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, octet) => {
        const broken = Uint8Array.from(der);
        broken[at] = octet;
        try {
          const found = findSubject(broken);
          if (typeof found !== "number") commonName(found);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });

  test("shows where it is in its buffer only if it cannot be mistaken", () => {
    expect(locateCertificate(concat(Uint8Array.of(0), der))).toEqual({ start: 1, end: 1 + der.length });
    expect(locateCertificate(concat(Uint8Array.of(1), der))).toBeUndefined();
    expect(locateCertificate(der)).toBeUndefined();
    expect(locateCertificate(fromHex("0030"))).toBeUndefined();
  });
});

test("names in other encodings are names", () => {
  const dn = (tag: string, value: string): Uint8Array => {
    const attribute = fromHex(`0603550403${tag}${(value.length / 2).toString(16).padStart(2, "0")}${value}`);
    const sequence = concat(Uint8Array.of(0x30, attribute.length), attribute);
    const set = concat(Uint8Array.of(0x31, sequence.length), sequence);
    return concat(Uint8Array.of(0x30, set.length), set);
  };
  expect(commonName(dn("0c", "c384"))).toBe("Ä");
  expect(commonName(dn("13", "41"))).toBe("A");
  expect(commonName(dn("14", "c4"))).toBe("Ä");
  expect(commonName(dn("1e", "00c4"))).toBe("Ä");
  expect(commonName(fromHex("3000"))).toBeUndefined();
});
