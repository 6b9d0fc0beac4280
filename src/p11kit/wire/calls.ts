import { utf8 } from "../../bytes/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
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

/** The object that a handle names. */
export type Named = "session" | "object" | "key";

/** One value of a request, and its role in the function call. */
type RequestPart =
  /** The function's next argument. */
  | { readonly role: "argument"; readonly field: Field<unknown>; readonly names?: Named }
  /** The caller's room, which only C has. */
  | { readonly role: "room"; readonly field: Field<number> }
  /** The caller's room, which is also an argument of the function. */
  | { readonly role: "amount"; readonly field: Field<number> }
  /** The requested attributes, and the room for each. */
  | { readonly role: "wanted"; readonly field: typeof WANTED }
  /** A constant in every request. */
  | { readonly role: "constant"; readonly field: Field<unknown>; readonly value: unknown };

/** The result of a function. */
type Result =
  | { readonly kind: "nothing" }
  | { readonly kind: "number"; readonly isHandle: boolean }
  /** A structure, field by field in C's order. */
  | { readonly kind: "structure"; readonly fields: Readonly<Record<string, Field<unknown>>> }
  | { readonly kind: "bytes" }
  | { readonly kind: "list"; readonly areHandles: boolean }
  | { readonly kind: "key pair" }
  | { readonly kind: "attributes" }
  /** A handle, with the updated parameter of the mechanism. */
  | { readonly kind: "derived key" };

export interface Call {
  readonly id: number;
  readonly name: string;
  /** The function, if its name differs from the call's. */
  readonly function: string;
  /** The protocol version that must be negotiated before a client may send it: that of the first p11-kit with it. */
  readonly since: number;
  /** False if a message parameter is transmitted as it is in C's memory: pointers, which are meaningless elsewhere. */
  readonly portable: boolean;
  readonly request: readonly RequestPart[];
  readonly result: Result;
}

const argument = (field: Field<unknown>): RequestPart => ({ role: "argument", field });

const handle = (names: Named): RequestPart => ({ role: "argument", field: ULONG, names });

const NUMBER = argument(ULONG);
const [SLOT, FLAGS, USER, TYPE] = [NUMBER, NUMBER, NUMBER, NUMBER];
const [SESSION, OBJECT, KEY] = [handle("session"), handle("object"), handle("key")];
const FLAG = argument(BOOLEAN);
const INPUT = argument(BYTES);
const SECRET = argument(PIN);
const PARAMETER = argument(OPTIONAL_BYTES);
const HOW = argument(MECHANISM);
const ATTRIBUTES = argument(TEMPLATE);
const ROOM: RequestPart = { role: "room", field: ROOM_FOR_BYTES };
const LIST_ROOM: RequestPart = { role: "room", field: ROOM_FOR_LIST };
const AMOUNT: RequestPart = { role: "amount", field: ROOM_FOR_BYTES };
const LIST_AMOUNT: RequestPart = { role: "amount", field: ROOM_FOR_LIST };

const NOTHING: Result = { kind: "nothing" };
const HANDLE: Result = { kind: "number", isHandle: true };
const VALUE: Result = { kind: "number", isHandle: false };
const OUTPUT: Result = { kind: "bytes" };
const LIST: Result = { kind: "list", areHandles: false };
const HANDLES: Result = { kind: "list", areHandles: true };
const structure = (fields: Readonly<Record<string, Field<unknown>>>): Result => ({ kind: "structure", fields });

/** Required in C_Initialize: the protocol's former name. */
const HANDSHAKE = utf8("PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1");
/** pReserved: absent, or an empty string of C. */
const RESERVED = [
  { role: "constant", field: BOOLEAN, value: false },
  { role: "constant", field: BYTES, value: Uint8Array.of(0) },
] as const;

const call = (id: number, name: string, request: readonly RequestPart[], result: Result): Call => ({
  id,
  name,
  function: name,
  // 0.25 introduced the functions of PKCS#11 3.0, and version 1 of the protocol.
  since: id > 65 ? 1 : 0,
  portable: !/Message(En|De)crypt|crypt(?=Message)/u.test(name),
  request,
  result,
});

