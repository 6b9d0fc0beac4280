import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { MessageCipher } from "../mechanisms/message-cipher.ts";
import { readUnusedParameter } from "../mechanisms/parameters.ts";
import { type Recoverer, schemeRecoverer } from "../mechanisms/recover.ts";
import type { Cipher, SecretKey, Signer, Stream, Verifier } from "../mechanisms/scheme.ts";
import { macVerifier, schemeDecrypter, schemeEncrypter, schemeSigner, schemeVerifier } from "../mechanisms/streams.ts";
import { MessageOperation } from "../sessions/message-operation.ts";
import { Operation } from "../sessions/operation.ts";
import { type KeyRequest, makeScheme, type UsableKey, useKey } from "./key-use.ts";

// Operations with a key that was found fit for them.

export async function signOperation(request: KeyRequest<"sign" | "sign-recover">): Promise<Operation<Signer>> {
  return signWith(await useKey(request));
}

/** One signature for each message. */
export async function signMessages(request: KeyRequest<"sign">): Promise<MessageOperation<Signer>> {
  const key = await useKey(request);
  // What is wrong with the parameter is told at once.
  const { key: guard } = signWith(key);
  return new MessageOperation(() => signWith(key), guard);
}

function signWith(key: UsableKey): Operation<Signer> {
  if (key.kind === "secret") return withSecret(key, required(key.mechanism.mac)(key.secret, key.parameter));
  if (key.kind !== "private") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const { guard } = key;
  return new Operation(
    schemeSigner(
      makeScheme(key, ({ signature }) => signature),
      guard,
    ),
    guard,
  );
}

export async function verifyOperation(request: KeyRequest<"verify">): Promise<Operation<Verifier>> {
  return verifyWith(await useKey(request), request);
}

export async function verifyMessages(request: KeyRequest<"verify">): Promise<MessageOperation<Verifier>> {
  const key = await useKey(request);
  verifyWith(key, request).stream.wipe();
  return new MessageOperation(() => verifyWith(key, request), undefined);
}

function verifyWith(key: UsableKey, request: KeyRequest<"verify">): Operation<Verifier> {
  if (key.kind === "secret")
    return withSecret(key, macVerifier(required(key.mechanism.mac)(key.secret, key.parameter)));
  if (key.kind !== "public") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const scheme = makeScheme(key, ({ signature }) => signature);
  const { engines } = request.application;
  return new Operation(engines.verifier(request.mechanism, key.publicKey, scheme) ?? schemeVerifier(scheme));
}

export async function recoverOperation(request: KeyRequest<"verify-recover">): Promise<Operation<Recoverer>> {
  const key = await useKey(request);
  if (key.kind === "secret") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  return new Operation(schemeRecoverer(makeScheme(key, ({ signature }) => signature)));
}

export async function encryptOperation(request: KeyRequest<"encrypt" | "wrap">): Promise<Operation<Cipher>> {
  const key = await useKey(request);
  if (key.kind === "secret") return withSecret(key, required(key.mechanism.encrypt)(key.secret, key.parameter));
  if (key.kind !== "public") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const scheme = makeScheme(key, ({ cipher }) => cipher);
  const { engines } = request.application;
  return new Operation(engines.encrypter(request.mechanism, key.publicKey, scheme) ?? schemeEncrypter(scheme));
}

export async function decryptOperation(request: KeyRequest<"decrypt" | "unwrap">): Promise<Operation<Cipher>> {
  const key = await useKey(request);
  if (key.kind === "secret") return withSecret(key, required(key.mechanism.decrypt)(key.secret, key.parameter));
  if (key.kind !== "private") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT);
  const { guard } = key;
  return new Operation(
    schemeDecrypter(
      makeScheme(key, ({ cipher }) => cipher),
      guard,
    ),
    guard,
  );
}

/** Messages that are encrypted or decrypted, each with its own nonce. */
export async function cipherMessages(request: KeyRequest<"encrypt" | "decrypt">): Promise<Operation<MessageCipher>> {
  const key = await useKey(request);
  if (key.kind !== "secret") throw new CryptokiError(CKR.MECHANISM_INVALID, "the mechanism works on no messages");
  readUnusedParameter(key.parameter);
  return new Operation(new MessageCipher(key.secret, key.mechanism.type));
}

/** An operation that ends with its key, though Node's crypto has a copy of it. */
function withSecret<Kind extends Stream>({ secret }: { readonly secret: SecretKey }, stream: Kind): Operation<Kind> {
  return new Operation(stream, undefined, () => secret.value);
}

function required<T>(maker: T | undefined): T {
  if (maker === undefined) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return maker;
}
