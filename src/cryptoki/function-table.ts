/**
 * What a parameter of a function is: how a trace shows it, and what a bad one is answered with. Outputs are return values and
 * stand nowhere here.
 */
export type ParameterKind =
  | "slot"
  | "session"
  | "object"
  /** The handle of a key that is used: CKR_KEY_HANDLE_INVALID if it names none. */
  | "key"
  | "mechanism"
  | "mechanism type"
  | "template"
  | "attribute types"
  | "flags"
  | "number"
  | "boolean"
  | "text"
  | "version"
  | "user type"
  | "bytes"
  /** A PIN or a PUK: not even its length is shown. */
  | "pin"
  /** A message's parameter (CK_GCM_MESSAGE_PARAMS ...). */
  | "message parameter"
  /** A plaintext, a key: its length is shown. */
  | "secret"
  /** Something of the caller's own: a reader, an engine, a callback. */
  | "value";

/** What a call gives: how a trace shows it. */
export type ResultKind = "none" | "handle" | "value" | "bytes" | "secret" | "attributes";

/** Where the work is done. */
type FunctionState =
  | "card"
  | "software"
  /** By the card for its own keys and objects, by the host for those of a session. */
  | "card and software"
  /** CKR_FUNCTION_NOT_SUPPORTED or its kin, always. */
  | "not supported";

export interface FunctionEntry {
  /** Names of the standard, in its order. The AbortSignal that some functions take comes last and is not listed. */
  readonly parameters: readonly (readonly [name: string, kind: ParameterKind])[];
  readonly result: ResultKind;
  readonly state: FunctionState;
  /** Why it is not supported, or what is peculiar about it here. */
  readonly note?: string;
}

export interface Chapter {
  readonly title: string;
  /** Of the standard, or the extensions' source. */
  readonly source: string;
  /** These are no functions of the standard. */
  readonly vendor?: true;
  readonly functions: Readonly<Record<string, FunctionEntry>>;
}

const SESSION = ["hSession", "session"] as const;
const SLOT = ["slotID", "slot"] as const;
const MECHANISM = ["pMechanism", "mechanism"] as const;
const KEY = ["hKey", "key"] as const;
const OBJECT = ["hObject", "object"] as const;
const TEMPLATE = ["pTemplate", "template"] as const;
const MESSAGE = ["pParameter", "message parameter"] as const;
const AAD = ["pAssociatedData", "bytes"] as const;

const entry = (
  state: FunctionState,
  result: ResultKind,
  parameters: FunctionEntry["parameters"],
  note?: string,
): FunctionEntry => ({ parameters, result, state, ...(note === undefined ? {} : { note }) });

const GENERAL = {
  C_Initialize: entry("software", "none", []),
  C_Finalize: entry("software", "none", []),
  C_GetInfo: entry("software", "value", []),
  C_GetFunctionList: entry("software", "value", [], "names the methods"),
  C_GetInterfaceList: entry("software", "value", []),
  C_GetInterface: entry("software", "value", [
    ["pInterfaceName", "text"],
    ["pVersion", "version"],
    ["flags", "flags"],
  ]),
};

const SLOTS = {
  C_GetSlotList: entry("card", "value", [["tokenPresent", "boolean"]]),
  C_GetSlotInfo: entry("software", "value", [SLOT], "never touches a card"),
  C_GetTokenInfo: entry("card", "value", [SLOT]),
  C_WaitForSlotEvent: entry("software", "value", [["flags", "flags"]]),
  C_GetMechanismList: entry("card and software", "value", [SLOT]),
  C_GetMechanismInfo: entry("card and software", "value", [SLOT, ["type", "mechanism type"]]),
  C_InitToken: entry("card", "none", [SLOT, ["pPin", "pin"], ["pLabel", "text"]], "where the card has such a command"),
  C_InitPIN: entry("card", "none", [SESSION, ["pPin", "pin"]], "where the card has such a command"),
  C_SetPIN: entry("card", "none", [SESSION, ["pOldPin", "pin"], ["pNewPin", "pin"]]),
};

