/** Smart cards in software, for tests, demonstrations and trying things out. Their keys are not protected. */
export type { VirtualCard } from "./card.ts";
export { loadCard, type SavableCard, saveCard } from "./card-file.ts";
export { type CertificateDeviation, deviatingCertificate } from "./certificate-deviations.ts";
export { VirtualPivCard } from "./piv/card.ts";
export { personaliseFromFolder } from "./piv/icam.ts";
export type { KeySource, PivCardOptions } from "./piv/personalise.ts";
export { PIV_DEVIATIONS, type PivDeviation } from "./piv/deviations.ts";
export type { KeyTypeName } from "./keys/key-type.ts";
export type { ManagementKey } from "./piv/contents.ts";
export type { PinUsage } from "./piv/identity.ts";
export type { PinPolicy } from "./piv/slot.ts";
export { ISO7816_DEVIATIONS, type Iso7816Deviation } from "./iso7816/deviations.ts";
export { VirtualPkcs15Card } from "./pkcs15/card.ts";
export type { Pkcs15CardOptions } from "./pkcs15/personalise.ts";
export type { Pkcs15KeyName } from "./pkcs15/plan.ts";
export { plugIntoVpcd, VPCD_PORT, VpcdError, type PluggedCard, type VpcdOptions } from "./vpcd.ts";
