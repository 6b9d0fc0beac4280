import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { AttributeSet, SENSITIVE } from "../../src/cryptoki/attributes/attribute-set.ts";
import { readTemplate, sameValue } from "../../src/cryptoki/attributes/template.ts";
import { CKA, CryptokiError, kindOf, type Template } from "../../src/cryptoki/index.ts";
import { fitEnd, fitText } from "../../src/cryptoki/structures.ts";
import { utf8 } from "../../src/bytes/index.ts";
import { refusal } from "./rig.ts";

/** Any value of an attribute's kind. */
function valueOf(type: number): fc.Arbitrary<unknown> {
  const unsigned = fc.nat({ max: 0xffffffff });
  switch (kindOf(type)) {
    case "boolean":
      return fc.boolean();
    case "number":
      return unsigned;
    case "text":
      return fc.string();
    case "date":
      return fc.option(fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31") }));
    case "bytes":
      return fc.uint8Array();
    case "mechanisms":
      return fc.array(unsigned);
    case "template":
      return fc.record({ [CKA.ID]: fc.uint8Array(), [CKA.SIGN]: fc.boolean() });
  }
}

const template: fc.Arbitrary<Template> = fc
  .uniqueArray(fc.constantFrom(...new Set(Object.values(CKA))), { maxLength: 8 })
  .chain(
    (types) => fc.record(Object.fromEntries(types.map((type) => [type, valueOf(type)]))) as fc.Arbitrary<Template>,
  );

describe("a template", () => {
  test("of right values is read in full", () => {
    fc.assert(
      fc.property(template, (wanted) => {
        expect(Object.fromEntries(readTemplate(wanted))).toEqual(wanted);
      }),
    );
  });

  test("of anything at all is read, or refused with a reason", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.oneof(fc.string(), fc.nat().map(String)), fc.anything()), (anything) => {
        try {
          readTemplate(anything);
        } catch (error) {
          expect(error).toBeInstanceOf(CryptokiError);
        }
      }),
    );
  });

  test("within templates without end is refused", () => {
    const endless: Record<number, unknown> = {};
    endless[CKA.WRAP_TEMPLATE] = endless;
    expect(() => readTemplate(endless as Template)).toThrow(CryptokiError);
  });

  test("describes an object that was made of it", async () => {
    await fc.assert(
      fc.asyncProperty(template, async (wanted) => {
        const object = new AttributeSet(wanted);
        expect(object.mayMatch(readTemplate(wanted))).toBe(true);
        expect(await object.matches(readTemplate(wanted))).toBe(true);
      }),
    );
  });
});

test("a value is the same as its copy, and as no other", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      expect(sameValue(a, Buffer.from(a))).toBe(true);
      expect(sameValue(a, b)).toBe(Buffer.compare(a, b) === 0);
    }),
  );
  expect(sameValue(new Date("2026-01-02T03:04:05Z"), new Date("2026-01-02"))).toBe(true);
  expect(sameValue(new Date("2026-01-02"), null)).toBe(false);
  expect(sameValue([1, 2], [1, 2])).toBe(true);
  expect(sameValue([1, 2], [2, 1])).toBe(false);
  expect(sameValue({ [CKA.ID]: Uint8Array.of(1) }, { [CKA.ID]: Uint8Array.of(1) })).toBe(true);
  expect(sameValue({ [CKA.ID]: Uint8Array.of(1) }, {})).toBe(false);
});

test("a search reads an attribute only if the cheaper ones are right", async () => {
  let reads = 0;
  const object = new AttributeSet({
    [CKA.LABEL]: "key",
    [CKA.VALUE]: () => {
      reads++;
      return Promise.resolve(Uint8Array.of(1));
    },
    [CKA.PRIME_1]: SENSITIVE,
  });
  expect(
    await object.matches([
      [CKA.VALUE, Uint8Array.of(1)],
      [CKA.LABEL, "other"],
    ]),
  ).toBe(false);
  expect(
    await object.matches([
      [CKA.VALUE, Uint8Array.of(1)],
      [CKA.URL, ""],
    ]),
  ).toBe(false);
  expect(
    await object.matches([
      [CKA.VALUE, Uint8Array.of(1)],
      [CKA.PRIME_1, Uint8Array.of(1)],
    ]),
  ).toBe(false);
  expect(reads).toBe(0);
  expect(
    await object.matches([
      [CKA.VALUE, Uint8Array.of(1)],
      [CKA.LABEL, "key"],
    ]),
  ).toBe(true);
  expect(reads).toBe(1);
});

test("text fits into any number of bytes, in whole characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.nat({ max: 40 }), (text, bytes) => {
      const fitted = fitText(text, bytes);
      expect(utf8(fitted).length).toBeLessThanOrEqual(bytes);
      expect(fitted).toBe(fitted.trimEnd());
      expect(fitText(fitted, bytes)).toBe(fitted);
    }),
  );
  expect(fitText("Smart Card \n", 32)).toBe("Smart Card");
});

test("an error names what was wanted", () => {
  expect(() => readTemplate({ [CKA.ID]: "01" })).toThrow("CKA_ID needs a Uint8Array");
  expect(() => readTemplate(null as unknown as Template)).toThrow(expect.objectContaining(refusal("ARGUMENTS_BAD")));
});

test.each([
  ["0123456789abcdef0123", "456789abcdef0123"],
  ["short", "short"],
  ["0123456789\u00e4\u00f6\u00fcab \n", "23456789\u00e4\u00f6\u00fcab"],
  ["1\u20ac", "1\u20ac"],
  ["", ""],
])("a serial number keeps its end, in whole characters: %j is %j", (text, end) => {
  expect(fitEnd(text, 16)).toBe(end);
  expect(utf8(end).length).toBeLessThanOrEqual(16);
});
