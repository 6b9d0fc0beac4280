import { cac, cacUnlisted, createCac } from "./cac/profile.ts";
import type { CardProfile, PublicStore } from "./card/index.ts";
import { createPiv, piv } from "./piv/profile.ts";
import { createPkcs15, pkcs15 } from "./pkcs15/profile.ts";

/** Every card profile of this package, in the order in which a card is asked whose answer to reset tells nothing. */
export const profiles: readonly CardProfile[] = [piv, pkcs15, cac, cacUnlisted];

/**
 * Every card profile of this package, with a store for copies of what cards show without a login: a card that was seen before costs a few
 * exchanges.
 *
 *     new Cryptoki({ pcsc: new Pcscd(), profiles: createProfiles({ store: directoryStore("/home/me/.cache/my-program/cards") }) });
 */
export function createProfiles(options: { readonly store: PublicStore }): readonly CardProfile[] {
  return [createPiv(options), createPkcs15(options), ...createCac(options)];
}
