/**
 * PIV cards (NIST SP 800-73-4 and -5). A PIV card holds up to 24 asymmetric keys in fixed slots, 9A 9C 9D 9E and 82 to
 * 95, a certificate for each, and data objects such as the CHUID; the cardholder's PIN protects the keys.
 */
export { type AttestedFacts, AttestationError, verifyAttestation } from "./attestation.ts";
export {
  encodeCapabilities,
  encodeChuid,
  encodeFascn,
  encodePrintedInformation,
  type FascnParts,
  type NewChuid,
  type NewPrintedInformation,
  NON_FEDERAL_FASCN,
} from "./identity.ts";
export { CKA_YUBICO } from "./yubico-admin.ts";
export { isYubiKey } from "./session.ts";
export { CONTAINER, type Container } from "./data-objects.ts";
export {
  type InspectedObject,
  type InspectedProof,
  type InspectedSlot,
  type InspectedUse,
  PivInspection,
} from "./inspection.ts";
export { createPiv, piv, type PivOptions } from "./profile.ts";
export type { KeyPinPolicy } from "./yubico.ts";
export {
  PivCardSession as PivSession,
  type PivKeyMetadata,
  type PivPolicy,
  type PivSessionOptions,
  type PivSlot,
  type PivUse,
  type RetiredSlot,
  type Secret,
} from "./card-session.ts";
export type { PivEncryption, PivHash, PivSignature } from "./key-operation.ts";
