import { CKA } from "../constants/cka.ts";
import { CKA_CRYPTOKI, CKA_YUBICO } from "../constants/ck.ts";

/** The type of a value of each kind. Widths and padding of C are the business of the code that speaks to C. */
export interface KindTypes {
  boolean: boolean;
  /** CK_ULONG and its aliases: classes, types, lengths in bytes or bits. */
  number: number;
  /** UTF-8 text of the standard. */
  text: string;
  /** CK_DATE; null is the empty date. */
  date: Date | null;
  /** All other values: DER, numbers of any length, identifiers. */
  bytes: Uint8Array;
  /** An array of CK_MECHANISM_TYPE. */
  mechanisms: readonly number[];
  /** An array of CK_ATTRIBUTE. */
  template: Template;
}

export type AttributeKind = keyof KindTypes;

/** The kind of each attribute that is not bytes (PKCS#11 3.1 chapter 4, Objects). */
const KINDS = {
  [CKA.CLASS]: "number",
  [CKA.TOKEN]: "boolean",
  [CKA.PRIVATE]: "boolean",
  [CKA.LABEL]: "text",
  [CKA.UNIQUE_ID]: "text",
  [CKA.APPLICATION]: "text",
  [CKA.CERTIFICATE_TYPE]: "number",
  [CKA.TRUSTED]: "boolean",
  [CKA.CERTIFICATE_CATEGORY]: "number",
  [CKA.JAVA_MIDP_SECURITY_DOMAIN]: "number",
  [CKA.URL]: "text",
  [CKA.NAME_HASH_ALGORITHM]: "number",
  [CKA.KEY_TYPE]: "number",
  [CKA.SENSITIVE]: "boolean",
  [CKA.ENCRYPT]: "boolean",
  [CKA.DECRYPT]: "boolean",
  [CKA.WRAP]: "boolean",
  [CKA.UNWRAP]: "boolean",
  [CKA.SIGN]: "boolean",
  [CKA.SIGN_RECOVER]: "boolean",
  [CKA.VERIFY]: "boolean",
  [CKA.VERIFY_RECOVER]: "boolean",
  [CKA.DERIVE]: "boolean",
  [CKA.START_DATE]: "date",
  [CKA.END_DATE]: "date",
  [CKA.MODULUS_BITS]: "number",
  [CKA.PRIME_BITS]: "number",
  [CKA.SUBPRIME_BITS]: "number",
  [CKA.VALUE_BITS]: "number",
  [CKA.VALUE_LEN]: "number",
  [CKA.EXTRACTABLE]: "boolean",
  [CKA.LOCAL]: "boolean",
  [CKA.NEVER_EXTRACTABLE]: "boolean",
  [CKA.ALWAYS_SENSITIVE]: "boolean",
  [CKA.KEY_GEN_MECHANISM]: "number",
  [CKA.MODIFIABLE]: "boolean",
  [CKA.COPYABLE]: "boolean",
  [CKA.DESTROYABLE]: "boolean",
  [CKA.SECONDARY_AUTH]: "boolean",
  [CKA.AUTH_PIN_FLAGS]: "number",
  [CKA.ALWAYS_AUTHENTICATE]: "boolean",
  [CKA.WRAP_WITH_TRUSTED]: "boolean",
  [CKA.OTP_FORMAT]: "number",
  [CKA.OTP_LENGTH]: "number",
  [CKA.OTP_TIME_INTERVAL]: "number",
  [CKA.OTP_USER_FRIENDLY_MODE]: "boolean",
  [CKA.OTP_CHALLENGE_REQUIREMENT]: "number",
  [CKA.OTP_TIME_REQUIREMENT]: "number",
  [CKA.OTP_COUNTER_REQUIREMENT]: "number",
  [CKA.OTP_PIN_REQUIREMENT]: "number",
  [CKA.OTP_USER_IDENTIFIER]: "text",
  [CKA.OTP_SERVICE_IDENTIFIER]: "text",
  [CKA.OTP_SERVICE_LOGO_TYPE]: "text",
  [CKA.OTP_TIME]: "text",
  [CKA.HW_FEATURE_TYPE]: "number",
  [CKA.RESET_ON_INIT]: "boolean",
  [CKA.HAS_RESET]: "boolean",
  [CKA.PIXEL_X]: "number",
  [CKA.PIXEL_Y]: "number",
  [CKA.RESOLUTION]: "number",
  [CKA.CHAR_ROWS]: "number",
  [CKA.CHAR_COLUMNS]: "number",
  [CKA.COLOR]: "boolean",
  [CKA.BITS_PER_PIXEL]: "number",
  [CKA.CHAR_SETS]: "text",
  [CKA.ENCODING_METHODS]: "text",
  [CKA.MIME_TYPES]: "text",
  [CKA.MECHANISM_TYPE]: "number",
  [CKA.PROFILE_ID]: "number",
  [CKA.X2RATCHET_BAGSIZE]: "number",
  [CKA.X2RATCHET_ISALICE]: "boolean",
  [CKA.X2RATCHET_NR]: "number",
  [CKA.X2RATCHET_NS]: "number",
  [CKA.X2RATCHET_PNS]: "number",
  [CKA.HSS_LEVELS]: "number",
  [CKA.HSS_LMS_TYPE]: "number",
  [CKA.HSS_LMOTS_TYPE]: "number",
  [CKA.HSS_LMS_TYPES]: "mechanisms",
  [CKA.HSS_LMOTS_TYPES]: "mechanisms",
  [CKA.HSS_KEYS_REMAINING]: "number",
  [CKA.WRAP_TEMPLATE]: "template",
  [CKA.UNWRAP_TEMPLATE]: "template",
  [CKA.DERIVE_TEMPLATE]: "template",
  [CKA.ALLOWED_MECHANISMS]: "mechanisms",
  [CKA_YUBICO.TOUCH_POLICY]: "number",
  [CKA_YUBICO.PIN_POLICY]: "number",
  [CKA_CRYPTOKI.ORIGIN]: "number",
} as const satisfies Partial<Record<CKA | CKA_YUBICO | CKA_CRYPTOKI, AttributeKind>>;

/** The kinds by the numbers of the attributes. */
export type Kinds = typeof KINDS;

/** The type of one attribute's value: `ValueOf<typeof CKA.LABEL>` is string. Bytes for an unknown attribute. */
export type ValueOf<Type extends number> = number extends Type
  ? AttributeValue
  : Type extends keyof Kinds
    ? KindTypes[Kinds[Type]]
    : Uint8Array;

export type AttributeValue = KindTypes[AttributeKind];

/**
 * Attributes and their values: `{ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: bytes }`. A vendor's attributes (0x80000000 and above) are
 * possible too.
 */
export type Template = { readonly [Type in CKA]?: ValueOf<Type> } & VendorAttributes;

// A Record would refer to itself.
// eslint-disable-next-line @typescript-eslint/consistent-indexed-object-style
interface VendorAttributes {
  readonly [type: number]: AttributeValue;
}

/** The kind of an attribute's values; bytes for an unknown attribute. */
export function kindOf(type: number): AttributeKind {
  return KIND_BY_TYPE.get(type) ?? "bytes";
}

const KIND_BY_TYPE: ReadonlyMap<number, AttributeKind> = new Map(
  Object.entries(KINDS).map(([type, kind]) => [Number(type), kind]),
);
