import { createCipheriv } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { toHex } from "../../src/bytes/index.ts";
import { AuthenticationError, decryptGcm, encryptGcm } from "../../src/crypto/index.ts";
import { equivalentGcmNonce } from "../../src/crypto/host/node/aead.ts";
import { shareOf } from "../seeded-random.ts";

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const aesKey = fc.oneof(bytes(16), bytes(24), bytes(32));
const algorithmOf = (key: Uint8Array) =>
  `aes-${(8 * key.length) as 128 | 192 | 256}-gcm` satisfies `aes-${number}-gcm` as "aes-128-gcm";

/** The product in GF(2^128) of SP 800-38D section 6.3, with numbers of any size. */
function product(x: bigint, y: bigint): bigint {
  let [z, v] = [0n, y];
  for (let bit = 127n; bit >= 0n; bit--) {
    if (((x >> bit) & 1n) === 1n) z ^= v;
    v = (v & 1n) === 1n ? (v >> 1n) ^ (0xe1n << 120n) : v >> 1n;
  }
  return z;
}

const number = (block: Uint8Array): bigint => BigInt(`0x${toHex(block)}`);

/** AES-GCM as SP 800-38D writes it down, from the first counter block on; the counter is far from its end. */
function reference(key: Uint8Array, nonce: Uint8Array, message: Uint8Array): { ciphertext: Buffer; tag: string } {
  const ecb = (block: Uint8Array): Buffer =>
    createCipheriv(`aes-${8 * key.length}-ecb`, key, null)
      .setAutoPadding(false)
      .update(block);
  const h = number(ecb(new Uint8Array(16)));
  const ghash = (blocks: Buffer): bigint => {
    let hash = 0n;
    for (let at = 0; at < blocks.length; at += 16) hash = product(hash ^ number(blocks.subarray(at, at + 16)), h);
    return hash;
  };
  const padded = (data: Uint8Array): Buffer => Buffer.concat([data, new Uint8Array((16 - (data.length % 16)) % 16)]);
  const lengthBlock = (length: number): Buffer => {
    const block = Buffer.alloc(16);
    block.writeBigUInt64BE(BigInt(8 * length), 8);
    return block;
  };
  const block = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(32, "0"), "hex");
  const first = ghash(Buffer.concat([padded(nonce), lengthBlock(nonce.length)]));
  const next = (first & ~0xffffffffn) | ((first + 1n) & 0xffffffffn);
  const ciphertext = createCipheriv(`aes-${8 * key.length}-ctr`, key, block(next)).update(message);
  const hash = ghash(Buffer.concat([padded(ciphertext), lengthBlock(ciphertext.length)]));
  return { ciphertext, tag: block(hash ^ number(ecb(block(first)))).toString("hex") };
}

/** Bytes without a pattern that a block cipher meets twice, the same in each run. */
const someBytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index * 7 + (index >> 8));

describe("long initialisation vectors of AES-GCM", () => {
  test("OpenSSL gives the same with one that it takes and with its equivalent", () => {
    const nonces = fc.uint8Array({ minLength: 1, maxLength: 128 }).filter(({ length }) => length !== 12);
    fc.assert(
      fc.property(aesKey, nonces, fc.uint8Array({ maxLength: 40 }), (key, nonce, message) => {
        const sealed = (iv: Uint8Array): string => {
          const cipher = createCipheriv(algorithmOf(key), key, iv);
          return Buffer.concat([cipher.update(message), cipher.final(), cipher.getAuthTag()]).toString("hex");
        };
        const equivalent = equivalentGcmNonce(key, nonce, algorithmOf(key));
        expect(equivalent).toHaveLength(16);
        expect(sealed(equivalent)).toBe(sealed(nonce));
      }),
      { numRuns: shareOf(50) },
    );
  });

  test.each([127, 128, 129, 144, 1000, 65_537])("%d bytes, beside a calculation by the book", (length) => {
    const [key, nonce, message] = [someBytes(32), someBytes(length), someBytes(33)];
    const parameters = { key, nonce, additional: new Uint8Array(), tagLength: 16 };
    const { ciphertext, tag } = encryptGcm(parameters, message);
    const expected = reference(key, nonce, message);
    expect(toHex(ciphertext)).toBe(expected.ciphertext.toString("hex"));
    expect(toHex(tag)).toBe(expected.tag);
    expect(toHex(decryptGcm(parameters, ciphertext, tag))).toBe(toHex(message));
  });

  test("another long one, or another tag, is refused", () => {
    const parameters = { key: someBytes(16), nonce: someBytes(200), additional: someBytes(5), tagLength: 16 };
    const { ciphertext, tag } = encryptGcm(parameters, someBytes(20));
    const other = Uint8Array.from(parameters.nonce);
    other[199] = (other[199] ?? 0) ^ 1;
    expect(() => decryptGcm({ ...parameters, nonce: other }, ciphertext, tag)).toThrow(AuthenticationError);
    const wrong = tag.with(0, (tag[0] ?? 0) ^ 1);
    expect(() => decryptGcm(parameters, ciphertext, wrong)).toThrow(AuthenticationError);
    expect(decryptGcm(parameters, ciphertext, tag)).toHaveLength(20);
  });
});
