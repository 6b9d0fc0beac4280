import { DataError, equalBytes, wipe } from "../../bytes/index.ts";
import { curveInfo, decodeEcParameters, Hasher } from "../../crypto/index.ts";
import { AttributeError, CKA, CKK, CKR, CryptokiError, type CryptokiFunctions } from "../../cryptoki/index.ts";
import { CALLS } from "../wire/calls.ts";
import type { Request } from "../wire/message.ts";
import type { Output } from "../wire/values.ts";

/**
 * Keeps outputs that did not fit. In C a function whose output does not fit, or whose output's size was only asked for,
 * has not ended its operation yet (PKCS#11 3.1 section 5.2); here it has. The output is kept for the repeated call with
 * enough room.
 */
export class KeptOutputs {
  /** By session, then by function. */
  readonly #kept = new Map<unknown, Map<string, Kept>>();
  /** Outputs in progress. */
  readonly #coming = new Set<ComingOutput>();
  /** Pending calls that begin an operation. */
  readonly #beginnings = new Set<Beginning>();
  readonly #limit: number;
  /** Bytes kept. */
  #size = 0;
  /** Whether nothing is kept, in progress or beginning, so that no call concerns another. */
  isIdle = true;

  /** @param limit Bytes to keep for all sessions together. Over it, old outputs are dropped: their calls never came. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * In C an operation stays active after a size query until the same function has returned the output, and another
   * function of its kind finds it active (PKCS#11 3.1 section 5.2). Here it has ended, and the application would report
   * none.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE.
   */
  requireNoOther({ call, args }: Request): void {
    const [session, mechanism] = args;
    const kept = this.#kept.get(session);
    if (!kept) return;
    const isCancel = familyOf(call.function) !== undefined && mechanism === null;
    if (isCancel) return;
    const kinds = kindsOf(call.function);
    for (const [name, { output }] of kept) {
      if (name === call.function || output.length === 0) continue;
      if (kindsOf(name).some((kind) => kinds.includes(kind))) {
        throw new CryptokiError(
          CKR.OPERATION_ACTIVE,
          `${name} has not returned its output yet: call it with enough room`,
        );
      }
    }
  }

  /** The output kept for exactly this call; undefined if there is none. */
  take(request: Request): Uint8Array | undefined {
    const { call, args } = request;
    const ofSession = this.#kept.get(args[0]);
    const kept = ofSession?.get(call.function);
    if (!kept) return undefined;
    ofSession?.delete(call.function);
    if (ofSession?.size === 0) this.#kept.delete(args[0]);
    this.#size -= kept.output.length;
    this.#update();
    if (equalBytes(kept.input, fingerprint(args))) return kept.output;
    wipe(kept.output);
    return undefined;
  }

  /**
   * Announces the output of a call. If its operation is replaced or ended meanwhile, {@link give} does not keep the
   * output. Use it with `using`, before the first await.
   */
  expect({ call, args }: Request): ComingOutput {
    const coming: ComingOutput = {
      session: args[0],
      name: call.function,
      isStale: false,
      [Symbol.dispose]: () => {
        this.#coming.delete(coming);
        this.#update();
      },
    };
    this.#coming.add(coming);
    this.isIdle = false;
    return coming;
  }

  /** Runs a call; if it begins an operation, {@link begun} waits for it. */
  async carryOut<T>({ call, args }: Request, invoke: () => T): Promise<Awaited<T>> {
    const family = familyOf(call.function);
    if (family === undefined) return await invoke();
    const work = (async (): Promise<Awaited<T>> => await invoke())();
    const beginning = { session: args[0], family, work };
    this.#beginnings.add(beginning);
    this.isIdle = false;
    try {
      return await work;
    } finally {
      this.#beginnings.delete(beginning);
      this.#update();
    }
  }

