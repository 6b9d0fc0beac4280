import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "@jest/globals";
import { CKA, CKO, type ObjectSource, publicHalfOf, type Template } from "../../src/cryptoki/index.ts";
import { encodeEcParameters, encodeEcPoint, parsePublicKey } from "../../src/crypto/index.ts";
import { certificateOf } from "../card/certificates.ts";
import { spkiOf } from "../crypto/keys.ts";

const ID = Uint8Array.of(7);
const EMPTY = new Uint8Array();

/** A module with these objects, whose handles are their places from 1 on. */
function module(...templates: readonly Template[]): ObjectSource {
  const objects = templates.map((template) => new Map(Object.entries(template)));
  const same = (one: unknown, other: unknown): boolean =>
    one instanceof Uint8Array && other instanceof Uint8Array ? Buffer.compare(one, other) === 0 : one === other;
  return {
    find: (template) =>
      Promise.resolve(
        objects.flatMap((object, index) =>
          Object.entries(template).every(([type, value]) => same(object.get(type), value)) ? [index + 1] : [],
        ),
      ),
    known: (handle, types) => {
      const object = objects[handle - 1] ?? new Map<string, unknown>();
      const wanted = new Set(types.map(String));
      return Promise.resolve(Object.fromEntries([...object].filter(([type]) => wanted.has(type))) as Template);
    },
  };
}

const rsaInfo = spkiOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey);
const rsa = parsePublicKey(rsaInfo);
const ecInfo = spkiOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey);
const ec = parsePublicKey(ecInfo);
if (rsa.type !== "rsa" || ec.type !== "ec") throw new Error("keys of other types");

const PRIVATE: Template = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: ID, [CKA.PUBLIC_KEY_INFO]: EMPTY };
const PUBLIC: Template = { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: ID, [CKA.PUBLIC_KEY_INFO]: EMPTY };
const MODULUS: Template = { [CKA.MODULUS]: rsa.modulus, [CKA.PUBLIC_EXPONENT]: rsa.publicExponent };
const POINT: Template = {
  [CKA.EC_PARAMS]: encodeEcParameters(ec.curve),
  [CKA.EC_POINT]: encodeEcPoint(ec.point),
};

test.each<[string, ObjectSource, unknown]>([
  ["its own CKA_PUBLIC_KEY_INFO", module({ ...PRIVATE, [CKA.PUBLIC_KEY_INFO]: rsaInfo }), rsa],
  ["its own modulus and exponent, where that is empty", module({ ...PRIVATE, ...MODULUS }), rsa],
  ["its own modulus and exponent, without another source", module({ [CKA.CLASS]: CKO.PRIVATE_KEY, ...MODULUS }), rsa],
  ["the public key's modulus and exponent", module(PRIVATE, { ...PUBLIC, ...MODULUS }), rsa],
  ["the public key's curve and point", module(PRIVATE, { ...PUBLIC, ...POINT }), ec],
  ["the public key's CKA_PUBLIC_KEY_INFO", module(PRIVATE, { ...PUBLIC, [CKA.PUBLIC_KEY_INFO]: ecInfo }), ec],
  [
    "the certificate, where both keys tell nothing",
    module(PRIVATE, PUBLIC, {
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.ID]: ID,
      [CKA.VALUE]: certificateOf({ publicKey: rsaInfo }),
    }),
    rsa,
  ],
  [
    "nothing: objects with another CKA_ID are not its own",
    module(PRIVATE, { ...PUBLIC, [CKA.ID]: EMPTY, ...POINT }),
    undefined,
  ],
])("the public half of a private key comes from %s", async (_, source, expected) => {
  expect(await publicHalfOf(source, 1, ID)).toEqual(expected);
});

test("a key without a CKA_ID has no public key of its own among those without one", async () => {
  const source = module(PRIVATE, { ...PUBLIC, [CKA.ID]: EMPTY, ...MODULUS });
  expect(await publicHalfOf(source, 1, EMPTY)).toBeUndefined();
});

test("a CKA_PUBLIC_KEY_INFO that is no key is an error, and no reason to look elsewhere", async () => {
  const source = module({ ...PRIVATE, ...MODULUS, [CKA.PUBLIC_KEY_INFO]: Uint8Array.of(0x30, 0x00) });
  await expect(publicHalfOf(source, 1, ID)).rejects.toMatchObject({ name: "DataError" });
});
