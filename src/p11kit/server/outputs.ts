import { DataError, equalBytes, wipe } from "../../bytes/index.ts";
import { curveInfo, decodeEcParameters, Hasher } from "../../crypto/index.ts";
import {
  AttributeError,
  CKA,
  CKK,
  CKR,
  CryptokiError,
  type CryptokiFunctions,
  type Template,
} from "../../cryptoki/index.ts";
import type { Request } from "../wire/message.ts";
import type { Output } from "../wire/values.ts";

/**
 * In C a function whose output does not fit, or whose output's size was only asked for, has done nothing yet (PKCS#11 3.1
 * section 5.2); here it has, and ended its operation. What it gave is kept for the call that comes again with room for it.
 */
export class KeptOutputs {
  /** By session, then by function. */
  readonly #kept = new Map<unknown, Map<string, Kept>>();
  /** Outputs that are being made. */
  readonly #coming = new Set<ComingOutput>();
  /** Calls under way that begin an operation. */
  readonly #beginnings = new Set<Beginning>();
  readonly #limit: number;
  /** Bytes that are kept. */
  #size = 0;

  /** @param limit Bytes to keep for all sessions together. Over it, what was kept is forgotten: its calls never came. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * In C an operation whose output was asked for by its size stays active until the same function has given it, and another function of
   * its kind finds it so (PKCS#11 3.1 section 5.2). Here it has ended, and the application would say that there is none.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE.
   */
  requireNoOther({ call, args }: Request): void {
    const [session, mechanism] = args;
    const isCancel = call.function.endsWith("Init") && mechanism === null;
    const kinds = isCancel ? [] : kindsOf(call.function);
    for (const [name, { output }] of this.#kept.get(session) ?? []) {
      if (name === call.function || output.length === 0) continue;
      if (kindsOf(name).some((kind) => kinds.includes(kind))) {
        throw new CryptokiError(CKR.OPERATION_ACTIVE, `${name} has not given its output yet: call it with room for it`);
      }
    }
  }

  /** What was kept for this very call; undefined if there is nothing. */
  take(request: Request): Uint8Array | undefined {
    const { call, args } = request;
    const ofSession = this.#kept.get(args[0]);
    const kept = ofSession?.get(call.function);
    if (!kept) return undefined;
    ofSession?.delete(call.function);
    if (ofSession?.size === 0) this.#kept.delete(args[0]);
    this.#size -= kept.output.length;
    if (equalBytes(kept.input, fingerprint(args))) return kept.output;
    wipe(kept.output);
    return undefined;
  }

  /**
   * Announces the output of a call. What replaces or ends its operation meanwhile has it forgotten: {@link give} does not keep it then.
   * To be used with `using`, before anything is waited for.
   */
  expect({ call, args }: Request): ComingOutput {
    const coming: ComingOutput = {
      session: args[0],
      name: call.function,
      isStale: false,
      [Symbol.dispose]: () => void this.#coming.delete(coming),
    };
    this.#coming.add(coming);
    return coming;
  }

  /** Carries out a call; if it begins an operation, {@link begun} waits for it. */
  async carryOut<T>({ call, args }: Request, invoke: () => T): Promise<Awaited<T>> {
    const family = familyOf(call.function);
    if (family === undefined) return await invoke();
    const work = (async (): Promise<Awaited<T>> => await invoke())();
    const beginning = { session: args[0], family, work };
    this.#beginnings.add(beginning);
    try {
      return await work;
    } finally {
      this.#beginnings.delete(beginning);
    }
  }

  /** Resolves when the operations are begun that were on their way to begin when a call for their output came. */
  async begun({ call, args }: Request): Promise<void> {
    const own = [...this.#beginnings].filter(
      ({ session, family }) => session === args[0] && call.function.includes(family),
    );
    await Promise.allSettled(own.map(({ work }) => work));
  }

  /** The answer to a call that gave `output`, which is kept if it does not fit. */
  give(request: Request, output: Uint8Array, again: boolean, { isStale }: ComingOutput): Output {
    const { room } = request;
    if (output.length > room) {
      if (isStale) wipe(output);
      else this.#keep(request, output);
      return { needed: output.length };
    }
    // Nothing fits into no room. Whether the caller takes it for the result or for a size, its next call is none of another
    // operation: it gets the same once more.
    if (room === 0 && !again && !isStale) this.#keep(request, output);
    return { bytes: output };
  }

  #keep({ call, args }: Request, output: Uint8Array): void {
    if (this.#size + output.length > this.#limit) this.#forgetAll();
    this.#size += output.length;
    const ofSession = this.#kept.get(args[0]) ?? new Map<string, Kept>();
    this.#kept.set(args[0], ofSession);
    ofSession.set(call.function, { input: fingerprint(args), output });
  }

