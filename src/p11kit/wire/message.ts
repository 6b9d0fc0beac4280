import { ByteReader, DataError, equalBytes, fromUtf8, utf8 } from "../../bytes/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import {
  readAnswers,
  type WireAttribute,
  type Wanted,
  writeAttribute,
  writeLength,
  writeUnavailable,
} from "./attribute.ts";
import { type Call, CALLS } from "./calls.ts";
import {
  ByteWriter,
  type Dialect,
  OUTPUT,
  type Output,
  OUTPUT_LIST,
  type OutputList,
  readBytes,
  ULONG,
  writeBytes,
} from "./values.ts";
import { HEADER_LENGTH } from "./frame.ts";
import { readUpdate, type WireMechanism, writeUpdate } from "./mechanism.ts";

/** A call, with the function's arguments in order. */
export interface Request {
  readonly call: Call;
  readonly args: readonly unknown[];
  /** The caller's room, if the call has an output; 0 if only the size is requested. */
  readonly room: number;
  /** C_GetAttributeValue: the caller's room for each attribute. */
  readonly wanted: readonly Wanted[];
}

/** The result of a call, in the form of its {@link Result}. */
export type Reply =
  | { readonly kind: "nothing" }
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "structure"; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "bytes"; readonly value: Output }
  | { readonly kind: "list"; readonly value: OutputList }
  | { readonly kind: "key pair"; readonly publicKey: number; readonly privateKey: number }
  /**
   * `rv` gives the reason for missing values: CKR_OK, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID,
   * CKR_BUFFER_TOO_SMALL.
   */
  | { readonly kind: "attributes"; readonly attributes: readonly WireAttribute[]; readonly rv: number }
  | { readonly kind: "derived key"; readonly mechanism: WireMechanism; readonly key: number };

/** The call id of an error response, whose only value is the CKR_ code. */
const ERROR = 0;
const ERROR_SIGNATURE = utf8("u");

const CALL_BY_ID: ReadonlyMap<number, Call> = new Map(CALLS.map((call) => [call.id, call]));

/** A request for a call that this server does not support. */
export class UnknownCallError extends DataError {}

/** The client's name for itself in each request; a response has none. */
const CLIENT = utf8("client");
const NO_OPTIONS = new Uint8Array();
/** Where the length of the body is in a frame. */
const BODY_LENGTH_AT = 8;

/** Begins a frame: its header, the call, and the signature that both ends compare. */
function begin(code: number, options: Uint8Array, id: number, signature: Uint8Array): ByteWriter {
  const out = new ByteWriter();
  out.u32(code);
  out.u32(options.length);
  out.u32(0);
  out.raw(options);
  out.u32(id);
  writeBytes(out, signature);
  return out;
}

function finish(out: ByteWriter, options: Uint8Array): Uint8Array {
  const frame = out.finish();
  out.patch(BODY_LENGTH_AT, frame.length - HEADER_LENGTH - options.length);
  return frame;
}

function expectSignature(from: ByteReader, wanted: Uint8Array): void {
  const bytes = readBytes(from) ?? new Uint8Array();
  if (equalBytes(bytes, wanted)) return;
  throw new DataError(`signature "${fromUtf8(bytes).slice(0, 32)}" instead of "${fromUtf8(wanted)}"`);
}

/**
 * Encodes a request: the whole frame.
 * @param code The number that its response will have.
 * @throws {CryptokiError} for arguments that the protocol does not support.
 */
export function encodeRequest(code: number, { call, args, room, wanted }: Request, dialect: Dialect): Uint8Array {
  const out = begin(code, CLIENT, call.id, call.signatures.request);
  let next = 0;
  for (const part of call.request) {
    switch (part.role) {
      case "argument":
        part.field.write(out, args[next++], dialect);
        break;
      case "amount":
        next++;
        part.field.write(out, room, dialect);
        break;
      case "room":
        part.field.write(out, room, dialect);
        break;
      case "wanted":
        next++;
        part.field.write(out, wanted, dialect);
        break;
      case "constant":
        part.field.write(out, part.value, dialect);
    }
  }
  return finish(out, CLIENT);
}

/**
 * Parses the body of a request.
 * @throws {UnknownCallError} for an unknown call.
 * @throws {DataError} if the peer does not speak this protocol.
 * @throws {CryptokiError} if it does, but the arguments are impossible.
 */
export function decodeRequest(body: Uint8Array, dialect: Dialect): Request {
  const from = new ByteReader(body, "a request");
  const id = from.u32();
  const call = CALL_BY_ID.get(id);
  if (!call) throw new UnknownCallError(`no call ${id}`);
  expectSignature(from, call.signatures.request);
  const args: unknown[] = [];
  let room = 0;
  let wanted: readonly Wanted[] = [];
  for (const { role, field } of call.request) {
    switch (role) {
      case "argument":
        args.push(field.read(from, dialect));
        break;
      case "amount":
        room = field.read(from, dialect);
        args.push(room);
        break;
      case "room":
        room = field.read(from, dialect);
        break;
      case "wanted":
        wanted = field.read(from, dialect);
        args.push([...new Set(wanted.map(({ type }) => type))]);
        break;
      case "constant":
        // pReserved is p11-kit's own.
        field.read(from, dialect);
    }
  }
  from.end();
  return { call, args, room, wanted };
}

