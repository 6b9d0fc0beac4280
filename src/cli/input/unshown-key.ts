import type { Command } from "commander";
import { SW } from "../../apdu/index.ts";
import { copySecret, equalBytes } from "../../bytes/index.ts";
import { isKeyResult, type KeyPrimitive, StatusError, WrongResultError } from "../../card/index.ts";
import { type CertificateSigner, externalSigner, signatureAlgorithmOf } from "../../certificates/index.ts";
import {
  digest,
  digestInfo,
  encodePkcs1Signature,
  encodePublicKey,
  parsePublicKey,
  type PublicKey,
} from "../../crypto/index.ts";
import { VerificationFailedError } from "../output/failures.ts";
import type { TokenSession } from "../session.ts";
import { requireMethod, requirePrivateKey } from "./card-administration.ts";
import { currentKey } from "./card-key.ts";
import { agreesOnly, certificateSigner, useOnCard } from "./certificate-signer.ts";
import { readPublicKey } from "./files.ts";
import { placeName } from "./key-place.ts";
import { listTokens, onCardToken } from "./token.ts";

export interface UnshownKeyOptions {
  /** A file with the public key. */
  readonly key?: string;
}

export function unshownKeyOption(command: Command): Command {
  return command.option(
    "--key <file>",
    "its public key, as key generate writes it, PEM or DER: for a card that shows no key without a certificate, as PIV cards other than " +
      "YubiKeys do",
  );
}

/**
 * Has the key with a CKA_ID sign, as {@link certificateSigner}; with --key also one that the card does not show.
 * @throws {VerificationFailedError} if the file is of another key.
 */
export async function givenKeySigner(
  session: TokenSession,
  id: Uint8Array,
  { key: file }: UnshownKeyOptions,
): Promise<CertificateSigner & { readonly spki?: Uint8Array }> {
  if (file === undefined) return certificateSigner(session, id);
  const { context, token } = session;
  const read = (await readPublicKey(file, context.signal)).export({ format: "der", type: "spki" });
  const publicKey = parsePublicKey(new Uint8Array(read));
  const spki = encodePublicKey(publicKey);
  const name = placeName(token, id);
  const shown = (await currentKey(session, id))?.spki;
  const isOther = (cause?: unknown): Error =>
    new VerificationFailedError(`${file} is of another key than the one in ${name}`, { cause });
  // A card may show an old certificate's key: the signature says which key is there.
  if (shown && equalBytes(shown, spki)) return certificateSigner(session, id);
  const signer = await externalSigner(publicKey, signatureAlgorithmOf(publicKey, name), async (data) => {
    const [primitive, input] = inputOf(publicKey, data);
    try {
      const result = await signUnshown(session, id, spki, primitive, input);
      if ((await isKeyResult(publicKey, primitive, input, result)) === true) return result;
    } catch (error) {
      if (error instanceof WrongResultError) throw isOther(error);
      // The key in 9D agrees on secrets, or the key there is of another type.
      const isRefused = error instanceof StatusError && error.sw === SW.WRONG_DATA;
      if (isRefused) throw publicKey.type === "ec" ? agreesOnly(name, error) : isOther(error);
      throw error;
    }
    throw isOther();
  });
  return Object.assign(signer, { spki });
}

/** What the card computes for a signature of a certificate. */
function inputOf(publicKey: PublicKey, data: Uint8Array): readonly [KeyPrimitive, Uint8Array] {
  switch (publicKey.type) {
    case "rsa":
      return ["rsa-raw", encodePkcs1Signature(digestInfo("sha256", digest("sha256", data)), publicKey.modulus.length)];
    case "ec":
      return ["ecdsa", digest(EC_HASHES[publicKey.curve], data)];
    case "edwards":
    case "montgomery":
      return ["eddsa", data];
  }
}

const EC_HASHES = { "P-256": "sha256", "P-384": "sha384", "P-521": "sha512" } as const;

async function signUnshown(
  session: TokenSession,
  id: Uint8Array,
  spki: Uint8Array,
  primitive: KeyPrimitive,
  input: Uint8Array,
): Promise<Uint8Array> {
  const { context, token } = session;
  const all = await listTokens(context);
  const here = all.find(({ slotID }) => slotID === token.slotID) ?? token;
  return onCardToken(context, here, all.includes(here) ? all : [here], async (cardToken) => {
    const remember = requireMethod(cardToken, "rememberKey", "hold keys that it does not show; leave out --key");
    await remember(id, copySecret(spki));
    const key = await requirePrivateKey(token, cardToken, id);
    return useOnCard(session, cardToken, key, primitive, input);
  });
}
