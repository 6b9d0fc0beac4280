import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../../src/bytes/index.ts";
import { digest } from "../../../src/crypto/index.ts";
import { CKK, CKM } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { ED25519, P_256, P_384, P_521 } from "./curves.ts";
import { changed, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

// RFC 6979, appendix A.2.5 to A.2.7: any verifier takes these signatures, and any signer's are verified with these keys.
const ECDSA = [
  {
    section: "A.2.5",
    curve: P_256,
    order: hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
    secret: hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"),
    point: hex(
      "04 60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6 7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    ),
    signatures: [
      {
        mechanism: CKM.ECDSA_SHA256,
        message: "sample",
        hash: "sha256",
        signature: hex(
          "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716 f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
      },
      {
        mechanism: CKM.ECDSA_SHA256,
        message: "test",
        hash: "sha256",
        signature: hex(
          "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367 019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
      },
      {
        mechanism: CKM.ECDSA_SHA224,
        message: "sample",
        hash: "sha224",
        signature: hex(
          "53b2fff5d1752b2c689df257c04c40a587fababb3f6fc2702f1343af7ca9aa3f b9afb64fdc03dc1a131c7d2386d11e349f070aa432a4acc918bea988bf75c74c",
        ),
      },
    ],
  },
  {
    section: "A.2.6",
    curve: P_384,
    order: hex("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"),
    secret: hex("6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5"),
    point: hex(
      "04 ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13 8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
    ),
    signatures: [
      {
        mechanism: CKM.ECDSA_SHA384,
        message: "sample",
        hash: "sha384",
        signature: hex(
          "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46 99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
        ),
      },
      {
        mechanism: CKM.ECDSA_SHA1,
        message: "sample",
        hash: "sha1",
        signature: hex(
          "ec748d839243d6fbef4fc5c4859a7dffd7f3abddf72014540c16d73309834fa37b9ba002899f6fda3a4a9386790d4eb2 a3bcfa947beef4732bf247ac17f71676cb31a847b9ff0cbc9c9ed4c1a5b3facf26f49ca031d4857570ccb5ca4424a443",
        ),
      },
    ],
  },
  {
    section: "A.2.7",
    curve: P_521,
    order: hex(
      "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ),
    secret: hex(
      "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
    ),
    point: hex(
      "04 01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
      "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
    ),
    signatures: [
      {
        mechanism: CKM.ECDSA_SHA512,
        message: "sample",
        hash: "sha512",
        signature: hex(
          "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa 00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
        ),
      },
    ],
  },
] as const;

describe.each(ECDSA)("ECDSA (RFC 6979 appendix $section)", ({ curve, order, secret, point, signatures }) => {
  const half = order.length;

  test("published signatures verify, of the message and of its digest", async () => {
    const key = await keys.ecPublic(CKK.EC, curve, point);
    for (const { mechanism, message, hash, signature } of signatures) {
      await keys.verify({ mechanism }, key, utf8(message), signature);
      await keys.verify({ mechanism: CKM.ECDSA }, key, digest(hash, utf8(message)), signature);
      for (const other of changed(signature)) {
        await expect(keys.verify({ mechanism }, key, utf8(message), other)).rejects.toMatchObject(
          refusal("SIGNATURE_INVALID"),
        );
      }
      await expect(keys.verify({ mechanism }, key, utf8("simple"), signature)).rejects.toMatchObject(
        refusal("SIGNATURE_INVALID"),
      );
    }
  });

  test("what the key signs verifies: digests of any length, zeros among them", async () => {
    const [privateKey, publicKey] = [
      await keys.ecPrivate(CKK.EC, curve, secret),
      await keys.ecPublic(CKK.EC, curve, point),
    ];
    const message = utf8("message");
    for (const { mechanism } of signatures) {
      const signature = await keys.signParts({ mechanism }, privateKey, message, 3);
      expect(signature).toHaveLength(2 * half);
      await keys.verify({ mechanism }, publicKey, message, signature);
    }
    const raw = { mechanism: CKM.ECDSA };
    for (const hashed of [
      new Uint8Array(32),
      new Uint8Array(half).fill(0xff),
      order,
      message,
      new Uint8Array(100).fill(0xa5),
    ]) {
      const signature = await keys.sign(raw, privateKey, hashed);
      await keys.verify(raw, publicKey, hashed, signature);
      const other = await keys.sign(raw, privateKey, hashed);
      expect(other).not.toEqual(signature);
    }
    await expect(keys.sign(raw, privateKey, hex(""))).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
  });

  test("numbers that no signature has, and halves in other shapes", async () => {
    const key = await keys.ecPublic(CKK.EC, curve, point);
    const [{ mechanism, message, signature }] = signatures;
    const [r, s] = [signature.subarray(0, half), signature.subarray(half)];
    const zero = new Uint8Array(half);
    const one = concat(new Uint8Array(half - 1), hex("01"));
    for (const other of [
      concat(zero, s),
      concat(r, zero),
      concat(zero, zero),
      concat(zero, one),
      concat(one, zero),
      concat(one, one),
      concat(order, s),
      concat(r, order),
      concat(order, zero),
      concat(s, r),
      new Uint8Array(2 * half).fill(0xff),
    ]) {
      await expect(keys.verify({ mechanism }, key, utf8(message), other)).rejects.toMatchObject(
        refusal("SIGNATURE_INVALID"),
      );
    }
    const der = concat(
      hex("30"),
      Uint8Array.of(4 + r.length + s.length),
      hex("02"),
      Uint8Array.of(r.length),
      r,
      hex("02"),
      Uint8Array.of(s.length),
      s,
    );
    for (const other of [
      hex(""),
      r,
      signature.subarray(1),
      concat(signature, hex("00")),
      concat(hex("00"), r, hex("00"), s),
      der,
    ]) {
      await expect(keys.verify({ mechanism }, key, utf8(message), other)).rejects.toMatchObject(
        refusal("SIGNATURE_LEN_RANGE"),
      );
    }
  });

  test("a public key is on its curve", async () => {
    const off = point.map((byte, index) => (index === point.length - 1 ? byte ^ 0x01 : byte));
    await expect(keys.ecPublic(CKK.EC, curve, off)).rejects.toMatchObject(refusal("ATTRIBUTE_VALUE_INVALID"));
  });
});

// RFC 8032, section 7.1.
const ED = [
  {
    number: 1,
    secret: hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    point: hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    message: hex(""),
    signature: hex(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
  },
  {
    number: 2,
    secret: hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
    point: hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
    message: hex("72"),
    signature: hex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
  },
  {
    number: 3,
    secret: hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"),
    point: hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
    message: hex("af82"),
    signature: hex(
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
  },
] as const;

/** The order of the base point, least significant byte first (RFC 8032 section 5.1). */
const L = hex("edd3f55c1a631258d69cf7a2def9de14 00000000000000000000000000000010");

/** a + b, least significant byte first, of one length. */
function sum(a: Uint8Array, b: Uint8Array): Uint8Array {
  let carry = 0;
  return a.map((byte, index) => {
    carry += byte + (b[index] ?? 0);
    const low = carry & 0xff;
    carry >>= 8;
    return low;
  });
}

describe("CKM_EDDSA (RFC 8032 section 7.1)", () => {
  const eddsa = { mechanism: CKM.EDDSA };

  test.each(ED)("test $number", async ({ secret, point, message, signature }) => {
    const [privateKey, publicKey] = [
      await keys.ecPrivate(CKK.EC_EDWARDS, ED25519, secret),
      await keys.ecPublic(CKK.EC_EDWARDS, ED25519, point),
    ];
    expect(await keys.sign(eddsa, privateKey, message)).toEqual(signature);
    expect(await keys.signParts({ ...eddsa, parameter: { phFlag: false } }, privateKey, message, 1)).toEqual(signature);
    await keys.verify(eddsa, publicKey, message, signature);
    for (const other of changed(signature)) {
      await expect(keys.verify(eddsa, publicKey, message, other)).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
    }
    await expect(keys.verify(eddsa, publicKey, concat(message, hex("00")), signature)).rejects.toMatchObject(
      refusal("SIGNATURE_INVALID"),
    );
    for (const other of [hex(""), signature.subarray(0, 63), concat(signature, hex("00"))]) {
      await expect(keys.verify(eddsa, publicKey, message, other)).rejects.toMatchObject(refusal("SIGNATURE_LEN_RANGE"));
    }
    // The same number modulo the order is another signature: RFC 8032 section 5.1.7 wants S below it.
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
    for (const other of [concat(r, sum(s, L)), concat(r, L), concat(new Uint8Array(32), s), new Uint8Array(64)]) {
      await expect(keys.verify(eddsa, publicKey, message, other)).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
    }
  });

  test("Ed25519ph and contexts are refused", async () => {
    const key = await keys.ecPrivate(CKK.EC_EDWARDS, ED25519, ED[0].secret);
    for (const parameter of [{ phFlag: true }, { phFlag: false, pContextData: hex("00") }]) {
      await expect(keys.sign({ ...eddsa, parameter }, key, hex(""))).rejects.toMatchObject(
        refusal("MECHANISM_PARAM_INVALID"),
      );
    }
  });
});
