import { concat, fromHex, toHex } from "../bytes/index.ts";
import { type CardPrivateKey, isKeyResult, type KeyFamily, type KeyPrimitive, type KeyUsage } from "../card/index.ts";
import { check, ConformanceError } from "./check.ts";

/** One use of a key whose result can be judged. */
export interface KeyTrial {
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  /** The result is a plaintext or a shared secret: no trace may show it. */
  readonly isSecret: boolean;
  /** @throws {ConformanceError} if `result` is not the key's. */
  judge(result: Uint8Array): Promise<void> | void;
}

/** DigestInfo of SHA-256, without the hash (RFC 8017 section 9.2, note 1). */
const SHA_256 = fromHex("3031300d060960864801650304020105000420");
const DIGEST = new Uint8Array(32).fill(0x5a);

/** Kinds of keys by the object identifiers of their algorithms (RFC 8017, RFC 5480, RFC 8410), DER. */
const FAMILIES: Readonly<Record<string, KeyFamily>> = {
  "06092a864886f70d010101": "rsa",
  "06072a8648ce3d0201": "ec",
  "06032b6570": "edwards",
  "06032b656e": "montgomery",
};

function familyOf(publicKey: Uint8Array): KeyFamily | undefined {
  const head = toHex(publicKey.subarray(0, 24));
  const [, family] = Object.entries(FAMILIES).find(([oid]) => head.includes(oid)) ?? [];
  return family;
}

/** Trials of all primitives of a key that fit its type, and that this kit has one for. */
export async function trialsOf(key: CardPrivateKey): Promise<readonly KeyTrial[]> {
  const publicKey = await key.publicKey();
  const family = familyOf(publicKey);
  if (family === undefined) return [];
  const usage = typeof key.usage === "function" ? key.usage(family) : key.usage;
  const trials: KeyTrial[] = [];
  for (const primitive of key.primitives) {
    if (family === "rsa") trials.push(...(await rsaTrials(usage, publicKey, primitive)));
    else if (primitive === "ecdh" && family === "ec" && usage.derive) trials.push(...(await ecdhTrials(publicKey)));
    else if (usage.sign && FAMILY_OF_SIGNATURE[primitive] === family) {
      trials.push(checked(publicKey, primitive, DIGEST, undefined));
    }
  }
  return trials;
}

const FAMILY_OF_SIGNATURE: Readonly<Partial<Record<KeyPrimitive, KeyFamily>>> = {
  ecdsa: "ec",
  "ecdsa-sha1": "ec",
  eddsa: "edwards",
};

/** A use whose result the public key can check. */
function checked(
  publicKey: Uint8Array,
  primitive: KeyPrimitive,
  input: Uint8Array,
  length: number | undefined,
  isSecret = false,
): KeyTrial {
  return {
    primitive,
    input,
    isSecret,
    judge: async (result) => {
      if (length !== undefined)
        check(result.length === length, `a result of ${result.length} bytes, and not ${length}`);
      check(
        (await isKeyResult(publicKey, primitive, input, result)) === true,
        "the result does not verify with publicKey()",
      );
    },
  };
}

async function rsaTrials(
  { sign, decrypt }: KeyUsage,
  publicKey: Uint8Array,
  primitive: KeyPrimitive,
): Promise<KeyTrial[]> {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const imported = await crypto.subtle
    .importKey("spki", publicKey.slice(), algorithm, true, ["verify"])
    .catch((cause: unknown) => {
      throw new ConformanceError("publicKey() is no RSA key that WebCrypto imports", { cause });
    });
  const length = (imported.algorithm as unknown as { readonly modulusLength: number }).modulusLength / 8;
  const digestInfo = concat(SHA_256, DIGEST);
  const trials: KeyTrial[] = [];
  if (sign && primitive === "rsa-raw") {
    const filling = new Uint8Array(length - digestInfo.length - 3).fill(0xff);
    const block = concat(Uint8Array.of(0, 1), filling, Uint8Array.of(0), digestInfo);
    trials.push(checked(publicKey, primitive, block, length));
  }
  if (sign && primitive === "rsa-pkcs1") trials.push(checked(publicKey, primitive, digestInfo, length));
  if (sign && primitive === "rsa-pss") trials.push(checked(publicKey, primitive, DIGEST, length));
  if (decrypt && primitive === "rsa-raw") {
    // Any number below the modulus is a ciphertext.
    const ciphertext = new Uint8Array(length).fill(0x5a);
    ciphertext[0] = 0;
    trials.push(checked(publicKey, primitive, ciphertext, length, true));
  }
  return trials;
}

/** What WebCrypto calls the curves, and the length of a coordinate. */
const CURVES = [
  { name: "P-256", bytes: 32 },
  { name: "P-384", bytes: 48 },
  { name: "P-521", bytes: 66 },
] as const;

/** Agreement with a key of this process, for the curves that WebCrypto has. */
async function ecdhTrials(publicKey: Uint8Array): Promise<KeyTrial[]> {
  for (const { name, bytes } of CURVES) {
    const algorithm = { name: "ECDH", namedCurve: name };
    const theirs = await crypto.subtle.importKey("spki", publicKey.slice(), algorithm, true, []).catch(() => undefined);
    if (!theirs) continue;
    const own = await crypto.subtle.generateKey(algorithm, false, ["deriveBits"]);
    const input = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
    const secret = await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, own.privateKey, bytes * 8);
    const expected = new Uint8Array(secret);
    const judge = (result: Uint8Array): void => {
      check(result.length === bytes, `a shared secret of ${result.length} bytes, and not ${bytes}`);
      check(
        result.every((byte, index) => byte === expected[index]),
        "the shared secret is not that of publicKey()",
      );
    };
    return [{ primitive: "ecdh", input, isSecret: true, judge }];
  }
  return [];
}