  /** Forgets what a call makes pointless: the one that begins an operation anew, and the ends of a session. */
  observe({ call, args }: Request): void {
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
  }

  clear(): void {
    for (const coming of this.#coming) coming.isStale = true;
    this.#forgetAll();
  }

  #forgetAll(): void {
    for (const ofSession of this.#kept.values()) for (const { output } of ofSession.values()) wipe(output);
    this.#kept.clear();
    this.#size = 0;
  }
}

/** An output that is being made for a call. */
export interface ComingOutput extends Disposable {
  readonly session: unknown;
  readonly name: string;
  /** Its operation was replaced or ended meanwhile: it belongs to no later call. */
  isStale: boolean;
}

interface Beginning {
  readonly session: unknown;
  readonly family: string;
  readonly work: Promise<unknown>;
}

interface Kept {
  /** Hash of what went in: the call that comes for the output brings the same again. */
  readonly input: Uint8Array;
  readonly output: Uint8Array;
}

/** What the names of the functions have in common whose operation this one begins; undefined if it begins none. */
const familyOf = (name: string): string | undefined => /^C_(Message(?=\w+Init)|\w+(?=Init))/u.exec(name)?.[1];

/** The operations that a function belongs to; none for those of messages, which outlast each of their outputs. */
function kindsOf(name: string): readonly string[] {
  const single = /^C_(Encrypt|Decrypt|Digest|SignRecover|Sign|VerifyRecover|Verify)(Init|Update|Final|Key)?$/u.exec(
    name,
  );
  const dual = /^C_(Digest|Decrypt|Sign)(Encrypt|Digest|Verify)Update$/u.exec(name);
  return single?.slice(1, 2) ?? dual?.slice(1) ?? [];
}

const ENDS_SESSION: ReadonlySet<string> = new Set(["C_CloseSession", "C_SessionCancel", "C_SetOperationState"]);
const ENDS_ALL: ReadonlySet<string> = new Set(["C_CloseAllSessions", "C_Finalize"]);

function fingerprint(args: readonly unknown[]): Uint8Array {
  const hasher = new Hasher("sha256");
  for (const arg of args) if (arg instanceof Uint8Array) hasher.update(arg);
  return hasher.digest();
}

/** The key that each session signs with: its size is that of the signature, which a caller may ask for before it signs. */
export class SigningKeys {
  readonly #keys = new Map<number, number>();

  /** Takes note of a C_SignInit that was carried out, and of the ends of sessions. */
  observe({ call, args }: Request): void {
    const [session, mechanism, key] = args;
    if (call.function === "C_CloseSession" && typeof session === "number") this.#keys.delete(session);
    // C_CloseAllSessions does not say which sessions they were. A size that is not known is found by signing.
    if (call.function === "C_CloseAllSessions" || call.function === "C_Finalize") this.#keys.clear();
    if (call.function !== "C_SignInit") return;
    if (typeof session !== "number" || typeof key !== "number") return;
    if (mechanism === null) this.#keys.delete(session);
    else this.#keys.set(session, key);
  }

  /**
   * How long the signature that a C_Sign or C_SignFinal makes will be, without making it; undefined if that is not known, or
   * it is another function.
   */
  async length({ call, args }: Request, application: CryptokiFunctions): Promise<number | undefined> {
    const [session] = args;
    if ((call.function !== "C_Sign" && call.function !== "C_SignFinal") || typeof session !== "number")
      return undefined;
    const key = this.#keys.get(session);
    return key === undefined ? undefined : signatureLength(application, session, key);
  }
}

async function signatureLength(
  application: CryptokiFunctions,
  session: number,
  key: number,
): Promise<number | undefined> {
  try {
    const shown = await attributes(application, session, key);
    if (shown[CKA.KEY_TYPE] === CKK.RSA) return shown[CKA.MODULUS]?.length;
    const parameters = shown[CKA.EC_PARAMS];
    if (shown[CKA.KEY_TYPE] !== CKK.EC || !parameters) return undefined;
    return 2 * curveInfo(decodeEcParameters(parameters)).bytes;
  } catch (error) {
    // A curve that is not known here: the signature itself will tell.
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

async function attributes(application: CryptokiFunctions, session: number, key: number): Promise<Template> {
  try {
    return await application.C_GetAttributeValue(session, key, [CKA.KEY_TYPE, CKA.MODULUS, CKA.EC_PARAMS]);
  } catch (error) {
    if (error instanceof AttributeError) return error.values;
    throw error;
  }
}