const SESSIONS = {
  C_OpenSession: entry("card", "handle", [SLOT, ["flags", "flags"]]),
  C_CloseSession: entry("software", "none", [SESSION]),
  C_CloseAllSessions: entry("software", "none", [SLOT]),
  C_GetSessionInfo: entry("software", "value", [SESSION], "never touches a card"),
  C_SessionCancel: entry("software", "none", [SESSION, ["flags", "flags"]]),
  C_GetOperationState: entry("software", "secret", [SESSION], "a digest only, within one application"),
  C_SetOperationState: entry("software", "none", [
    SESSION,
    ["pOperationState", "secret"],
    ["hEncryptionKey", "number"],
    ["hAuthenticationKey", "number"],
  ]),
  C_Login: entry("card", "none", [SESSION, ["userType", "user type"], ["pPin", "pin"]]),
  C_LoginUser: entry(
    "card",
    "none",
    [SESSION, ["userType", "user type"], ["pPin", "pin"], ["pUsername", "text"]],
    "users of cards have no names",
  ),
  C_Logout: entry("card", "none", [SESSION]),
};

const OBJECTS = {
  C_CreateObject: entry("card and software", "handle", [SESSION, TEMPLATE]),
  C_CopyObject: entry("card and software", "handle", [SESSION, OBJECT, TEMPLATE]),
  C_DestroyObject: entry("card and software", "none", [SESSION, OBJECT]),
  C_GetObjectSize: entry("card and software", "value", [SESSION, OBJECT]),
  C_GetAttributeValue: entry("card and software", "attributes", [SESSION, OBJECT, ["types", "attribute types"]]),
  C_SetAttributeValue: entry("card and software", "none", [SESSION, OBJECT, TEMPLATE]),
  C_FindObjectsInit: entry("card and software", "none", [SESSION, TEMPLATE]),
  C_FindObjects: entry("card and software", "value", [SESSION, ["ulMaxObjectCount", "number"]]),
  C_FindObjectsFinal: entry("software", "none", [SESSION]),
};

const ENCRYPTION = {
  C_EncryptInit: entry("software", "none", [SESSION, MECHANISM, KEY]),
  C_Encrypt: entry("software", "bytes", [SESSION, ["pData", "secret"]]),
  C_EncryptUpdate: entry("software", "bytes", [SESSION, ["pPart", "secret"]]),
  C_EncryptFinal: entry("software", "bytes", [SESSION]),
};

const DECRYPTION = {
  C_DecryptInit: entry("card and software", "none", [SESSION, MECHANISM, KEY]),
  C_Decrypt: entry("card and software", "secret", [SESSION, ["pEncryptedData", "bytes"]]),
  C_DecryptUpdate: entry("card and software", "secret", [SESSION, ["pEncryptedPart", "bytes"]]),
  C_DecryptFinal: entry("card and software", "secret", [SESSION]),
};

const DIGESTING = {
  C_DigestInit: entry("software", "none", [SESSION, MECHANISM]),
  C_Digest: entry("software", "bytes", [SESSION, ["pData", "bytes"]]),
  C_DigestUpdate: entry("software", "none", [SESSION, ["pPart", "bytes"]]),
  C_DigestKey: entry("software", "none", [SESSION, KEY]),
  C_DigestFinal: entry("software", "bytes", [SESSION]),
};

const SIGNING = {
  C_SignInit: entry("card and software", "none", [SESSION, MECHANISM, KEY]),
  C_Sign: entry("card and software", "bytes", [SESSION, ["pData", "bytes"]]),
  C_SignUpdate: entry("card and software", "none", [SESSION, ["pPart", "bytes"]]),
  C_SignFinal: entry("card and software", "bytes", [SESSION]),
  C_SignRecoverInit: entry("card and software", "none", [SESSION, MECHANISM, KEY]),
  C_SignRecover: entry("card and software", "bytes", [SESSION, ["pData", "bytes"]]),
};

const VERIFICATION = {
  C_VerifyInit: entry("software", "none", [SESSION, MECHANISM, KEY]),
  C_Verify: entry("software", "none", [SESSION, ["pData", "bytes"], ["pSignature", "bytes"]]),
  C_VerifyUpdate: entry("software", "none", [SESSION, ["pPart", "bytes"]]),
  C_VerifyFinal: entry("software", "none", [SESSION, ["pSignature", "bytes"]]),
  C_VerifyRecoverInit: entry("software", "none", [SESSION, MECHANISM, KEY]),
  C_VerifyRecover: entry("software", "bytes", [SESSION, ["pSignature", "bytes"]]),
};

