import { createECDH, sign } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import {
  curveInfo,
  decodeEcPoint,
  decodeEcParameters,
  digest,
  ecdsaFromDer,
  ecdsaToDer,
  encodeEcParameters,
  encodeEcPoint,
  type NamedCurve,
  truncateDigest,
  verifyEcdsa,
} from "../../src/crypto/index.ts";
import { ecPair } from "./keys.ts";

const CURVES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];
const MESSAGE = utf8("message");

describe.each(CURVES)("ECDSA on %s", (curve) => {
  const { privateKey, publicKey } = ecPair(curve);
  const { bytes } = curveInfo(curve);

  test.each(["sha1", "sha224", "sha256", "sha384", "sha512", "sha3-512"] as const)(
    "Node's signatures of a %s digest verify, in either encoding",
    async (hash) => {
      const signature = Uint8Array.from(sign(hash, MESSAGE, { key: privateKey, dsaEncoding: "ieee-p1363" }));
      expect(await verifyEcdsa(publicKey, digest(hash, MESSAGE), signature)).toBe(true);
      const der = Uint8Array.from(sign(hash, MESSAGE, privateKey));
      expect(await verifyEcdsa(publicKey, digest(hash, MESSAGE), ecdsaFromDer(der, curve))).toBe(true);
      expect(ecdsaToDer(ecdsaFromDer(der, curve))).toEqual(der);
    },
  );

  test("another digest, another key, changed halves and bad numbers do not verify", async () => {
    const hashed = digest("sha256", MESSAGE);
    const signature = Uint8Array.from(sign("sha256", MESSAGE, { key: privateKey, dsaEncoding: "ieee-p1363" }));
    const refused = async (changed: Uint8Array): Promise<void> => {
      expect(await verifyEcdsa(publicKey, hashed, changed)).toBe(false);
    };
    expect(await verifyEcdsa(publicKey, digest("sha256", utf8("massage")), signature)).toBe(false);
    expect(await verifyEcdsa(ecPair(curve).publicKey, hashed, signature)).toBe(false);
    const zero = new Uint8Array(bytes);
    const [r, s] = [signature.subarray(0, bytes), signature.subarray(bytes)];
    await refused(concat(s, r));
    await refused(concat(zero, s));
    await refused(concat(r, zero));
    await refused(concat(new Uint8Array(bytes).fill(0xff), s));
    await refused(concat(r, new Uint8Array(bytes).fill(0xff)));
    await refused(signature.subarray(1));
    await refused(new Uint8Array());
  });

  test("a key off its curve is refused", async () => {
    const point = publicKey.point.slice();
    point[point.length - 1] = (point.at(-1) ?? 0) ^ 1;
    await expect(
      verifyEcdsa({ ...publicKey, point }, digest("sha256", MESSAGE), new Uint8Array(2 * bytes)),
    ).rejects.toThrow("public key: refused, not a valid key");
  });

  test("the digest may be empty, or longer than the order", async () => {
    const signature = new Uint8Array(2 * bytes).fill(1);
    expect(await verifyEcdsa(publicKey, new Uint8Array(), signature)).toBe(false);
    expect(await verifyEcdsa(publicKey, new Uint8Array(200).fill(1), signature)).toBe(false);
  });
});

describe('RFC 6979 appendix A.2.5, P-256 and the message "sample"', () => {
  const point = fromHex(
    `04 60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
        7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299`,
  );
  const signature = fromHex(
    `EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
     F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8`,
  );

  test("verifies", async () => {
    const key = { type: "ec", curve: "P-256", point } as const;
    expect(await verifyEcdsa(key, digest("sha256", utf8("sample")), signature)).toBe(true);
    expect(await verifyEcdsa(key, digest("sha256", utf8("test")), signature)).toBe(false);
  });

  test("not for the negated digest, whose point has the same x coordinate under the negated key", async () => {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const negated = order - BigInt(`0x${toHex(digest("sha256", utf8("sample")))}`);
    const hashed = fromHex(negated.toString(16).padStart(64, "0"));
    const y = BigInt(`0x${toHex(point.subarray(33))}`);
    const prime = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
    const negatedPoint = concat(point.subarray(0, 33), fromHex((prime - y).toString(16).padStart(64, "0")));
    expect(await verifyEcdsa({ type: "ec", curve: "P-256", point }, hashed, signature)).toBe(false);
    expect(await verifyEcdsa({ type: "ec", curve: "P-256", point: negatedPoint }, hashed, signature)).toBe(true);
  });
});

