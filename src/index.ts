/**
 * Smart cards as PKCS#11 tokens. `new Cryptoki({ pcsc: new Pcscd(), profiles })` is the whole of it; `cryptoki/pcsc`,
 * `cryptoki/apdu`, `cryptoki/piv`, `cryptoki/pkcs15`, `cryptoki/cac` and `cryptoki/virtual` are the rooms below, for who works on the card
 * itself; `cryptoki/p11kit` serves the tokens to other programs, and reaches other modules.
 */
import { cac, cacUnlisted } from "./cac/profile.ts";
import type { CardProfile } from "./card/index.ts";
import { piv } from "./piv/profile.ts";
import { createPkcs15, pkcs15 } from "./pkcs15/profile.ts";

export * from "./cryptoki/index.ts";
export {
  CardAccessError,
  CardBusyError,
  CardCancelledError,
  CardError,
  CardGoneError,
  CardResetError,
  LoginRequiredError,
  ObjectGoneError,
  PinError,
  StatusError,
  UnsupportedError,
} from "./card/index.ts";
export { type HostCrypto, HostCryptoMissingError, useHostCrypto } from "./crypto/index.ts";
export { MemoryReaders, openAddon, Pcscd, PcscError, record, replay } from "./pcsc/index.ts";
export { cac, cacUnlisted, createPkcs15, piv, pkcs15 };

/** Every card profile of this package, in the order in which a card is asked whose answer to reset tells nothing. */
export const profiles: readonly CardProfile[] = [piv, pkcs15, cac, cacUnlisted];