/** Encodes an error response: the whole frame. */
export function encodeError(code: number, rv: number): Uint8Array {
  const out = begin(code, NO_OPTIONS, ERROR, ERROR_SIGNATURE);
  // 0 would mean success, and a successful response has another form.
  out.ulong(rv === CKR.OK ? CKR.GENERAL_ERROR : rv);
  return finish(out, NO_OPTIONS);
}

/** Encodes a response: the whole frame. */
export function encodeReply(code: number, call: Call, reply: Reply, dialect: Dialect): Uint8Array {
  const { result } = call;
  const out = begin(code, NO_OPTIONS, call.id, call.signatures.result);
  switch (reply.kind) {
    case "nothing":
      break;
    case "number":
      out.ulong(reply.value);
      break;
    case "structure": {
      if (result.kind !== "structure") break;
      for (const [name, field] of result.fields) field.write(out, reply.value[name], dialect);
      break;
    }
    case "bytes":
      OUTPUT.write(out, reply.value, dialect);
      break;
    case "list":
      OUTPUT_LIST.write(out, reply.value, dialect);
      break;
    case "key pair":
      out.ulong(reply.publicKey);
      out.ulong(reply.privateKey);
      break;
    case "attributes":
      out.u32(reply.attributes.length);
      for (const { type, length, value } of reply.attributes) {
        if (value !== undefined) writeAttribute(out, type, value, dialect);
        else if (length !== undefined) writeLength(out, type, length, dialect);
        else writeUnavailable(out, type);
      }
      out.ulong(reply.rv);
      break;
    case "derived key":
      out.ulong(CKR.OK);
      writeUpdate(out, reply.mechanism, dialect);
      out.ulong(reply.key);
  }
  return finish(out, NO_OPTIONS);
}

/**
 * Parses the body of a response.
 * @throws {CryptokiError} the server's error.
 * @throws {DataError} if the peer does not speak this protocol.
 */
export function decodeReply(body: Uint8Array, { call, args }: Request, dialect: Dialect): Reply {
  const from = new ByteReader(body, "a response");
  const id = from.u32();
  if (id === ERROR) {
    expectSignature(from, ERROR_SIGNATURE);
    const rv = ULONG.read(from, dialect);
    from.end();
    if (rv === CKR.OK) throw new DataError("the server sent an error reply with CKR_OK");
    throw new CryptokiError(rv);
  }
  if (id !== call.id) throw new DataError(`the response to call ${id} instead of ${call.id}`);
  expectSignature(from, call.signatures.result);
  const reply = readReply(from, call, args, dialect);
  from.end();
  return reply;
}

function readReply(from: ByteReader, { result }: Call, args: readonly unknown[], dialect: Dialect): Reply {
  const { kind } = result;
  switch (kind) {
    case "nothing":
      return { kind };
    case "number":
      return { kind, value: readHandle(from, dialect) };
    case "structure": {
      const value: Record<string, unknown> = {};
      for (const [name, field] of result.fields) value[name] = field.read(from, dialect);
      return { kind, value };
    }
    case "bytes":
      return { kind, value: OUTPUT.read(from, dialect) };
    case "list":
      return { kind, value: OUTPUT_LIST.read(from, dialect) };
    case "key pair":
      return { kind, publicKey: readHandle(from, dialect), privateKey: readHandle(from, dialect) };
    case "attributes": {
      const attributes = readAnswers(from, dialect);
      return { kind, attributes, rv: ULONG.read(from, dialect) };
    }
    case "derived key": {
      const rv = ULONG.read(from, dialect);
      const mechanism = mechanismOf(args);
      readUpdate(from, mechanism, dialect);
      const key = readHandle(from, dialect);
      if (rv !== CKR.OK) throw new CryptokiError(rv);
      return { kind, mechanism, key };
    }
  }
}

/** A number that is sent back later: without its last digits it would name something else. */
function readHandle(from: ByteReader, dialect: Dialect): number {
  const handle = ULONG.read(from, dialect);
  if (!Number.isSafeInteger(handle)) throw new DataError("a handle above 2^53 - 1");
  return handle;
}

/** The mechanism among the arguments of C_DeriveKey. */
function mechanismOf(args: readonly unknown[]): WireMechanism {
  const [, mechanism] = args;
  if (typeof mechanism === "object" && mechanism !== null && "mechanism" in mechanism) {
    const { mechanism: type } = mechanism;
    if (typeof type === "number") return { mechanism: type };
  }
  throw new CryptokiError(CKR.ARGUMENTS_BAD);
}
