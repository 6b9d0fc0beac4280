import { createECDH } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat } from "../../../src/bytes/index.ts";
import { CKD, CKK, CKM, mechanismOf } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { P_256, P_384, P_521, X25519 } from "./curves.ts";
import { agreeing, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const ECDH = [
  {
    source: "RFC 5903 section 8.1, P-256",
    curve: P_256,
    secret: hex("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433"),
    point: hex(
      "04 d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63 56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
    ),
    shared: hex("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"),
  },
  {
    source: "RFC 5903 section 8.2, P-384",
    curve: P_384,
    secret: hex("099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194"),
    point: hex(
      "04 e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571 dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
    ),
    shared: hex("11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746"),
  },
  {
    source: "RFC 5903 section 8.3, P-521",
    curve: P_521,
    secret: hex(
      "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52",
    ),
    point: hex(
      "04 00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f",
      "015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
    ),
    shared: hex(
      "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea",
    ),
  },
] as const;

describe("CKM_ECDH1_DERIVE", () => {
  test.each(ECDH)("$source", async ({ curve, secret, point, shared }) => {
    const key = await keys.ecPrivate(CKK.EC, curve, secret);
    expect(await keys.derive(agreeing(point), key)).toEqual(shared);
    expect(
      await keys.derive(mechanismOf(CKM.ECDH1_COFACTOR_DERIVE, agreeing(point).parameter ?? undefined), key),
    ).toEqual(shared);
    const half = (point.length - 1) / 2;
    const compressed = concat(Uint8Array.of(0x02 | ((point.at(-1) ?? 0) & 1)), point.subarray(1, 1 + half));
    expect(await keys.derive(agreeing(compressed), key)).toEqual(shared);
    const header = point.length < 0x80 ? [0x04, point.length] : [0x04, 0x81, point.length];
    expect(await keys.derive(agreeing(concat(Uint8Array.from(header), point)), key)).toEqual(shared);
    // "The truncation removes bytes from the leading end of the secret value."
    expect(await keys.derive(agreeing(point), key, 16)).toEqual(shared.subarray(-16));
    await expect(keys.derive(agreeing(point), key, shared.length + 1)).rejects.toMatchObject(refusal("KEY_SIZE_RANGE"));
  });

  test.each(ECDH)("$source: points that are none, or of no use", async ({ curve, secret, point }) => {
    const key = await keys.ecPrivate(CKK.EC, curve, secret);
    const half = (point.length - 1) / 2;
    const [x, y] = [point.subarray(1, 1 + half), point.subarray(1 + half)];
    const off = y.map((byte, index) => (index === half - 1 ? byte ^ 0x01 : byte));
    for (const other of [
      hex(""),
      hex("00"),
      hex("04"),
      concat(hex("04"), x, off),
      concat(hex("04"), y, x),
      concat(hex("04"), new Uint8Array(2 * half)),
      concat(hex("04"), new Uint8Array(half).fill(0xff), y),
      concat(hex("05"), x, y),
      concat(hex("00"), x, y),
      point.subarray(0, -1),
      concat(point, hex("00")),
    ]) {
      await expect(keys.derive(agreeing(other), key)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    }
  });

  test("a point of another curve is no point of this one", async () => {
    const key = await keys.ecPrivate(CKK.EC, P_256, ECDH[0].secret);
    for (const name of ["secp256k1", "secp384r1"]) {
      const point = new Uint8Array(createECDH(name).generateKeys());
      await expect(keys.derive(agreeing(point), key)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    }
  });

  test.each([
    ["a function that is none", { kdf: 0x99, pPublicData: ECDH[0].point }],
    ["shared data for no function", { kdf: CKD.NULL, pSharedData: hex("00"), pPublicData: ECDH[0].point }],
    ["no parameter", undefined],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, parameter) => {
    const key = await keys.ecPrivate(CKK.EC, P_256, ECDH[0].secret);
    const mechanism = { mechanism: CKM.ECDH1_DERIVE, ...(parameter ? { parameter } : {}) };
    await expect(keys.derive(mechanism, key)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });

  test.each([
    ["0", "00".repeat(32)],
    ["the order", "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"],
    ["more than the order", "ff".repeat(32)],
    ["too long", "01".repeat(33)],
  ])("%s is no private key", async (_, secret) => {
    await expect(keys.ecPrivate(CKK.EC, P_256, hex(secret))).rejects.toMatchObject(refusal("ATTRIBUTE_VALUE_INVALID"));
  });
});

const X = [
  {
    source: "RFC 7748 section 5.2, 1",
    secret: hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
    point: hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    shared: hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
  },
  {
    source: "RFC 7748 section 5.2, 2: the highest bit of the point does not count",
    secret: hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
    point: hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
    shared: hex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"),
  },
  {
    source: "RFC 7748 section 6.1",
    secret: hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
    point: hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
    shared: hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
  },
] as const;

/** 2^255 - 19, the prime of the field, least significant byte first. */
const PRIME = hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

describe("CKM_ECDH1_DERIVE with X25519", () => {
  test.each(X)("$source", async ({ secret, point, shared }) => {
    const key = await keys.ecPrivate(CKK.EC_MONTGOMERY, X25519, secret);
    expect(await keys.derive(agreeing(point), key)).toEqual(shared);
    expect(await keys.derive(agreeing(concat(hex("0420"), point)), key)).toEqual(shared);
  });

  test.each([
    ["0", new Uint8Array(32)],
    ["1", hex("01", "00".repeat(31))],
    ["order 8", hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")],
    ["the prime", PRIME],
    ["the prime and 1", hex("ee", "ff".repeat(30), "7f")],
    ["too short", new Uint8Array(31)],
    ["too long", new Uint8Array(33)],
    ["nothing", hex("")],
  ])("a point of small order or none at all (RFC 7748 section 6.1): %s", async (_, point) => {
    const key = await keys.ecPrivate(CKK.EC_MONTGOMERY, X25519, X[0].secret);
    await expect(keys.derive(agreeing(point), key)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });
});
