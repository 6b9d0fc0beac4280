/** Smart cards in software, for tests, demonstrations and experiments. Their keys are not protected. */
export type { VirtualCard } from "./card.ts";
export { loadCard, type SavableCard, saveCard } from "./card-file.ts";
export { type CertificateDeviation, deviatingCertificate } from "./certificates.ts";
export { VirtualPivCard } from "./piv/card.ts";
export { personaliseFromFolder } from "./piv/icam.ts";
export type { KeySource, PivCardOptions } from "./piv/personalise.ts";
export { PIV_DEVIATIONS, type PivDeviation } from "./piv/deviations.ts";
export type { KeyTypeName } from "./keys.ts";
export type { ManagementKey, PinPolicy, TouchPolicy } from "./piv/model.ts";
export type { PinUsage } from "./piv/identity.ts";
export { ISO7816_DEVIATIONS, type Iso7816Deviation } from "./iso7816/deviations.ts";
export { type BlankCardOptions, createBlankCard } from "./iso7816/blank.ts";
export type { VirtualFileCard } from "./iso7816/card.ts";
export type { MakeName } from "./iso7816/model.ts";
export { type Pkcs15CardOptions, VirtualPkcs15Card } from "./pkcs15/personalise.ts";
export type { Pkcs15KeyName } from "./pkcs15/plan.ts";
export { type SmartCardHsmOptions, VirtualSmartCardHsm } from "./smartcard-hsm/card.ts";
export { plugIntoVpcd, VPCD_PORT, VpcdError, type PluggedCard, type VpcdOptions } from "./vpcd.ts";
