import { utf8 } from "../../bytes/index.ts";
import { FUNCTIONS, type ParameterKind } from "../../cryptoki/index.ts";
import { TEMPLATE, WANTED } from "./attribute.ts";
import {
  BOOLEAN,
  BYTES,
  type Field,
  LABEL,
  NAME,
  OPTIONAL_BYTES,
  PIN,
  ROOM_FOR_BYTES,
  ROOM_FOR_LIST,
  text,
  ULONG,
  VERSION,
} from "./values.ts";
import { MECHANISM } from "./mechanism.ts";

/** What a handle names. */
export type Named = "session" | "object" | "key";

/** One value of a request, and what it is to the function that is called. */
type RequestPart =
  /** The function's next argument. */
  | { readonly role: "argument"; readonly field: Field<unknown>; readonly names?: Named }
  /** How much the caller can take: of C alone. */
  | { readonly role: "room"; readonly field: Field<number> }
  /** How much the caller can take, which is an argument of the function as well. */
  | { readonly role: "amount"; readonly field: Field<number> }
  /** The attributes to tell, and the room for each. */
  | { readonly role: "wanted"; readonly field: typeof WANTED }
  /** The same in every request. */
  | { readonly role: "constant"; readonly field: Field<unknown>; readonly value: unknown };

/** What a function gives. */
type Result =
  | { readonly kind: "nothing" }
  | { readonly kind: "number"; readonly isHandle: boolean }
  /** A structure, field by field in the order of C. */
  | { readonly kind: "structure"; readonly fields: readonly (readonly [name: string, field: Field<unknown>])[] }
  | { readonly kind: "bytes" }
  | { readonly kind: "list"; readonly areHandles: boolean }
  | { readonly kind: "key pair" }
  | { readonly kind: "attributes" }
  /** A handle, with what became of the mechanism's parameter. */
  | { readonly kind: "derived key" };

export interface Call {
  readonly id: number;
  readonly name: string;
  /** The function, where it is not called like the call. */
  readonly function: string;
  /** What must be agreed upon before a client may send it: the version of the first p11-kit that has it. */
  readonly since: number;
  /** False where the parameter of a message goes over as it lies in C's memory: pointers, which mean nothing elsewhere. */
  readonly portable: boolean;
  readonly request: readonly RequestPart[];
  readonly result: Result;
  /** The signatures of request and response, as both ends compare them. */
  readonly signatures: { readonly request: Uint8Array; readonly result: Uint8Array };
  /** The parts of the request that are arguments of the function, in their order. */
  readonly parameters: readonly RequestPart[];
  /** Which part of the request is an "amount"; -1 if none is. */
  readonly amountAt: number;
  /** Whether the amount is the length of the output in bytes. */
  readonly isOutputOfAmount: boolean;
}

const argument = (field: Field<unknown>): RequestPart => ({ role: "argument", field });

const handle = (names: Named): RequestPart => ({ role: "argument", field: ULONG, names });

const NUMBER = argument(ULONG);
const [SESSION, KEY] = [handle("session"), handle("key")];
const INPUT = argument(BYTES);
const OPTIONAL_INPUT = argument(OPTIONAL_BYTES);
const SECRET = argument(PIN);
const ROOM: RequestPart = { role: "room", field: ROOM_FOR_BYTES };
const LIST_ROOM: RequestPart = { role: "room", field: ROOM_FOR_LIST };
const AMOUNT: RequestPart = { role: "amount", field: ROOM_FOR_BYTES };
const LIST_AMOUNT: RequestPart = { role: "amount", field: ROOM_FOR_LIST };

/** How a parameter of each kind is sent. A function with a parameter of another kind has a request of its own. */
const BY_KIND: Readonly<Partial<Record<ParameterKind, RequestPart>>> = {
  slot: NUMBER,
  session: SESSION,
  object: handle("object"),
  key: KEY,
  mechanism: argument(MECHANISM),
  "mechanism type": NUMBER,
  template: argument(TEMPLATE),
  "attribute types": { role: "wanted", field: WANTED },
  flags: NUMBER,
  number: NUMBER,
  boolean: argument(BOOLEAN),
  "user type": NUMBER,
  bytes: INPUT,
  secret: INPUT,
  pin: SECRET,
  "message parameter": OPTIONAL_INPUT,
};

/** The request of a function: its parameters in their order, then the room for what it gives. */
function requestOf(name: string, result: Result): readonly RequestPart[] {
  const parameters = (FUNCTIONS.get(name)?.parameters ?? []).map(([parameter, kind]) => {
    const part = BY_KIND[kind];
    if (!part) throw new Error(`no form in a request for ${parameter} of ${name}`);
    return part;
  });
  if (result.kind === "bytes") return [...parameters, ROOM];
  return result.kind === "list" ? [...parameters, LIST_ROOM] : parameters;
}

const NOTHING: Result = { kind: "nothing" };
const HANDLE: Result = { kind: "number", isHandle: true };
const VALUE: Result = { kind: "number", isHandle: false };
const OUTPUT: Result = { kind: "bytes" };
const LIST: Result = { kind: "list", areHandles: false };
const HANDLES: Result = { kind: "list", areHandles: true };
const structure = (fields: Readonly<Record<string, Field<unknown>>>): Result => ({
  kind: "structure",
  fields: Object.entries(fields),
});