const DUAL = {
  C_DigestEncryptUpdate: entry("software", "bytes", [SESSION, ["pPart", "secret"]]),
  C_DecryptDigestUpdate: entry("software", "secret", [SESSION, ["pEncryptedPart", "bytes"]]),
  C_SignEncryptUpdate: entry("software", "bytes", [SESSION, ["pPart", "secret"]]),
  C_DecryptVerifyUpdate: entry("software", "secret", [SESSION, ["pEncryptedPart", "bytes"]]),
};

const MESSAGES = {
  C_MessageEncryptInit: entry("software", "none", [SESSION, MECHANISM, KEY]),
  C_EncryptMessage: entry("software", "value", [SESSION, MESSAGE, AAD, ["pPlaintext", "secret"]]),
  C_EncryptMessageBegin: entry("software", "none", [SESSION, MESSAGE, AAD]),
  C_EncryptMessageNext: entry("software", "value", [
    SESSION,
    MESSAGE,
    ["pPlaintextPart", "secret"],
    ["flags", "flags"],
  ]),
  C_MessageEncryptFinal: entry("software", "none", [SESSION]),
  C_MessageDecryptInit: entry("software", "none", [SESSION, MECHANISM, KEY]),
  C_DecryptMessage: entry("software", "secret", [SESSION, MESSAGE, AAD, ["pCiphertext", "bytes"]]),
  C_DecryptMessageBegin: entry("software", "none", [SESSION, MESSAGE, AAD]),
  C_DecryptMessageNext: entry("software", "secret", [
    SESSION,
    MESSAGE,
    ["pCiphertextPart", "bytes"],
    ["flags", "flags"],
  ]),
  C_MessageDecryptFinal: entry("software", "none", [SESSION]),
  C_MessageSignInit: entry("card and software", "none", [SESSION, MECHANISM, KEY]),
  C_SignMessage: entry("card and software", "bytes", [SESSION, MESSAGE, ["pData", "bytes"]]),
  C_SignMessageBegin: entry("card and software", "none", [SESSION, MESSAGE]),
  C_SignMessageNext: entry("card and software", "bytes", [
    SESSION,
    MESSAGE,
    ["pDataPart", "bytes"],
    ["last", "boolean"],
  ]),
  C_MessageSignFinal: entry("software", "none", [SESSION]),
  C_MessageVerifyInit: entry("software", "none", [SESSION, MECHANISM, KEY]),
  C_VerifyMessage: entry("software", "none", [SESSION, MESSAGE, ["pData", "bytes"], ["pSignature", "bytes"]]),
  C_VerifyMessageBegin: entry("software", "none", [SESSION, MESSAGE]),
  C_VerifyMessageNext: entry("software", "none", [SESSION, MESSAGE, ["pDataPart", "bytes"], ["pSignature", "bytes"]]),
  C_MessageVerifyFinal: entry("software", "none", [SESSION]),
};

const KEYS = {
  C_GenerateKey: entry("software", "handle", [SESSION, MECHANISM, TEMPLATE]),
  C_GenerateKeyPair: entry("card and software", "value", [
    SESSION,
    MECHANISM,
    ["pPublicKeyTemplate", "template"],
    ["pPrivateKeyTemplate", "template"],
  ]),
  C_WrapKey: entry("software", "bytes", [SESSION, MECHANISM, ["hWrappingKey", "key"], KEY]),
  C_UnwrapKey: entry("card and software", "handle", [
    SESSION,
    MECHANISM,
    ["hUnwrappingKey", "key"],
    ["pWrappedKey", "bytes"],
    TEMPLATE,
  ]),
  C_DeriveKey: entry("card and software", "handle", [SESSION, MECHANISM, ["hBaseKey", "key"], TEMPLATE]),
};

const RANDOM = {
  C_SeedRandom: entry("not supported", "none", [SESSION, ["pSeed", "secret"]], "the host's generator needs no seed"),
  C_GenerateRandom: entry("software", "secret", [SESSION, ["ulRandomLen", "number"]]),
};

