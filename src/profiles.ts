import { cac, cacUnlisted } from "./cac/profile.ts";
import type { CardProfile } from "./card/index.ts";
import { piv } from "./piv/profile.ts";
import { pkcs15 } from "./pkcs15/profile.ts";

/** Every card profile of this package, in the order in which a card is asked whose answer to reset tells nothing. */
export const profiles: readonly CardProfile[] = [piv, pkcs15, cac, cacUnlisted];
