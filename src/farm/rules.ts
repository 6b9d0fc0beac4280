import type { KeyPrimitive } from "../card/index.ts";

/**
 * What a second try of a request may do. The claim of a request is written before the card is asked, so a claim without a result means
 * that the card may have done the work already.
 */

/** What the bucket holds for a request. */
export type Claim =
  /** No worker began it. */
  | { readonly state: "none" }
  /** A worker began it, for the `count`-th time, and did not finish as far as the bucket knows. */
  | { readonly state: "claimed"; readonly count: number }
  /** It is done. */
  | { readonly state: "done" };

export type Decision =
  /** Claim it, with this count, and ask the card. */
  | { readonly action: "begin"; readonly count: number }
  /** Send the result that is kept. */
  | { readonly action: "resend" }
  /** Answer that it is lost: it was begun as often as it may be. */
  | { readonly action: "give-up" };

/** Results that differ each time: a second signature of the same input is one more signature in the world. */
const DIFFERS: ReadonlySet<KeyPrimitive> = new Set<KeyPrimitive>(["rsa-pss", "ecdsa", "ecdsa-sha1"]);

/** Times that a signature which differs each time is begun, at most. */
const MOST = 2;

/**
 * Decides about a request that was delivered.
 * RSA without a random padding, Ed25519, decryption and key agreement have one result, and may be computed again. PSS and ECDSA are done
 * again once.
 */
export function decide(primitive: KeyPrimitive, claim: Claim): Decision {
  if (claim.state === "none") return { action: "begin", count: 1 };
  if (claim.state === "done") return { action: "resend" };
  if (DIFFERS.has(primitive) && claim.count >= MOST) return { action: "give-up" };
  return { action: "begin", count: claim.count + 1 };
}

/**
 * Whether the result of this use must travel encrypted and is not kept: a plaintext, a shared secret, and a power of RSA, of which only its
 * owner knows whether it is a signature.
 * @param modulusLength Bytes of the modulus of an RSA key: a block of this length is a ciphertext for "rsa-pkcs1".
 */
export function isSecret(primitive: KeyPrimitive, inputLength: number, modulusLength: number | undefined): boolean {
  return (
    primitive === "ecdh" || primitive === "rsa-raw" || (primitive === "rsa-pkcs1" && inputLength === modulusLength)
  );
}

/** What the bucket keeps of a request: "claim:2", or "done:" and the bytes of the reply. */
export function encodeClaim(count: number): string {
  return `claim:${count}`;
}

/** @param value Undefined: nothing is kept. A value of another kind is a result. */
export function decodeClaim(value: string | undefined): Claim {
  if (value === undefined) return { state: "none" };
  const claim = /^claim:(\d{1,3})$/u.exec(value);
  return claim ? { state: "claimed", count: Number(claim[1]) } : { state: "done" };
}
