import { type CallOptions, SerialQueue } from "../../async/index.ts";
import {
  AttributeError,
  type AttributeValue,
  type CK_VERSION,
  CKA,
  CKR,
  CRYPTOKI_VERSIONS,
  CryptokiError,
  type CryptokiFunctions,
  type Template,
} from "../../cryptoki/index.ts";
import { attributeForm } from "../wire/attribute-value.ts";
import { isReadable, valueLength, type Wanted, type WireAttribute } from "../wire/attribute.ts";
import { formOf, type WireMechanism } from "../wire/mechanism.ts";
import type { Reply, Request } from "../wire/message.ts";
import type { Dialect, OutputList } from "../wire/values.ts";
import type { KeptOutputs, SigningKeys } from "./outputs.ts";

/** The result of C_GetAttributeValue. */
interface Answers {
  readonly attributes: readonly WireAttribute[];
  readonly rv: number;
}

/**
 * @throws {CryptokiError} for requests that must not be answered: p11-kit aborts its program on an answer without
 *   attributes, and before 0.25 closes its connection on one with a template.
 */
function checkWanted(wanted: readonly Wanted[], dialect: Dialect): void {
  if (wanted.length === 0) throw new CryptokiError(CKR.ARGUMENTS_BAD, "the request names no attribute");
  if (!wanted.every(({ type }) => isReadable(type, dialect))) throw new CryptokiError(CKR.ATTRIBUTE_TYPE_INVALID);
}

/**
 * Returns the values, as far as there is room for them.
 * @param rv The function's error for the missing values.
 */
function attributeAnswers(wanted: readonly Wanted[], values: Template, rv: number, dialect: Dialect): Answers {
  const byType = new Map(Object.entries(values as Readonly<Record<string, AttributeValue>>));
  const attributes = wanted.map((one): WireAttribute => {
    const { type, room } = one;
    const value = byType.get(String(type));
    if (value === undefined) return { type };
    const length = valueLength(type, value, dialect);
    if (room === 0) return { type, length };
    return length > room || !fitsNested(one, value, dialect) ? { type } : { type, length, value };
  });
  const tooSmall = attributes.some(({ type, length }) => length === undefined && byType.has(String(type)));
  return { attributes, rv: rv === CKR.OK && tooSmall ? CKR.BUFFER_TOO_SMALL : rv };
}

/** A template is returned whole or not at all; the caller's attributes may have any order. */
function fitsNested({ type, nested = [] }: Wanted, value: AttributeValue, dialect: Dialect): boolean {
  if (attributeForm(type, dialect.offered) !== "template" || typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, inner]: [string, AttributeValue], index) => {
    const room = nested[index];
    return (
      room !== undefined && valueLength(Number(key), inner, dialect) <= room.room && fitsNested(room, inner, dialect)
    );
  });
}

/**
 * Lets one connection generate one software key at a time. Node has few threads for that and cannot cancel such work:
 * many requested keys would keep all other clients waiting, even after their client has disconnected.
 */
export function hostKeyQueue(): SerialQueue {
  return new SerialQueue(() => new CryptokiError(CKR.FUNCTION_CANCELED));
}

const GENERATE: ReadonlySet<string> = new Set(["C_GenerateKey", "C_GenerateKeyPair"]);

/** A template with CKA_TOKEN true makes the card generate the key. */
function makesHostKey({ args }: Request): boolean {
  const template = args.at(-1) as Template | undefined;
  return template?.[CKA.TOKEN] !== true;
}

/** One connection's caller. */
export interface Caller {
  readonly application: CryptokiFunctions;
  readonly dialect: Dialect;
  readonly outputs: KeptOutputs;
  readonly signing: SigningKeys;
  /** {@link hostKeyQueue}. */
  readonly hostKeys: SerialQueue;
  /** Most bytes of one answer. */
  readonly limit: number;
  /** Of every call: its signal aborts when the client disconnects. */
  readonly options: Required<CallOptions>;
}

/**
 * Calls the requested function, and converts the result to the protocol's form.
 * @throws {CryptokiError} the function's error.
 */
export async function answer(request: Request, caller: Caller): Promise<Reply> {
  const { call, room } = request;
  const { kind } = call.result;
  if (!caller.outputs.isIdle) caller.outputs.requireNoOther(request);
  switch (kind) {
    case "nothing":
      caller.outputs.observe(request);
      await caller.outputs.carryOut(request, () => invoke(request, caller));
      caller.signing.observe(request);
      return { kind };
    case "number":
      return { kind, value: asNumber(await invoke(request, caller)) };
    case "structure":
      return { kind, value: adapted(asObject(await invoke(request, caller)), caller.dialect) };
    case "bytes":
      return { kind, value: await output(request, caller) };
    case "list": {
      const list = passable(call.function, asNumbers(await invoke(request, caller)), caller.dialect);
      return { kind, value: listAnswer(list, room) };
    }
    case "key pair": {
      const pair = asObject(await invoke(request, caller));
      return { kind, publicKey: asNumber(pair["publicKey"]), privateKey: asNumber(pair["privateKey"]) };
    }
    case "attributes":
      return { kind, ...(await attributes(request, caller)) };
    case "derived key": {
      const mechanism = request.args[1] as WireMechanism | null;
      if (mechanism === null) throw new CryptokiError(CKR.ARGUMENTS_BAD, "the mechanism is missing");
      return { kind, mechanism, key: asNumber(await invoke(request, caller)) };
    }
  }
}

