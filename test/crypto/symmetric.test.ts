import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, fromHex, toHex } from "../../src/bytes/index.ts";
import {
  AuthenticationError,
  blockStream,
  Cmac,
  counterStream,
  decryptCcm,
  decryptGcm,
  encryptCcm,
  encryptGcm,
  sealGcm,
  hkdfExpand,
  hkdfExtract,
  HmacStream,
  pbkdf2Hmac,
  unwrapKey,
  wrapKey,
} from "../../src/crypto/index.ts";
import { shareOf } from "../seeded-random.ts";

const hex = (text: string): Uint8Array => fromHex(text.replaceAll(/\s/gu, ""));

/** The key and message of SP 800-38A appendix F and SP 800-38B appendix D.1. */
const KEY = hex("2b7e151628aed2a6abf7158809cf4f3c");
const MESSAGE = hex(
  "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
);

const COUNTER_ENDS = "CTR: more data than the counter has values";
const aesKey = fc.constantFrom(16, 24, 32).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
const parts = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });

describe("CMAC (SP 800-38B appendix D.1)", () => {
  test.each([
    [0, "bb1d6929e95937287fa37d129b756746"],
    [16, "070a16b46b4d4144f79bdd9dd04a287c"],
    [40, "dfa66747de9ae63030ca32611497c827"],
    [64, "51f0bebf7e3b9d92fc49741779363cfe"],
  ])("of %i bytes", (length, expected) => {
    const mac = new Cmac("aes", KEY);
    mac.update(MESSAGE.subarray(0, length));
    expect(toHex(mac.final())).toBe(expected);
  });

  test("does not depend on how the message comes in", () => {
    fc.assert(
      fc.property(aesKey, parts, (key, pieces) => {
        const whole = new Cmac("aes", key);
        whole.update(concat(...pieces));
        const inParts = new Cmac("aes", key);
        for (const piece of pieces) inParts.update(piece);
        expect(inParts.final()).toEqual(whole.final());
      }),
    );
  });
});

describe("block ciphers", () => {
  test("AES-128 CBC (SP 800-38A appendix F.2.1)", () => {
    const stream = blockStream("encrypt", {
      cipher: "aes",
      key: KEY,
      iv: hex("000102030405060708090a0b0c0d0e0f"),
      padding: false,
    });
    expect(toHex(stream.update(MESSAGE.subarray(0, 32)))).toBe(
      "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
    );
  });

  test("single DES (FIPS 81 appendix B)", () => {
    const stream = blockStream("encrypt", { cipher: "3des", key: hex("0123456789abcdef"), padding: false });
    expect(toHex(stream.update(hex("4e6f772069732074")))).toBe("3fa40e8a984d4815");
  });

  test("what was encrypted is decrypted, however it comes in", () => {
    fc.assert(
      fc.property(aesKey, parts, fc.uint8Array({ minLength: 16, maxLength: 16 }), (key, pieces, iv) => {
        const cipher = blockStream("encrypt", { cipher: "aes", key, iv, padding: true });
        const ciphertext = concat(...pieces.map((piece) => cipher.update(piece)), cipher.final());
        const decipher = blockStream("decrypt", { cipher: "aes", key, iv, padding: true });
        expect(concat(decipher.update(ciphertext), decipher.final())).toEqual(concat(...pieces));
      }),
    );
  });

  test("a part of a block is refused, and so are keys and IVs of other lengths", () => {
    const stream = blockStream("encrypt", { cipher: "aes", key: KEY, padding: false });
    stream.update(MESSAGE.subarray(0, 15));
    expect(() => stream.final()).toThrow("aes: not a whole number of blocks, or wrong padding");
    expect(() => blockStream("encrypt", { cipher: "aes", key: KEY.subarray(1), padding: false })).toThrow(
      "aes key: 15 bytes",
    );
    expect(() => blockStream("encrypt", { cipher: "aes", key: KEY, iv: KEY.subarray(1), padding: false })).toThrow(
      "aes: an IV of 15 bytes",
    );
  });
});

describe("counter mode", () => {
  test("SP 800-38A appendix F.5.1", () => {
    const stream = counterStream(KEY, 128, hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
    expect(toHex(stream.update(MESSAGE.subarray(0, 32)))).toBe(
      "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
    );
  });

  test("each block is made of its counter, and none comes after the last", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.uint8Array({ minLength: 16, maxLength: 16 }), (bits, first) => {
        const number = BigInt(`0x${toHex(first)}`);
        const range = 1n << BigInt(bits);
        const left = Number(range - (number % range));
        const blocks = Math.min(left, 40);
        const counting = counterStream(KEY, bits, first);
        const stream = counting.update(new Uint8Array(16 * blocks));
        for (let index = 0; index < blocks; index++) {
          const block = blockStream("encrypt", { cipher: "aes", key: KEY, padding: false });
          const expected = block.update(fromHex((number + BigInt(index)).toString(16).padStart(32, "0")));
          expect(stream.subarray(16 * index, 16 * index + 16)).toEqual(expected);
        }
        if (blocks === left) expect(() => counting.update(new Uint8Array(1))).toThrow(COUNTER_ENDS);
      }),
      { numRuns: shareOf(30) },
    );
  });

  test("no counter is used twice", () => {
    const stream = counterStream(KEY, 2, new Uint8Array(16));
    stream.update(new Uint8Array(64));
    expect(() => stream.update(new Uint8Array(1))).toThrow(COUNTER_ENDS);
  });
});

