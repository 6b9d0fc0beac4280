import { fromHex } from "../bytes/index.ts";
import { type CardPrivateKey, type CardToken, isKeyResult, type KeyPrimitive } from "../card/index.ts";
import {
  curveInfo,
  digestInfo,
  encodePkcs1Signature,
  keyTypeOf,
  parsePublicKey,
  randomBytes,
  rsaPublic,
} from "../crypto/index.ts";
import type { Examination } from "./examination.ts";
import type { ExchangeLog, KeyAnswer } from "./exchange-log.ts";
import { agreement, isDer, KEY_CHECKS, type Login, ROUNDS } from "./piv/keys.ts";

/** A key operation with a result that the host can check. */
interface TokenProof {
  readonly primitive: KeyPrimitive;
  readonly input: Uint8Array;
  readonly isRight: (result: Uint8Array) => boolean | Promise<boolean>;
}

/** RSA results are as long as the modulus; signatures and secrets of EC keys have one form. */
const RESULT_FORM = {
  ...KEY_CHECKS.RESULT_FORM,
  section: "RFC 8017 section 4.1; RFC 3279 section 2.2.3; SP 800-56A section 5.7.1.2",
};

/**
 * Tests a key by an operation that its public key can check, and checks the form of the card's result.
 * @param log Has the card's own answers: the driver normalises them.
 * @param login Verifies the PIN anew for a key that needs it each time.
 * @throws {CardError} if the key cannot be used; {DataError} for a public key that does not parse.
 */
export async function proveKey(
  token: CardToken,
  key: CardPrivateKey,
  where: string,
  examination: Examination,
  log: ExchangeLog,
  login: Login,
): Promise<void> {
  const publicKey = await key.publicKey();
  const proofs = await proofsOf(key, publicKey);
  if (proofs.length === 0) examination.unchecked(where, "it has no operation that can be checked here");
  for (const { primitive, input, isRight } of proofs) {
    if (key.alwaysAuthenticate) await login?.();
    const mark = log.length;
    let result: Uint8Array | undefined;
    let refusal: unknown;
    try {
      result = await token.use(key, primitive, input);
    } catch (error) {
      refusal = error;
    }
    const odd = formProblem(publicKey, primitive, log.resultSince(mark));
    // A result of a wrong form is reported as such, not as a wrong key.
    if (odd !== undefined) examination.found(RESULT_FORM, where, odd);
    else if (!result) throw refusal;
    else if (!(await isRight(result))) {
      examination.found(KEY_CHECKS.MISMATCH, where, "Its result does not match its public key.");
    } else continue;
    return;
  }
}

/** Bytes of the tags and lengths of a template with a short secret (ISO/IEC 7816-4 section 11.6.5). */
const TEMPLATE = 4;

/** What is unusual about the form of an answer; undefined if nothing is, or there is none. */
function formProblem(
  publicKey: Uint8Array,
  primitive: KeyPrimitive,
  answer: KeyAnswer | undefined,
): string | undefined {
  if (answer === undefined) return undefined;
  const key = parsePublicKey(publicKey);
  const { length, data } = answer;
  if (key.type === "rsa") {
    const modulus = key.modulus.length;
    return length === modulus ? undefined : `Its result has ${length} bytes; the modulus has ${modulus}.`;
  }
  if (key.type !== "ec") return undefined;
  const { bytes } = curveInfo(key.curve);
  if (primitive === "ecdh") {
    // Plain, or as the x coordinate or the point in a dynamic authentication template.
    const usual = [bytes, bytes + TEMPLATE, 2 * bytes + 1 + TEMPLATE];
    return usual.includes(length) ? undefined : `The shared secret has ${length} bytes; the field has ${bytes}.`;
  }
  // Many cards return r and s concatenated, each as long as the order.
  if (length === 2 * bytes || data === undefined || isDer(fromHex(data), key)) return undefined;
  return "The INTEGERs of its signature are not DER.";
}

async function proofsOf(key: CardPrivateKey, publicKey: Uint8Array): Promise<readonly TokenProof[]> {
  const { primitives, usage } = key;
  const { type } = keyTypeOf(publicKey);
  const allowed = typeof usage === "function" ? usage(type) : usage;
  const signature = (primitive: KeyPrimitive, input: Uint8Array): TokenProof => ({
    primitive,
    input,
    isRight: async (result) => (await isKeyResult(publicKey, primitive, input, result)) === true,
  });
  const parsed = parsePublicKey(publicKey);
  const proofs: TokenProof[] = [];
  if (parsed.type === "ec") {
    const ecdsa = primitives.includes("ecdsa") ? "ecdsa" : primitives.includes("ecdsa-sha1") ? "ecdsa-sha1" : undefined;
    for (let round = 0; allowed.sign && ecdsa !== undefined && round < ROUNDS; round++) {
      proofs.push(signature(ecdsa, randomBytes(ecdsa === "ecdsa" ? 20 : 32)));
    }
    if (allowed.derive && primitives.includes("ecdh")) proofs.push(await agreement(publicKey, parsed));
  } else if (parsed.type === "rsa" && allowed.sign) {
    const info = digestInfo("sha256", randomBytes(32));
    const { length } = parsed.modulus;
    if (primitives.includes("rsa-pkcs1")) proofs.push(signature("rsa-pkcs1", info));
    else if (primitives.includes("rsa-raw")) proofs.push(signature("rsa-raw", encodePkcs1Signature(info, length)));
    if (primitives.includes("rsa-raw")) {
      // Its result begins with a zero, which some cards drop.
      const result = Uint8Array.from([0, ...randomBytes(length - 1)]);
      proofs.push(signature("rsa-raw", rsaPublic(parsed, result)));
    }
  }
  return proofs;
}