/**
 * Calls the application's function: after earlier ones if it generates a key in software, else at once.
 * @throws {CryptokiError} CKR_FUNCTION_NOT_SUPPORTED if the application does not have the function.
 */
function invoke(request: Request, { application, options, hostKeys }: Caller): unknown {
  const { call, args } = request;
  const method = call.portable ? (application as unknown as AnyFunctions)[call.function] : undefined;
  if (typeof method !== "function") throw new CryptokiError(CKR.FUNCTION_NOT_SUPPORTED);
  // A request has all arguments of its function, so the options come next.
  if (!GENERATE.has(call.function) || !makesHostKey(request)) return method.call(application, ...args, options);
  return hostKeys.run(() => method.call(application, ...args, options), options.signal);
}

/** The application's functions by their names. */
type AnyFunctions = Readonly<Record<string, ((...args: readonly unknown[]) => Promise<unknown>) | undefined>>;

/** Bytes of an RSA signature of 16384 bits: a caller with so much room does not need the exact size. */
const LONGEST_SIGNATURE = 2048;
/** The functions that return a signature, and nothing longer. */
const SIGNATURES: ReadonlySet<string> = new Set(["C_Sign", "C_SignFinal"]);

async function output(request: Request, caller: Caller): Promise<{ bytes: Uint8Array } | { needed: number }> {
  const { call, room } = request;
  const { outputs } = caller;
  // C_GenerateRandom has no size query: the room is the requested length.
  if (call.amountAt >= 0) {
    if (room > caller.limit)
      throw new CryptokiError(CKR.ARGUMENTS_BAD, `the answer would have more than ${caller.limit} bytes`);
    return { bytes: asBytes(await invoke(request, caller)) };
  }
  // What fits leaves nothing for a later call.
  if (outputs.isIdle && room >= LONGEST_SIGNATURE && SIGNATURES.has(call.function)) {
    return { bytes: asBytes(await invoke(request, caller)) };
  }
  using coming = outputs.expect(request);
  await outputs.begun(request);
  const kept = outputs.take(request);
  if (kept) return outputs.give(request, kept, true, coming);
  const length = room < LONGEST_SIGNATURE ? await caller.signing.length(request, caller.application) : undefined;
  if (length !== undefined && length > room) return { needed: length };
  const made = await invoke(request, caller);
  // C_SignMessageNext, before the last part.
  if (made === undefined) return { bytes: new Uint8Array() };
  return outputs.give(request, asBytes(made), false, coming);
}

async function attributes(request: Request, caller: Caller): Promise<ReturnType<typeof attributeAnswers>> {
  const { wanted } = request;
  const { dialect } = caller;
  checkWanted(wanted, dialect);
  try {
    const values = asObject(await invoke(request, caller)) as Template;
    return attributeAnswers(wanted, values, CKR.OK, dialect);
  } catch (error) {
    if (error instanceof AttributeError) return attributeAnswers(wanted, error.values, error.rv, dialect);
    throw error;
  }
}

/** Leaves out mechanisms that the caller's p11-kit would drop: it would count them, but not return them. */
function passable(name: string, list: readonly number[], { offered }: Dialect): readonly number[] {
  return name === "C_GetMechanismList" ? list.filter((type) => formOf(type, offered) !== undefined) : list;
}

const listAnswer = (list: readonly number[], room: number): OutputList =>
  list.length > room ? { needed: list.length } : { list };

/** The version of the standard of the client's library; no newer one is reported to it. */
const newestOf = ({ offered }: Dialect): CK_VERSION => CRYPTOKI_VERSIONS[offered >= 1 ? "3.0" : "2.40"];

const isNewer = (a: CK_VERSION, b: CK_VERSION): boolean =>
  a.major > b.major || (a.major === b.major && a.minor > b.minor);

/** Limits CK_INFO to the version that the client's library supports; other structures stay unchanged. */
function adapted(value: AnyStructure, dialect: Dialect): AnyStructure {
  const { cryptokiVersion } = value;
  if (cryptokiVersion === undefined) return value;
  const newest = newestOf(dialect);
  return isNewer(cryptokiVersion as CK_VERSION, newest) ? { ...value, cryptokiVersion: newest } : value;
}

type AnyStructure = Readonly<Record<string, unknown>>;

function wrongShape(): never {
  throw new CryptokiError(CKR.GENERAL_ERROR, "a function returned a value of the wrong type");
}

const asNumber = (value: unknown): number => (typeof value === "number" ? value : wrongShape());
const asBytes = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : wrongShape());
const asObject = (value: unknown): AnyStructure =>
  typeof value === "object" && value !== null ? (value as AnyStructure) : wrongShape();
const asNumbers = (value: unknown): readonly number[] => (Array.isArray(value) ? value.map(asNumber) : wrongShape());
