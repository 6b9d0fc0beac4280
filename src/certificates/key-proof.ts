import { equalBytes, wipe } from "../bytes/index.ts";
import {
  digest,
  digestInfo,
  encodePkcs1Encryption,
  generateCurve25519Key,
  generateEcKey,
  type PublicKey,
  randomBytes,
  rsaPublic,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
} from "../crypto/index.ts";
import { type CK_MECHANISM, CKD, CKM, CryptokiError } from "../cryptoki/index.ts";

/** What a key was proved by. */
export type KeyProof = "signature" | "decryption" | "agreement";

/** A private key of a token, and its public half. */
export interface ProvableKey {
  readonly publicKey: PublicKey;
  readonly uses: { readonly sign: boolean; readonly decrypt: boolean; readonly derive: boolean };
  /** Mechanisms of the token. */
  readonly offered: readonly number[];
  readonly sign: (mechanism: CK_MECHANISM, data: Uint8Array) => Promise<Uint8Array>;
  readonly decrypt: (mechanism: CK_MECHANISM, data: Uint8Array) => Promise<Uint8Array>;
  readonly derive: (mechanism: CK_MECHANISM) => Promise<Uint8Array>;
}

/** Bytes of the random value. */
const RANDOM = 32;

/**
 * Has a key work on a random value, once, and checks the result with its public half on the host.
 * @returns What it did, and whether that was right; undefined if it allows nothing that can be checked.
 * @throws {CryptokiError} if the token refuses; a result that the driver found wrong is no refusal.
 */
export async function proveKey(
  key: ProvableKey,
): Promise<{ readonly by: KeyProof; readonly isRight: boolean } | undefined> {
  const { uses, publicKey } = key;
  try {
    if (uses.sign && publicKey.type !== "montgomery") return { by: "signature", isRight: await signs(key) };
    if (uses.decrypt && publicKey.type === "rsa") return { by: "decryption", isRight: await decrypts(key) };
    if (uses.derive && publicKey.type !== "rsa") return { by: "agreement", isRight: await agrees(key) };
  } catch (error) {
    if (!isWrongResult(error)) throw error;
    return { by: uses.sign ? "signature" : uses.decrypt ? "decryption" : "agreement", isRight: false };
  }
  return undefined;
}

/** The driver checks results itself, and gives none that is wrong. */
function isWrongResult(error: unknown): boolean {
  for (let link: unknown = error; link instanceof Error; link = link.cause) {
    if (link.name === "WrongResultError") return error instanceof CryptokiError;
  }
  return false;
}

async function signs({ publicKey, offered, sign }: ProvableKey): Promise<boolean> {
  const random = randomBytes(RANDOM);
  switch (publicKey.type) {
    case "rsa": {
      const block = digestInfo("sha256", random);
      return verifyPkcs1(publicKey, block, await sign({ mechanism: CKM.RSA_PKCS }, block));
    }
    case "ec": {
      // Some cards sign a hash that they know the kind of, and no other.
      if (!offered.includes(CKM.ECDSA) && offered.includes(CKM.ECDSA_SHA1)) {
        const signature = await sign({ mechanism: CKM.ECDSA_SHA1 }, random);
        return verifyEcdsa(publicKey, digest("sha1", random), signature);
      }
      return verifyEcdsa(publicKey, random, await sign({ mechanism: CKM.ECDSA }, random));
    }
    case "edwards":
      return verifyEddsa(publicKey, random, await sign({ mechanism: CKM.EDDSA }, random));
    case "montgomery":
      return false;
  }
}

async function decrypts({ publicKey, offered, decrypt }: ProvableKey): Promise<boolean> {
  if (publicKey.type !== "rsa") return false;
  const random = randomBytes(RANDOM);
  const raw = !offered.includes(CKM.RSA_PKCS);
  const block = encodePkcs1Encryption(random, publicKey.modulus.length);
  const plaintext = await decrypt({ mechanism: raw ? CKM.RSA_X_509 : CKM.RSA_PKCS }, rsaPublic(publicKey, block));
  const isRight = equalBytes(plaintext, raw ? block : random);
  wipe(plaintext, block, random);
  return isRight;
}

async function agrees({ publicKey, derive }: ProvableKey): Promise<boolean> {
  if (publicKey.type !== "ec" && publicKey.type !== "montgomery") return false;
  const peer = await (publicKey.type === "ec" ? generateEcKey(publicKey.curve) : generateCurve25519Key("X25519"));
  const { publicKey: ours } = peer;
  if (ours.type !== "ec" && ours.type !== "montgomery") return false;
  const expected = await peer.compute("ecdh", publicKey.point);
  const parameter = { kdf: CKD.NULL, pPublicData: ours.point };
  const secret = await derive({ mechanism: CKM.ECDH1_DERIVE, parameter });
  const isRight = equalBytes(secret, expected);
  wipe(secret, expected);
  peer.wipe();
  return isRight;
}
