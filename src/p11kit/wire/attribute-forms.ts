import { CKA } from "../../cryptoki/index.ts";

/** How a value stands on the wire. Native is whatever p11-kit has no entry for: the bytes that the client's memory holds. */
export type AttributeForm = "byte" | "ulong" | "date" | "mechanisms" | "template" | "native";

/** Everything that p11-kit knows to be more than bytes. What it does not know is native, also where the standard knows more. */
const FORMS: ReadonlyMap<number, AttributeForm> = new Map<number, AttributeForm>([
  ...entries("byte", [
    CKA.TOKEN,
    CKA.PRIVATE,
    CKA.TRUSTED,
    CKA.SENSITIVE,
    CKA.ENCRYPT,
    CKA.DECRYPT,
    CKA.WRAP,
    CKA.UNWRAP,
    CKA.SIGN,
    CKA.SIGN_RECOVER,
    CKA.VERIFY,
    CKA.VERIFY_RECOVER,
    CKA.DERIVE,
    CKA.EXTRACTABLE,
    CKA.LOCAL,
    CKA.NEVER_EXTRACTABLE,
    CKA.ALWAYS_SENSITIVE,
    CKA.MODIFIABLE,
    CKA.COPYABLE,
    CKA.SECONDARY_AUTH,
    CKA.ALWAYS_AUTHENTICATE,
    CKA.WRAP_WITH_TRUSTED,
    CKA.RESET_ON_INIT,
    CKA.HAS_RESET,
    CKA.COLOR,
  ]),
  ...entries("ulong", [
    CKA.CLASS,
    CKA.CERTIFICATE_TYPE,
    CKA.CERTIFICATE_CATEGORY,
    CKA.JAVA_MIDP_SECURITY_DOMAIN,
    CKA.KEY_TYPE,
    CKA.MODULUS_BITS,
    CKA.PRIME_BITS,
    CKA.SUBPRIME_BITS,
    CKA.VALUE_BITS,
    CKA.VALUE_LEN,
    CKA.KEY_GEN_MECHANISM,
    CKA.AUTH_PIN_FLAGS,
    CKA.HW_FEATURE_TYPE,
    CKA.PIXEL_X,
    CKA.PIXEL_Y,
    CKA.RESOLUTION,
    CKA.CHAR_ROWS,
    CKA.CHAR_COLUMNS,
    CKA.BITS_PER_PIXEL,
    CKA.MECHANISM_TYPE,
  ]),
  ...entries("date", [CKA.START_DATE, CKA.END_DATE]),
  ...entries("mechanisms", [CKA.ALLOWED_MECHANISMS]),
  ...entries("template", [CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE]),
]);

function entries(form: AttributeForm, types: readonly number[]): readonly (readonly [number, AttributeForm])[] {
  return types.map((type) => [type, form]);
}

/** @param offered The version of the protocol that the client offered: 0.25 learned one more template. */
export function attributeForm(type: number, offered: number): AttributeForm {
  if (type === CKA.DERIVE_TEMPLATE) return offered >= 1 ? "template" : "native";
  return FORMS.get(type) ?? "native";
}
