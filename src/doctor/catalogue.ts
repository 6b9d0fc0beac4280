import { CERTIFICATE_CHECKS } from "./certificates.ts";
import type { Check } from "./examination.ts";
import { EXCHANGE_CHECKS } from "./exchange-log.ts";
import { PIN_CHECKS } from "./pin-status.ts";
import { BIOMETRIC_CHECKS } from "./piv/biometrics.ts";
import { CHUID_CHECKS, IDENTITY_CHECKS } from "./piv/chuid.ts";
import { DISCOVERY_CHECKS, PIV_PIN_CHECKS } from "./piv/pin.ts";
import { KEY_CHECKS } from "./piv/keys.ts";
import { OBJECT_CHECKS } from "./piv/other-objects.ts";
import { SECURITY_OBJECT_CHECKS, SIGNATURE_CHECKS } from "./piv/security-object.ts";
import { SLOT_CHECKS } from "./piv/slots.ts";
import { PKCS15_CHECKS } from "./pkcs15.ts";
import { TOKEN_CHECKS } from "./tokens.ts";

const GROUPS: readonly Readonly<Record<string, Check>>[] = [
  CHUID_CHECKS,
  SIGNATURE_CHECKS,
  SECURITY_OBJECT_CHECKS,
  BIOMETRIC_CHECKS,
  IDENTITY_CHECKS,
  OBJECT_CHECKS,
  DISCOVERY_CHECKS,
  CERTIFICATE_CHECKS,
  SLOT_CHECKS,
  KEY_CHECKS,
  PIN_CHECKS,
  PIV_PIN_CHECKS,
  PKCS15_CHECKS,
  TOKEN_CHECKS,
  EXCHANGE_CHECKS,
];

/** All checks. */
export const ALL_CHECKS: readonly Check[] = GROUPS.flatMap((group) => Object.values(group));
