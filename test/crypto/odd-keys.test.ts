import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { derBitString, derNull, derOid, DerReader, derSequence, encodeDer, TAG } from "../../src/asn1/index.ts";
import { concat, fromHex, toHex } from "../../src/bytes/index.ts";
import {
  decodeEcParameters,
  encodePublicKey,
  encodeSshPublicKey,
  HostPrivateKey,
  parsePublicKey,
  publicKeyName,
} from "../../src/crypto/index.ts";
import { ecPair, rsaPair, spkiOf } from "./keys.ts";

const CURVES = ["P-256", "P-384", "P-521"] as const;
const EC = derOid("1.2.840.10045.2.1");
type Curve = (typeof CURVES)[number];

/** The SubjectPublicKeyInfo of a new key, with the numbers of its curve in full, as OpenSSL writes them. */
function explicitKey(curve: Curve): Uint8Array {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: curve, paramEncoding: "explicit" });
  return spkiOf(publicKey);
}

/** ECParameters of ANSI X9.62 as OpenSSL writes them. */
function explicitParameters(curve: Curve): Uint8Array {
  const algorithm = new DerReader(explicitKey(curve)).enter().enter();
  algorithm.oid();
  return algorithm.next().encoding;
}

describe("explicit parameters of a curve", () => {
  test.each(CURVES)("of %s, all of them: the named curve", (curve) => {
    const spki = explicitKey(curve);
    const key = parsePublicKey(spki);
    expect(key).toMatchObject({ type: "ec", curve });
    expect(decodeEcParameters(explicitParameters(curve))).toBe(curve);
    // Written by name, with the same point.
    expect(encodePublicKey(key).length).toBeLessThan(spki.length);
    expect(parsePublicKey(encodePublicKey(key))).toEqual(key);
  });

  /** The parts: version, field, curve, generator, order, cofactor. */
  const parts = (parameters: Uint8Array): Uint8Array[] => {
    const reader = new DerReader(parameters).enter();
    const found: Uint8Array[] = [];
    while (reader.remaining > 0) found.push(reader.next().encoding);
    return found;
  };
  const flipped = (part: Uint8Array): Uint8Array => part.with(-1, (part.at(-1) ?? 0) ^ 1);

  test.each(CURVES)("of %s without seed and cofactor, and with a compressed generator", (curve) => {
    const [version, field, equation, generator, order] = parts(explicitParameters(curve)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const ab = new DerReader(equation).enter();
    const bare = derSequence(ab.next().encoding, ab.next().encoding);
    expect(decodeEcParameters(derSequence(version, field, bare, generator, order))).toBe(curve);
    const point = new DerReader(generator).octetString();
    const half = (point.length - 1) / 2;
    const odd = (point.at(-1) ?? 0) & 1;
    const compressed = (first: number): Uint8Array =>
      derSequence(
        version,
        field,
        bare,
        encodeDer(TAG.OCTET_STRING, Uint8Array.of(first), point.slice(1, 1 + half)),
        order,
      );
    expect(decodeEcParameters(compressed(2 + odd))).toBe(curve);
    expect(() => decodeEcParameters(compressed(3 - odd))).toThrow("EC parameters: explicit ones of a curve other than");
  });

  // CVE-2020-0601: with a chosen generator, an attacker has a private key for a known public key.
  test.each([
    ["field", 1],
    ["equation's seed aside, b", 2],
    ["generator", 3],
    ["order", 4],
    ["cofactor", 5],
  ])("with another %s are refused", (what, index) => {
    const given = parts(explicitParameters("P-256"));
    const part = given[index] ?? new Uint8Array();
    const changed = index === 2 ? withoutSeed(part, flipped) : flipped(part);
    expect(decodeEcParameters(derSequence(...given.with(2, withoutSeed(given[2] ?? part))))).toBe("P-256");
    expect(() => decodeEcParameters(derSequence(...given.with(index, changed)))).toThrow(
      what === "cofactor" ? "a cofactor that is not 1" : "explicit ones of a curve other than P-256, P-384 and P-521",
    );
  });

  function withoutSeed(equation: Uint8Array, change: (b: Uint8Array) => Uint8Array = (b) => b): Uint8Array {
    const reader = new DerReader(equation).enter();
    return derSequence(reader.next().encoding, change(reader.next().encoding));
  }

  test("of another curve, of a binary field, and what is implied, are refused", () => {
    const other = new DerReader(
      spkiOf(generateKeyPairSync("ec", { namedCurve: "secp256k1", paramEncoding: "explicit" }).publicKey),
    )
      .enter()
      .enter();
    other.oid();
    expect(() => decodeEcParameters(other.next().encoding)).toThrow("explicit ones of a curve other than");
    const binary = parts(explicitParameters("P-256")).with(1, derSequence(derOid("1.2.840.10045.1.2"), derSequence()));
    expect(() => decodeEcParameters(derSequence(...binary))).toThrow("which is not a prime field");
    expect(() => decodeEcParameters(derNull())).toThrow("EC parameters: tag 05 at 0 instead of 06");
  });
});

describe("numbers and points in unusual forms", () => {
  const { publicKey: rsa } = rsaPair(2048);
  const rsaInfo = (modulus: Uint8Array, exponent: Uint8Array): Uint8Array =>
    derSequence(
      derSequence(derOid("1.2.840.113549.1.1.1"), derNull()),
      derBitString(derSequence(encodeDer(TAG.INTEGER, modulus), encodeDer(TAG.INTEGER, exponent))),
    );

  test.each([
    ["without the zero that keeps it from being negative", rsa.modulus],
    ["with more zeros than it needs", concat(new Uint8Array(5), rsa.modulus)],
  ])("a modulus %s", (_, modulus) => {
    const spki = rsaInfo(modulus, concat(new Uint8Array(2), rsa.publicExponent));
    expect(parsePublicKey(spki)).toEqual(rsa);
    // What is written is DER.
    expect(encodePublicKey(parsePublicKey(spki))).toEqual(encodePublicKey(rsa));
  });

  test.each([
    ["an even modulus", rsaInfo(rsa.modulus.with(-1, 2), rsa.publicExponent)],
    ["no modulus", rsaInfo(new Uint8Array(), rsa.publicExponent)],
    ["an exponent of 1", rsaInfo(rsa.modulus, Uint8Array.of(1))],
  ])("%s is refused", (_, spki) => {
    expect(() => parsePublicKey(spki)).toThrow("RSA public key: not a modulus and exponent");
  });

  test.each(CURVES)("a compressed point of %s", (curve) => {
    const { publicKey } = ecPair(curve);
    const half = (publicKey.point.length - 1) / 2;
    const sign = 2 + ((publicKey.point.at(-1) ?? 0) & 1);
    const point = concat(Uint8Array.of(sign), publicKey.point.subarray(1, 1 + half));
    expect(parsePublicKey(encodePublicKey({ ...publicKey, point }))).toEqual(publicKey);
  });

  test("lengths in BER", () => {
    const spki = encodePublicKey(rsa);
    expect(parsePublicKey(concat(fromHex("308300"), spki.subarray(2)))).toEqual(rsa);
    expect(parsePublicKey(concat(fromHex("3080"), spki.subarray(4), fromHex("0000")))).toEqual(rsa);
  });
});

describe("keys for RSASSA-PSS", () => {
  const pair = (options: object): { publicKey: KeyObject; privateKey: KeyObject } =>
    generateKeyPairSync("rsa-pss", { modulusLength: 1024, ...options });

  test.each([
    ["no limits", {}, "none"],
    [
      "SHA-256",
      { hashAlgorithm: "sha256", mgf1HashAlgorithm: "sha256", saltLength: 32 },
      { hash: "sha256", mgfHash: "sha256", minSaltLength: 32 },
    ],
    [
      "SHA-512, MGF1 with SHA-1 and no salt",
      { hashAlgorithm: "sha512", mgf1HashAlgorithm: "sha1", saltLength: 0 },
      { hash: "sha512", mgfHash: "sha1", minSaltLength: 0 },
    ],
    [
      "the defaults",
      { hashAlgorithm: "sha1", mgf1HashAlgorithm: "sha1", saltLength: 20 },
      { hash: "sha1", mgfHash: "sha1", minSaltLength: 20 },
    ],
  ])("%s, as OpenSSL writes it", (_, options, pss) => {
    const spki = spkiOf(pair(options).publicKey);
    const key = parsePublicKey(spki);
    expect(key).toMatchObject({ type: "rsa", modulusBits: 1024, pss });
    expect(toHex(encodePublicKey(key))).toBe(toHex(spki));
    expect(publicKeyName(spki)).toBe("RSA-PSS-1024");
    expect(() => encodeSshPublicKey(key)).toThrow("OpenSSH does not support keys for RSASSA-PSS only");
  });

  test("a hash that is not known, another mask, and another trailer are refused", () => {
    const { modulus } = rsaPair(1024).publicKey;
    const numbers = derBitString(derSequence(encodeDer(TAG.INTEGER, Uint8Array.of(0), modulus), fromHex("020103")));
    const info = (...fields: Uint8Array[]): Uint8Array =>
      derSequence(derSequence(derOid("1.2.840.113549.1.1.10"), derSequence(...fields)), numbers);
    expect(parsePublicKey(info())).toMatchObject({ pss: { hash: "sha1" } });
    expect(() => parsePublicKey(info(encodeDer(0xa0, derSequence(derOid("1.2.3")))))).toThrow("unknown hash 1.2.3");
    expect(() => parsePublicKey(info(encodeDer(0xa1, derSequence(derOid("1.2.3")))))).toThrow("1.2.3 is not MGF1");
    expect(() => parsePublicKey(info(encodeDer(0xa3, fromHex("020102"))))).toThrow("a trailer that is not BC");
    // It is named all the same.
    expect(publicKeyName(info(encodeDer(0xa3, fromHex("020102"))))).toBe("RSA-PSS");
  });

  test("their private halves are not taken", () => {
    const der = new Uint8Array(pair({}).privateKey.export({ format: "der", type: "pkcs8" }));
    expect(() => HostPrivateKey.fromPkcs8(der)).toThrow("give the key as rsaEncryption");
  });
});

describe("names of unsupported keys", () => {
  const unknown = (oid: string, ...parameters: Uint8Array[]): Uint8Array =>
    derSequence(derSequence(derOid(oid), ...parameters), derBitString(new Uint8Array(32)));
  const onCurve = (namedCurve: string): Uint8Array => spkiOf(generateKeyPairSync("ec", { namedCurve }).publicKey);

  test.each([
    ["brainpoolP256r1", onCurve("brainpoolP256r1")],
    ["brainpoolP384r1", onCurve("brainpoolP384r1")],
    ["brainpoolP512r1", onCurve("brainpoolP512r1")],
    ["secp256k1", onCurve("secp256k1")],
    ["P-224", onCurve("secp224r1")],
    ["DSA-1024", spkiOf(generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }).publicKey)],
    ["Ed448", spkiOf(generateKeyPairSync("ed448").publicKey)],
    ["X448", spkiOf(generateKeyPairSync("x448").publicKey)],
    ["ML-DSA-65", unknown("2.16.840.1.101.3.4.3.18")],
    ["SLH-DSA-SHAKE-256f", unknown("2.16.840.1.101.3.4.3.31")],
    ["EC (1.2.3.4)", unknown("1.2.840.10045.2.1", derOid("1.2.3.4"))],
    ["EC (explicit parameters)", unknown("1.2.840.10045.2.1", derSequence())],
    ["1.2.3.4", unknown("1.2.3.4")],
    ["RSA-2048", encodePublicKey(rsaPair(2048).publicKey)],
    ["P-521", encodePublicKey(ecPair("P-521").publicKey)],
  ])("%s", (name, spki) => {
    expect(publicKeyName(spki)).toBe(name);
  });

  test("what is no public key has no name", () => {
    expect(() => publicKeyName(derSequence(EC))).toThrow(/^public key: /u);
  });
});