const PARALLEL = {
  C_GetFunctionStatus: entry("not supported", "none", [SESSION], "CKR_FUNCTION_NOT_PARALLEL, as the standard says"),
  C_CancelFunction: entry("not supported", "none", [SESSION], "CKR_FUNCTION_NOT_PARALLEL, as the standard says"),
};

const EXTENSIONS = {
  C_GetVariable: entry("software", "secret", [["name", "text"]]),
  C_SetVariable: entry("software", "none", [
    ["name", "text"],
    ["value", "secret"],
  ]),
  C_Reinitialize: entry("card", "none", [SLOT]),
  C_HasNewEvent: entry("software", "value", [["lastEvent", "number"]]),
  C_UnlockBegin: entry(
    "card",
    "none",
    [SLOT, ["timeout", "number"]],
    "where the card unblocks by challenge and response",
  ),
  C_UnlockGetChallenge: entry("card", "bytes", [SESSION]),
  C_UnlockWithResponse: entry("card", "none", [SESSION, ["pResponse", "secret"], ["pPin", "pin"]]),
  C_UnlockPIN: entry("card", "none", [SESSION, ["pPuk", "pin"], ["pPin", "pin"]]),
  C_ResetToken: entry("card", "none", [SLOT, ["pPin", "pin"]], "where the card has such a command"),
  C_AddSlot: entry("card", "value", [["addSlot", "value"]]),
  C_RemoveSlot: entry("software", "none", [SLOT]),
  C_AddEngine: entry("software", "none", [
    ["type", "mechanism type"],
    ["engine", "value"],
  ]),
  C_SetTraceCallback: entry("software", "none", [["callback", "value"]]),
};

/**
 * Every function that there is, by the chapters of the standard: the one description from which traces, the table in the
 * documentation and the tests over all functions are made.
 */
export const CHAPTERS = [
  { title: "General purpose", source: "PKCS#11 3.1 section 5.4", functions: GENERAL },
  { title: "Slots and tokens", source: "PKCS#11 3.1 section 5.5", functions: SLOTS },
  { title: "Sessions", source: "PKCS#11 3.1 section 5.6", functions: SESSIONS },
  { title: "Objects", source: "PKCS#11 3.1 section 5.7", functions: OBJECTS },
  { title: "Encryption", source: "PKCS#11 3.1 section 5.8", functions: ENCRYPTION },
  { title: "Decryption", source: "PKCS#11 3.1 section 5.10", functions: DECRYPTION },
  { title: "Message digesting", source: "PKCS#11 3.1 section 5.12", functions: DIGESTING },
  { title: "Signing", source: "PKCS#11 3.1 section 5.13", functions: SIGNING },
  { title: "Verifying signatures", source: "PKCS#11 3.1 section 5.15", functions: VERIFICATION },
  { title: "Dual functions", source: "PKCS#11 3.1 section 5.17", functions: DUAL },
  { title: "Messages", source: "PKCS#11 3.1 sections 5.9, 5.11, 5.14 and 5.16", functions: MESSAGES },
  { title: "Key management", source: "PKCS#11 3.1 section 5.18", functions: KEYS },
  { title: "Random numbers", source: "PKCS#11 3.1 section 5.19", functions: RANDOM },
  { title: "Parallel functions", source: "PKCS#11 3.1 section 5.20", functions: PARALLEL },
  { title: "Extensions", source: "Net iD PKCS#11 extensions, Pointsharp", vendor: true, functions: EXTENSIONS },
] as const satisfies readonly Chapter[];

type KeysOfUnion<Union> = Union extends unknown ? keyof Union : never;

export type FunctionName = KeysOfUnion<(typeof CHAPTERS)[number]["functions"]>;

const ENTRIES: ReadonlyMap<string, FunctionEntry> = new Map(
  CHAPTERS.flatMap((chapter: Chapter) => Object.entries(chapter.functions)),
);
const NONE: FunctionEntry = { parameters: [], result: "none", state: "not supported" };

/** What is known of a function. */
export function entryOf(name: FunctionName): FunctionEntry {
  return ENTRIES.get(name) ?? NONE;
}