/** What C_Initialize must bring: the name that the protocol once had. */
const HANDSHAKE = utf8("PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1");
/** pReserved: not given, an empty string of C. */
const RESERVED = [
  { role: "constant", field: BOOLEAN, value: false },
  { role: "constant", field: BYTES, value: Uint8Array.of(0) },
] as const;

/** @param own What does not follow from the name of the call and the parameters of its function. */
const call = (
  id: number,
  name: string,
  result: Result,
  own: Partial<Pick<Call, "function" | "request" | "since">> = {},
): Call => {
  const request = own.request ?? requestOf(own.function ?? name, result);
  return {
    id,
    name,
    function: name,
    // 0.25 brought the functions of PKCS#11 3.0, and version 1 of the protocol.
    since: id > 65 ? 1 : 0,
    portable: !/Message(En|De)crypt|crypt(?=Message)/u.test(name),
    result,
    signatures: { request: utf8(requestSignature({ request })), result: utf8(resultSignature({ result })) },
    parameters: request.filter(({ role }) => role !== "room" && role !== "constant"),
    amountAt: request.findIndex(({ role }) => role === "amount"),
    isOutputOfAmount: result.kind === "bytes" && request.some(({ role }) => role === "amount"),
    ...own,
    request,
  };
};

/** The signature of a request: the letters of its values. */
export function requestSignature({ request }: Pick<Call, "request">): string {
  return request.map(({ field }) => field.signature).join("");
}

/** The signature of a response. */
export function resultSignature({ result }: Pick<Call, "result">): string {
  switch (result.kind) {
    case "nothing":
      return "";
    case "number":
      return "u";
    case "structure":
      return result.fields.map(([, { signature }]) => signature).join("");
    case "bytes":
      return "ay";
    case "list":
      return "au";
    case "key pair":
      return "uu";
    case "attributes":
      return "aAu";
    case "derived key":
      return "uPu";
  }
}

/**
 * Every call of the protocol, in the order of the numbers: the one description that both ends are made from. A request has as many
 * arguments as its function has parameters.
 */
