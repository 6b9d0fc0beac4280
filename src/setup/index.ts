/**
 * Puts cards into service by a plan: secrets, management key, data objects, keys, attestations, certificates; with a transcript of what was
 * done. What it needs of files, prompts and readers, its caller gives it.
 */
export { setUpCard, type SetupResult } from "./card-setup.ts";
export { compareWithCard } from "./compare.ts";
export type { CertificateContents } from "./card-certificates.ts";
export { PlanError } from "./fields.ts";
export { type Plan, type PlannedCertificate, planSchema, readPlan } from "./plan.ts";
export { SetupRefusedError } from "./preflight.ts";
export { isWeak, randomKey, type SecretName } from "./secrets.ts";
export type { SetupCard, SetupEvent, SetupStore, SetupTools } from "./tools.ts";
export { Transcript, TranscriptError, type TranscriptSigner } from "./transcript.ts";
export { type VerifiedTranscript, verifyTranscript } from "./verify.ts";