  /** Resolves when the operations that were beginning when a call for their output came have begun. */
  async begun({ call, args }: Request): Promise<void> {
    if (this.#beginnings.size === 0) return;
    const own = [...this.#beginnings].filter(
      ({ session, family }) => session === args[0] && call.function.includes(family),
    );
    await Promise.allSettled(own.map(({ work }) => work));
  }

  /** The answer to a call with this `output`, which is kept if it does not fit. */
  give(request: Request, output: Uint8Array, again: boolean, { isStale }: ComingOutput): Output {
    const { room } = request;
    if (output.length > room) {
      if (isStale) wipe(output);
      else this.#keep(request, output);
      return { needed: output.length };
    }
    // No room holds no output: whether the caller takes the answer for the result or for a size, its next call belongs
    // to no other operation and gets the same answer.
    if (room === 0 && !again && !isStale) this.#keep(request, output);
    return { bytes: output };
  }

  #keep({ call, args }: Request, output: Uint8Array): void {
    if (this.#size + output.length > this.#limit) this.#forgetAll();
    this.#size += output.length;
    const ofSession = this.#kept.get(args[0]) ?? new Map<string, Kept>();
    this.#kept.set(args[0], ofSession);
    ofSession.set(call.function, { input: fingerprint(args), output });
    this.isIdle = false;
  }

  /** Drops outputs that a call invalidates: one that begins an operation anew, or ends a session. */
  observe({ call, args }: Request): void {
    if (this.#kept.size === 0 && this.#coming.size === 0) return;
    const [session] = args;
    const family = familyOf(call.function);
    if (family !== undefined) this.#forget(session, (name) => name.includes(family));
    else if (ENDS_SESSION.has(call.function)) this.#forget(session, () => true);
    else if (ENDS_ALL.has(call.function)) this.clear();
  }

  #forget(session: unknown, which: (name: string) => boolean): void {
    for (const coming of this.#coming) if (coming.session === session && which(coming.name)) coming.isStale = true;
    const ofSession = this.#kept.get(session);
    for (const [name, { output }] of ofSession ?? []) {
      if (!which(name)) continue;
      wipe(output);
      this.#size -= output.length;
      ofSession?.delete(name);
    }
    if (ofSession?.size === 0) this.#kept.delete(session);
    this.#update();
  }

  clear(): void {
    for (const coming of this.#coming) coming.isStale = true;
    this.#forgetAll();
  }

  #forgetAll(): void {
    for (const ofSession of this.#kept.values()) for (const { output } of ofSession.values()) wipe(output);
    this.#kept.clear();
    this.#size = 0;
    this.#update();
  }

  #update(): void {
    this.isIdle = this.#kept.size === 0 && this.#coming.size === 0 && this.#beginnings.size === 0;
  }
}

/** The output of a call in progress. */
export interface ComingOutput extends Disposable {
  readonly session: unknown;
  readonly name: string;
  /** Whether its operation was replaced or ended meanwhile: no later call may get it. */
  isStale: boolean;
}

interface Beginning {
  readonly session: unknown;
  readonly family: string;
  readonly work: Promise<unknown>;
}

interface Kept {
  /** Hash of the input: the repeated call has the same input. */
  readonly input: Uint8Array;
  readonly output: Uint8Array;
}

/** The common part of the names of the functions of the operation that a function begins; undefined if it begins none. */
const FAMILIES: ReadonlyMap<string, string | undefined> = new Map(
  CALLS.map(({ function: name }) => [name, /^C_(Message(?=\w+Init)|\w+(?=Init))/u.exec(name)?.[1]]),
);
const familyOf = (name: string): string | undefined => FAMILIES.get(name);

/**
 * The operations that a function belongs to; empty for message functions, whose operations continue after each output.
 */
const KINDS: ReadonlyMap<string, readonly string[]> = new Map(
  CALLS.map(({ function: name }) => {
    const single = /^C_(Encrypt|Decrypt|Digest|SignRecover|Sign|VerifyRecover|Verify)(Init|Update|Final|Key)?$/u.exec(
      name,
    );
    const dual = /^C_(Digest|Decrypt|Sign)(Encrypt|Digest|Verify)Update$/u.exec(name);
    return [name, single?.slice(1, 2) ?? dual?.slice(1) ?? []];
  }),
);
const kindsOf = (name: string): readonly string[] => KINDS.get(name) ?? [];

const ENDS_SESSION: ReadonlySet<string> = new Set(["C_CloseSession", "C_SessionCancel", "C_SetOperationState"]);
const ENDS_ALL: ReadonlySet<string> = new Set(["C_CloseAllSessions", "C_Finalize"]);

function fingerprint(args: readonly unknown[]): Uint8Array {
  const hasher = new Hasher("sha256");
  for (const arg of args) if (arg instanceof Uint8Array) hasher.update(arg);
  return hasher.digest();
}

/** The key of a session's signature. */
interface SigningKey {
  readonly key: number;
  /** Of its signatures, in bytes; undefined until it is asked for. */
  length?: number;
}

/** The key of each session's signature: its size is that of the signature, which a caller may query before signing. */
export class SigningKeys {
  readonly #keys = new Map<number, SigningKey>();

  /** Records a C_SignInit that succeeded, and the ends of sessions. */
  observe({ call, args }: Request): void {
    const [session, mechanism, key] = args;
    if (call.function === "C_CloseSession" && typeof session === "number") this.#keys.delete(session);
    // C_CloseAllSessions does not name the sessions. An unknown size is found by signing.
    if (call.function === "C_CloseAllSessions" || call.function === "C_Finalize") this.#keys.clear();
    if (call.function !== "C_SignInit") return;
    if (typeof session !== "number" || typeof key !== "number") return;
    if (mechanism === null) this.#keys.delete(session);
    // No handle ever means another key.
    else if (this.#keys.get(session)?.key !== key) this.#keys.set(session, { key });
  }

  /**
   * The length of the signature of a C_Sign or C_SignFinal, without making it; undefined if unknown, or for another
   * function. The application is asked once for a key.
   */
  async length({ call, args }: Request, application: CryptokiFunctions): Promise<number | undefined> {
    const [session] = args;
    if ((call.function !== "C_Sign" && call.function !== "C_SignFinal") || typeof session !== "number")
      return undefined;
    const own = this.#keys.get(session);
    if (!own || own.length !== undefined) return own?.length;
    const length = await signatureLength(application, session, own.key);
    if (length !== undefined) own.length = length;
    return length;
  }
}

async function signatureLength(
  application: CryptokiFunctions,
  session: number,
  key: number,
): Promise<number | undefined> {
  try {
    const { [CKA.KEY_TYPE]: type } = await application.C_GetAttributeValue(session, key, [CKA.KEY_TYPE]);
    if (type === CKK.RSA) return await modulusLength(application, session, key);
    if (type !== CKK.EC) return undefined;
    const { [CKA.EC_PARAMS]: parameters } = await application.C_GetAttributeValue(session, key, [CKA.EC_PARAMS]);
    return 2 * curveInfo(decodeEcParameters(parameters)).bytes;
  } catch (error) {
    // A key that does not tell, or an unknown curve: the signature itself will show the length.
    if (error instanceof AttributeError || error instanceof DataError) return undefined;
    throw error;
  }
}

/** In bytes. A card's directory often has the number of bits; otherwise the modulus itself is read. */
async function modulusLength(application: CryptokiFunctions, session: number, key: number): Promise<number> {
  try {
    const { [CKA.MODULUS_BITS]: bits } = await application.C_GetAttributeValue(session, key, [CKA.MODULUS_BITS]);
    return Math.ceil(bits / 8);
  } catch (error) {
    if (!(error instanceof AttributeError)) throw error;
    return (await application.C_GetAttributeValue(session, key, [CKA.MODULUS]))[CKA.MODULUS].length;
  }
}