describe("signature encodings", () => {
  test.each(CURVES)("r || s of %s reads back from DER", (curve) => {
    const { bytes } = curveInfo(curve);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2 * bytes, maxLength: 2 * bytes }), (signature) => {
        expect(ecdsaFromDer(ecdsaToDer(signature), curve)).toEqual(signature);
      }),
    );
  });

  test("any bytes are a signature or a DataError", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(() => ecdsaFromDer(bytes, "P-256")).toThrow(/^ECDSA signature: /u);
      }),
    );
  });

  test.each([0, 1, 65, 134])("refuses r || s of %d bytes", (length) => {
    expect(() => ecdsaToDer(new Uint8Array(length))).toThrow(new DataError(`ECDSA signature: ${length} bytes`));
  });

  test("refuses numbers longer than the curve's", () => {
    const der = ecdsaToDer(new Uint8Array(96).fill(1));
    expect(() => ecdsaFromDer(der, "P-256")).toThrow(new DataError("ECDSA signature: a number of 48 bytes"));
    expect(ecdsaFromDer(der, "P-384")).toHaveLength(96);
  });

  test.each([
    ["bytes behind it", "3006 020101 020102 00", "1 bytes too many at 8"],
    ["a third number", "3009 020101 020102 020103", "3 bytes too many at 6"],
    ["one number", "3003 020101", "1 bytes needed at 3, 0 left"],
    ["a negative number", "3006 0201ff 020102", "a negative INTEGER"],
    ["a number with a zero too many", "3007 02020001 020102", "an INTEGER that is not in its shortest form"],
  ])("refuses %s", (_, hex, refusal) => {
    expect(() => ecdsaFromDer(fromHex(hex), "P-256")).toThrow(new DataError(`ECDSA signature: ${refusal}`));
  });
});

describe("truncation of a digest to the order's bits (FIPS 186-5 section 6.4.1)", () => {
  test("what is not longer stays as it is", () => {
    expect(truncateDigest(new Uint8Array(20), "P-256")).toHaveLength(20);
    expect(truncateDigest(new Uint8Array(64), "P-521")).toHaveLength(64);
  });

  test("the leftmost bits stay", () => {
    const long = Uint8Array.from({ length: 70 }, (_, index) => 0x80 | index);
    expect(truncateDigest(long, "P-256")).toEqual(long.subarray(0, 32));
    expect(truncateDigest(long, "P-384")).toEqual(long.subarray(0, 48));
    const expected = (BigInt(`0x${toHex(long.subarray(0, 66))}`) >> 7n).toString(16).padStart(132, "0");
    expect(toHex(truncateDigest(long, "P-521"))).toBe(expected);
  });
});