export const CALLS: readonly Call[] = [
  call(1, "C_Initialize", NOTHING, { request: [{ role: "constant", field: BYTES, value: HANDSHAKE }, ...RESERVED] }),
  call(2, "C_Finalize", NOTHING),
  call(
    3,
    "C_GetInfo",
    structure({
      cryptokiVersion: VERSION,
      manufacturerID: text(32),
      flags: ULONG,
      libraryDescription: text(32),
      libraryVersion: VERSION,
    }),
  ),
  call(4, "C_GetSlotList", LIST),
  call(
    5,
    "C_GetSlotInfo",
    structure({
      slotDescription: text(64),
      manufacturerID: text(32),
      flags: ULONG,
      hardwareVersion: VERSION,
      firmwareVersion: VERSION,
    }),
  ),
  call(
    6,
    "C_GetTokenInfo",
    structure({
      label: text(32),
      manufacturerID: text(32),
      model: text(16),
      serialNumber: text(16),
      flags: ULONG,
      ulMaxSessionCount: ULONG,
      ulSessionCount: ULONG,
      ulMaxRwSessionCount: ULONG,
      ulRwSessionCount: ULONG,
      ulMaxPinLen: ULONG,
      ulMinPinLen: ULONG,
      ulTotalPublicMemory: ULONG,
      ulFreePublicMemory: ULONG,
      ulTotalPrivateMemory: ULONG,
      ulFreePrivateMemory: ULONG,
      hardwareVersion: VERSION,
      firmwareVersion: VERSION,
      utcTime: text(16),
    }),
  ),
  call(7, "C_GetMechanismList", LIST),
  call(8, "C_GetMechanismInfo", structure({ ulMinKeySize: ULONG, ulMaxKeySize: ULONG, flags: ULONG })),
  call(9, "C_InitToken", NOTHING, { request: [NUMBER, SECRET, argument(LABEL)] }),
  call(10, "C_OpenSession", HANDLE),
  call(11, "C_CloseSession", NOTHING),
  call(12, "C_CloseAllSessions", NOTHING),
  call(13, "C_GetSessionInfo", structure({ slotID: ULONG, state: ULONG, flags: ULONG, ulDeviceError: ULONG })),
  call(14, "C_InitPIN", NOTHING),
  call(15, "C_SetPIN", NOTHING),
  call(16, "C_GetOperationState", OUTPUT),
  // Its keys are numbers to the facade, because 0 stands for no key.
  call(17, "C_SetOperationState", NOTHING, { request: [SESSION, INPUT, KEY, KEY] }),
  call(18, "C_Login", NOTHING),
  call(19, "C_Logout", NOTHING),
  call(20, "C_CreateObject", HANDLE),
  call(21, "C_CopyObject", HANDLE),
  call(22, "C_DestroyObject", NOTHING),
  call(23, "C_GetObjectSize", VALUE),
  call(24, "C_GetAttributeValue", { kind: "attributes" }),
  call(25, "C_SetAttributeValue", NOTHING),
  call(26, "C_FindObjectsInit", NOTHING),
  call(27, "C_FindObjects", HANDLES, { request: [SESSION, LIST_AMOUNT] }),
  call(28, "C_FindObjectsFinal", NOTHING),
  call(29, "C_EncryptInit", NOTHING),
  call(30, "C_Encrypt", OUTPUT),
  call(31, "C_EncryptUpdate", OUTPUT),
  call(32, "C_EncryptFinal", OUTPUT),
  call(33, "C_DecryptInit", NOTHING),
  call(34, "C_Decrypt", OUTPUT),
  call(35, "C_DecryptUpdate", OUTPUT),
  call(36, "C_DecryptFinal", OUTPUT),
  call(37, "C_DigestInit", NOTHING),
  call(38, "C_Digest", OUTPUT),
  call(39, "C_DigestUpdate", NOTHING),
  call(40, "C_DigestKey", NOTHING),
  call(41, "C_DigestFinal", OUTPUT),
  call(42, "C_SignInit", NOTHING),
  call(43, "C_Sign", OUTPUT),
  call(44, "C_SignUpdate", NOTHING),
  call(45, "C_SignFinal", OUTPUT),
  call(46, "C_SignRecoverInit", NOTHING),
  call(47, "C_SignRecover", OUTPUT),
  call(48, "C_VerifyInit", NOTHING),
  call(49, "C_Verify", NOTHING),
  call(50, "C_VerifyUpdate", NOTHING),
  call(51, "C_VerifyFinal", NOTHING),
  call(52, "C_VerifyRecoverInit", NOTHING),
  call(53, "C_VerifyRecover", OUTPUT),
  call(54, "C_DigestEncryptUpdate", OUTPUT),
  call(55, "C_DecryptDigestUpdate", OUTPUT),
  call(56, "C_SignEncryptUpdate", OUTPUT),
  call(57, "C_DecryptVerifyUpdate", OUTPUT),
  call(58, "C_GenerateKey", HANDLE),
  call(59, "C_GenerateKeyPair", { kind: "key pair" }),
  call(60, "C_WrapKey", OUTPUT),
  call(61, "C_UnwrapKey", HANDLE),
  call(62, "C_DeriveKey", HANDLE),
  call(63, "C_SeedRandom", NOTHING),
  call(64, "C_GenerateRandom", OUTPUT, { request: [SESSION, AMOUNT] }),
  call(65, "C_WaitForSlotEvent", VALUE),
  call(66, "C_LoginUser", NOTHING, { request: [SESSION, NUMBER, SECRET, argument(NAME)] }),
  call(67, "C_SessionCancel", NOTHING),
  call(68, "C_MessageEncryptInit", NOTHING),
  call(69, "C_EncryptMessage", OUTPUT),
  call(70, "C_EncryptMessageBegin", NOTHING),
  call(71, "C_EncryptMessageNext", OUTPUT, { request: [SESSION, OPTIONAL_INPUT, INPUT, ROOM, NUMBER] }),
  call(72, "C_MessageEncryptFinal", NOTHING),
  call(73, "C_MessageDecryptInit", NOTHING),
  call(74, "C_DecryptMessage", OUTPUT),
  call(75, "C_DecryptMessageBegin", NOTHING),
  call(76, "C_DecryptMessageNext", OUTPUT, { request: [SESSION, OPTIONAL_INPUT, INPUT, ROOM, NUMBER] }),
  call(77, "C_MessageDecryptFinal", NOTHING),
  call(78, "C_MessageSignInit", NOTHING),
  call(79, "C_SignMessage", OUTPUT),
  call(80, "C_SignMessageBegin", NOTHING),
  call(81, "C_SignMessageNext", OUTPUT),
  call(82, "C_MessageSignFinal", NOTHING),
  call(83, "C_MessageVerifyInit", NOTHING),
  call(84, "C_VerifyMessage", NOTHING),
  call(85, "C_VerifyMessageBegin", NOTHING),
  call(86, "C_VerifyMessageNext", NOTHING, { request: [SESSION, OPTIONAL_INPUT, INPUT, OPTIONAL_INPUT] }),
  call(87, "C_MessageVerifyFinal", NOTHING),
  call(88, "C_InitToken2", NOTHING, { function: "C_InitToken", request: [NUMBER, SECRET, argument(text(32))] }),
  call(89, "C_DeriveKey2", { kind: "derived key" }, { function: "C_DeriveKey", since: 2 }),
];

/** The calls of each version of the protocol, by their functions: of several the newest. */
const BY_FUNCTION: readonly ReadonlyMap<string, Call>[] = [0, 1, 2].map(
  (version) =>
    new Map(CALLS.filter(({ portable, since }) => portable && since <= version).map((one) => [one.function, one])),
);

/** The newest call for a function in each version of the protocol; undefined where the version does not carry it. */
export function callsOf(name: string): readonly (Call | undefined)[] {
  return BY_FUNCTION.map((calls) => calls.get(name));
}
