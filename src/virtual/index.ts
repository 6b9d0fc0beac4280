/** Smart cards in software, for tests, demonstrations and trying things out. Their keys are not protected. */
export type { VirtualCard } from "./card.ts";
export { VirtualPivCard } from "./piv/card.ts";