describe.each(CURVES)("points of %s", (curve) => {
  const { publicKey } = ecPair(curve);
  const { bytes, openssl } = curveInfo(curve);
  const compressed = (): Uint8Array => {
    const ecdh = createECDH(openssl);
    ecdh.generateKeys();
    return Uint8Array.from(ecdh.getPublicKey(null, "compressed"));
  };

  test("bare and in an OCTET STRING", () => {
    expect(decodeEcPoint(curve, publicKey.point)).toEqual(publicKey.point);
    expect(decodeEcPoint(curve, encodeEcPoint(publicKey.point))).toEqual(publicKey.point);
  });

  test("compressed ones come back uncompressed", () => {
    const point = compressed();
    const whole = decodeEcPoint(curve, point);
    expect(whole).toHaveLength(1 + 2 * bytes);
    expect(whole.subarray(1, 1 + bytes)).toEqual(point.subarray(1));
    expect(decodeEcPoint(curve, encodeEcPoint(point))).toEqual(whole);
  });

  test("off the curve, at infinity, of another form or length: refused", () => {
    const off = publicKey.point.slice();
    off[off.length - 1] = (off.at(-1) ?? 0) ^ 1;
    const origin = concat(Uint8Array.of(4), new Uint8Array(2 * bytes));
    const beyond = concat(Uint8Array.of(4), new Uint8Array(2 * bytes).fill(0xff));
    for (const point of [off, origin, beyond]) {
      expect(() => decodeEcPoint(curve, point)).toThrow(`EC point: not on ${curve}`);
      expect(() => decodeEcPoint(curve, encodeEcPoint(point))).toThrow(`EC point: not on ${curve}`);
    }
    for (const point of [Uint8Array.of(0), publicKey.point.subarray(1), new Uint8Array()]) {
      // Bare, they are taken for an OCTET STRING, which they are not either.
      expect(() => decodeEcPoint(curve, point)).toThrow(/^EC point: /u);
      expect(() => decodeEcPoint(curve, encodeEcPoint(point))).toThrow(new DataError(`EC point: not one of ${curve}`));
    }
    expect(() => decodeEcPoint(curve, concat(encodeEcPoint(publicKey.point), Uint8Array.of(0)))).toThrow(
      /^EC point: 1 bytes too many at \d+$/u,
    );
  });

  test("the first byte says the form: 04, or 02 and 03 for a compressed one, and no other", () => {
    const [whole, short] = [publicKey.point, compressed()];
    for (let first = 0; first < 256; first++) {
      const refused = (point: Uint8Array): void => {
        const changed = point.with(0, first);
        expect(() => decodeEcPoint(curve, changed)).toThrow(new DataError(`EC point: not one of ${curve}`));
        expect(() => decodeEcPoint(curve, encodeEcPoint(changed))).toThrow(
          new DataError(`EC point: not one of ${curve}`),
        );
      };
      // 06 and 07 are the hybrid form, which OpenSSL reads and PKCS#11 has not.
      if (first !== 0x04) refused(whole);
      if (first !== 0x02 && first !== 0x03) refused(short);
    }
  });

  test("another curve's point is refused", () => {
    const other = ecPair(curve === "P-256" ? "P-384" : "P-256").publicKey.point;
    expect(() => decodeEcPoint(curve, encodeEcPoint(other))).toThrow(new DataError(`EC point: not one of ${curve}`));
    // Bare, its coordinates are taken for the length and contents of an OCTET STRING.
    expect(() => decodeEcPoint(curve, other)).toThrow(/^EC point: /u);
  });

  test("the curve's name reads back", () => {
    expect(decodeEcParameters(encodeEcParameters(curve))).toBe(curve);
  });
});

test("any bytes are a point of P-256 or a DataError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      try {
        expect(decodeEcPoint("P-256", bytes)).toHaveLength(65);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
  );
});

// The first is secp256k1's name.
test.each([
  ["06052b8104000a", "curve 1.3.132.0.10 is not P-256, P-384 or P-521"],
  ["3000", "1 bytes needed at 0, 0 left"],
  ["0500", "tag 05 at 0 instead of 06"],
  ["06082a8648ce3d0301070500", "2 bytes too many at 10"],
  ["", "1 bytes needed at 0, 0 left"],
])("refuses the EC parameters %j", (hex, refusal) => {
  expect(() => decodeEcParameters(fromHex(hex))).toThrow(new DataError(`EC parameters: ${refusal}`));
});