/** Every call of the protocol, in the order of the numbers. Client and server are both made from this description. */
export const CALLS: readonly Call[] = [
  call(1, "C_Initialize", [{ role: "constant", field: BYTES, value: HANDSHAKE }, ...RESERVED], NOTHING),
  call(2, "C_Finalize", [], NOTHING),
  call(
    3,
    "C_GetInfo",
    [],
    structure({
      cryptokiVersion: VERSION,
      manufacturerID: text(32),
      flags: ULONG,
      libraryDescription: text(32),
      libraryVersion: VERSION,
    }),
  ),
  call(4, "C_GetSlotList", [FLAG, LIST_ROOM], LIST),
  call(
    5,
    "C_GetSlotInfo",
    [SLOT],
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
    [SLOT],
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
  call(7, "C_GetMechanismList", [SLOT, LIST_ROOM], LIST),
  call(8, "C_GetMechanismInfo", [SLOT, TYPE], structure({ ulMinKeySize: ULONG, ulMaxKeySize: ULONG, flags: ULONG })),
  call(9, "C_InitToken", [SLOT, SECRET, argument(LABEL)], NOTHING),
  call(10, "C_OpenSession", [SLOT, FLAGS], HANDLE),
  call(11, "C_CloseSession", [SESSION], NOTHING),
  call(12, "C_CloseAllSessions", [SLOT], NOTHING),
  call(
    13,
    "C_GetSessionInfo",
    [SESSION],
    structure({ slotID: ULONG, state: ULONG, flags: ULONG, ulDeviceError: ULONG }),
  ),
  call(14, "C_InitPIN", [SESSION, SECRET], NOTHING),
  call(15, "C_SetPIN", [SESSION, SECRET, SECRET], NOTHING),
  call(16, "C_GetOperationState", [SESSION, ROOM], OUTPUT),
  call(17, "C_SetOperationState", [SESSION, INPUT, KEY, KEY], NOTHING),
  call(18, "C_Login", [SESSION, USER, SECRET], NOTHING),
  call(19, "C_Logout", [SESSION], NOTHING),
  call(20, "C_CreateObject", [SESSION, ATTRIBUTES], HANDLE),
  call(21, "C_CopyObject", [SESSION, OBJECT, ATTRIBUTES], HANDLE),
  call(22, "C_DestroyObject", [SESSION, OBJECT], NOTHING),
  call(23, "C_GetObjectSize", [SESSION, OBJECT], VALUE),
  call(24, "C_GetAttributeValue", [SESSION, OBJECT, { role: "wanted", field: WANTED }], { kind: "attributes" }),
  call(25, "C_SetAttributeValue", [SESSION, OBJECT, ATTRIBUTES], NOTHING),
  call(26, "C_FindObjectsInit", [SESSION, ATTRIBUTES], NOTHING),
  call(27, "C_FindObjects", [SESSION, LIST_AMOUNT], HANDLES),
  call(28, "C_FindObjectsFinal", [SESSION], NOTHING),
  call(29, "C_EncryptInit", [SESSION, HOW, KEY], NOTHING),
  call(30, "C_Encrypt", [SESSION, INPUT, ROOM], OUTPUT),
  call(31, "C_EncryptUpdate", [SESSION, INPUT, ROOM], OUTPUT),
  call(32, "C_EncryptFinal", [SESSION, ROOM], OUTPUT),
  call(33, "C_DecryptInit", [SESSION, HOW, KEY], NOTHING),
  call(34, "C_Decrypt", [SESSION, INPUT, ROOM], OUTPUT),
  call(35, "C_DecryptUpdate", [SESSION, INPUT, ROOM], OUTPUT),
  call(36, "C_DecryptFinal", [SESSION, ROOM], OUTPUT),
  call(37, "C_DigestInit", [SESSION, HOW], NOTHING),
  call(38, "C_Digest", [SESSION, INPUT, ROOM], OUTPUT),
  call(39, "C_DigestUpdate", [SESSION, INPUT], NOTHING),
  call(40, "C_DigestKey", [SESSION, KEY], NOTHING),
  call(41, "C_DigestFinal", [SESSION, ROOM], OUTPUT),
  call(42, "C_SignInit", [SESSION, HOW, KEY], NOTHING),
  call(43, "C_Sign", [SESSION, INPUT, ROOM], OUTPUT),
  call(44, "C_SignUpdate", [SESSION, INPUT], NOTHING),
  call(45, "C_SignFinal", [SESSION, ROOM], OUTPUT),
  call(46, "C_SignRecoverInit", [SESSION, HOW, KEY], NOTHING),
  call(47, "C_SignRecover", [SESSION, INPUT, ROOM], OUTPUT),
  call(48, "C_VerifyInit", [SESSION, HOW, KEY], NOTHING),
  call(49, "C_Verify", [SESSION, INPUT, INPUT], NOTHING),
  call(50, "C_VerifyUpdate", [SESSION, INPUT], NOTHING),
  call(51, "C_VerifyFinal", [SESSION, INPUT], NOTHING),
  call(52, "C_VerifyRecoverInit", [SESSION, HOW, KEY], NOTHING),
  call(53, "C_VerifyRecover", [SESSION, INPUT, ROOM], OUTPUT),
  call(54, "C_DigestEncryptUpdate", [SESSION, INPUT, ROOM], OUTPUT),
  call(55, "C_DecryptDigestUpdate", [SESSION, INPUT, ROOM], OUTPUT),
  call(56, "C_SignEncryptUpdate", [SESSION, INPUT, ROOM], OUTPUT),
  call(57, "C_DecryptVerifyUpdate", [SESSION, INPUT, ROOM], OUTPUT),
  call(58, "C_GenerateKey", [SESSION, HOW, ATTRIBUTES], HANDLE),
  call(59, "C_GenerateKeyPair", [SESSION, HOW, ATTRIBUTES, ATTRIBUTES], { kind: "key pair" }),
  call(60, "C_WrapKey", [SESSION, HOW, KEY, KEY, ROOM], OUTPUT),
  call(61, "C_UnwrapKey", [SESSION, HOW, KEY, INPUT, ATTRIBUTES], HANDLE),
  call(62, "C_DeriveKey", [SESSION, HOW, KEY, ATTRIBUTES], HANDLE),
  call(63, "C_SeedRandom", [SESSION, INPUT], NOTHING),
  call(64, "C_GenerateRandom", [SESSION, AMOUNT], OUTPUT),
  call(65, "C_WaitForSlotEvent", [FLAGS], VALUE),
  call(66, "C_LoginUser", [SESSION, USER, SECRET, argument(NAME)], NOTHING),
  call(67, "C_SessionCancel", [SESSION, FLAGS], NOTHING),
  call(68, "C_MessageEncryptInit", [SESSION, HOW, KEY], NOTHING),
  call(69, "C_EncryptMessage", [SESSION, PARAMETER, INPUT, INPUT, ROOM], OUTPUT),
  call(70, "C_EncryptMessageBegin", [SESSION, PARAMETER, INPUT], NOTHING),
  call(71, "C_EncryptMessageNext", [SESSION, PARAMETER, INPUT, ROOM, FLAGS], OUTPUT),
  call(72, "C_MessageEncryptFinal", [SESSION], NOTHING),
  call(73, "C_MessageDecryptInit", [SESSION, HOW, KEY], NOTHING),
  call(74, "C_DecryptMessage", [SESSION, PARAMETER, INPUT, INPUT, ROOM], OUTPUT),
  call(75, "C_DecryptMessageBegin", [SESSION, PARAMETER, INPUT], NOTHING),
  call(76, "C_DecryptMessageNext", [SESSION, PARAMETER, INPUT, ROOM, FLAGS], OUTPUT),
  call(77, "C_MessageDecryptFinal", [SESSION], NOTHING),
  call(78, "C_MessageSignInit", [SESSION, HOW, KEY], NOTHING),
  call(79, "C_SignMessage", [SESSION, PARAMETER, INPUT, ROOM], OUTPUT),
  call(80, "C_SignMessageBegin", [SESSION, PARAMETER], NOTHING),
  call(81, "C_SignMessageNext", [SESSION, PARAMETER, INPUT, FLAG, ROOM], OUTPUT),
  call(82, "C_MessageSignFinal", [SESSION], NOTHING),
  call(83, "C_MessageVerifyInit", [SESSION, HOW, KEY], NOTHING),
  call(84, "C_VerifyMessage", [SESSION, PARAMETER, INPUT, INPUT], NOTHING),
  call(85, "C_VerifyMessageBegin", [SESSION, PARAMETER], NOTHING),
  call(86, "C_VerifyMessageNext", [SESSION, PARAMETER, INPUT, argument(OPTIONAL_BYTES)], NOTHING),
  call(87, "C_MessageVerifyFinal", [SESSION], NOTHING),
  { ...call(88, "C_InitToken2", [SLOT, SECRET, argument(text(32))], NOTHING), function: "C_InitToken" },
  {
    ...call(89, "C_DeriveKey2", [SESSION, HOW, KEY, ATTRIBUTES], { kind: "derived key" }),
    function: "C_DeriveKey",
    since: 2,
  },
];

/** The newest call for a function that both ends support. @throws {CryptokiError} CKR_FUNCTION_NOT_SUPPORTED. */
export function callOf(name: string, agreed: number): Call {
  const found = CALLS.findLast((one) => one.function === name && one.portable && one.since <= agreed);
  if (!found) throw new CryptokiError(CKR.FUNCTION_NOT_SUPPORTED, "p11-kit's protocol does not include this function");
  return found;
}

/** The signature of a request, which both ends compare. */
export const requestSignature = ({ request }: Call): string => request.map(({ field }) => field.signature).join("");

/** The signature of a response. */
export function resultSignature({ result }: Call): string {
  switch (result.kind) {
    case "nothing":
      return "";
    case "number":
      return "u";
    case "structure":
      return Object.values(result.fields)
        .map(({ signature }) => signature)
        .join("");
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