describe("authenticated encryption", () => {
  test("GCM (McGrew and Viega, test case 4)", () => {
    const { ciphertext, tag } = encryptGcm(
      {
        key: hex("feffe9928665731c6d6a8f9467308308"),
        nonce: hex("cafebabefacedbaddecaf888"),
        additional: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        tagLength: 16,
      },
      hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      ),
    );
    expect(toHex(ciphertext)).toBe(
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
    );
    expect(toHex(tag)).toBe("5bc94fbc3221a5db94fae95ae7121a47");
  });

  test("GCM gives each part as it comes, up to 2^36 - 32 bytes", () => {
    const parameters = { key: KEY, nonce: new Uint8Array(12), additional: new Uint8Array(), tagLength: 16 };
    const message = Uint8Array.from({ length: 50 }, (_, index) => index);
    const stream = sealGcm(parameters);
    const parts = [message.subarray(0, 20), message.subarray(20)].map((part) => stream.update(part));
    expect(parts.map(({ length }) => length)).toEqual([20, 30]);
    // The length alone, because so much does not fit into memory.
    const rest = { length: 2 ** 36 - 32 - 49 } as Uint8Array;
    expect(() => stream.update(rest)).toThrow("GCM: a message of more than 68719476704 bytes");
    const { ciphertext, tag } = encryptGcm(parameters, message);
    expect(concat(...parts, stream.final())).toEqual(concat(ciphertext, tag));
  });

  test("CCM (SP 800-38C example 1)", () => {
    const { ciphertext, tag } = encryptCcm(
      {
        key: hex("404142434445464748494a4b4c4d4e4f"),
        nonce: hex("10111213141516"),
        additional: hex("0001020304050607"),
        tagLength: 4,
      },
      hex("20212223"),
    );
    expect(toHex(concat(ciphertext, tag))).toBe("7162015b4dac255d");
  });

  test.each([
    ["GCM", encryptGcm, decryptGcm, 12],
    ["CCM", encryptCcm, decryptCcm, 11],
  ] as const)("%s gives back what went in, and nothing that was changed", (_, encrypt, decrypt, nonceLength) => {
    fc.assert(
      fc.property(
        aesKey,
        fc.uint8Array({ minLength: nonceLength, maxLength: nonceLength }),
        fc.uint8Array({ maxLength: 30 }),
        fc.uint8Array({ minLength: 1, maxLength: 50 }),
        fc.nat(),
        (key, nonce, additional, message, at) => {
          const parameters = { key, nonce, additional, tagLength: 16 };
          const { ciphertext, tag } = encrypt(parameters, message);
          expect(decrypt(parameters, ciphertext, tag)).toEqual(message);
          const changed = Uint8Array.from(ciphertext);
          changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ 1;
          const opened = (): Uint8Array => decrypt(parameters, changed, tag);
          expect(opened).toThrow("authenticated encryption: the tag does not match the message");
          expect(opened).toThrow(expect.any(AuthenticationError));
        },
      ),
    );
  });
});

describe("key wrap", () => {
  test("RFC 3394 section 4.1", () => {
    const wrapped = wrapKey("plain", hex("000102030405060708090A0B0C0D0E0F"), hex("00112233445566778899AABBCCDDEEFF"));
    expect(toHex(wrapped)).toBe("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
  });

  test("RFC 5649 section 6", () => {
    const key = hex("5840df6e29b02af1 ab493b705bf16ea1 ae8338f4dcc176a8");
    const data = hex("c37b7e6492584340 bed1220780894115 5068f738");
    expect(toHex(wrapKey("padded", key, data))).toBe(
      "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
    );
  });

  test("what was wrapped is unwrapped with the same key, and refused with another", () => {
    fc.assert(
      fc.property(aesKey, fc.uint8Array({ minLength: 1, maxLength: 70 }), (key, data) => {
        const wrapped = wrapKey("padded", key, data);
        expect(unwrapKey("padded", key, wrapped)).toEqual(data);
        const other = key.map((byte, index) => (index === 0 ? byte ^ 1 : byte));
        expect(() => unwrapKey("padded", other, wrapped)).toThrow(
          "key wrap: not wrapped with this key, or changed since",
        );
      }),
    );
  });

  test.each([0, 8, 15, 17])("%i bytes have no plain wrapping", (length) => {
    expect(() => wrapKey("plain", KEY, new Uint8Array(length))).toThrow(
      `key wrap: ${length} bytes cannot be wrapped in this mode`,
    );
  });
});

describe("derivation", () => {
  test("HKDF (RFC 5869 appendix A.1)", () => {
    const prk = hkdfExtract("sha256", hex("000102030405060708090a0b0c"), new Uint8Array(22).fill(0x0b));
    expect(toHex(prk)).toBe("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    expect(toHex(hkdfExpand("sha256", prk, hex("f0f1f2f3f4f5f6f7f8f9"), 42))).toBe(
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    );
    expect(() => hkdfExpand("sha256", prk, new Uint8Array(), 255 * 32 + 1)).toThrow(
      "HKDF: 8161 bytes, 8160 at most with sha256",
    );
  });

  test("HMAC (RFC 4231 test case 2)", () => {
    const mac = new HmacStream("sha256", Buffer.from("Jefe"));
    mac.update(Buffer.from("what do ya want "));
    mac.update(Buffer.from("for nothing?"));
    expect(toHex(mac.final())).toBe("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  });

  test("PBKDF2 (RFC 6070)", async () => {
    const key = await pbkdf2Hmac("sha1", Buffer.from("password"), Buffer.from("salt"), 4096, 20);
    expect(toHex(key)).toBe("4b007901b765489abead49d926f721d065a429c1");
  });
});
