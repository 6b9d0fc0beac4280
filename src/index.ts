/**
 * Smart cards as tokens with keys ({@link openTokens}), and as PKCS#11 has them (`new Cryptoki({ pcsc: new Pcscd(), profiles })`);
 * `cryptoki/pcsc`,
 * `cryptoki/apdu`, `cryptoki/piv`, `cryptoki/pkcs15`, `cryptoki/cac` and `cryptoki/virtual` are the rooms below, for who works on the card
 * itself; `cryptoki/p11kit` serves the tokens to other programs, and reaches other modules.
 */
import { cac, cacUnlisted, createCac } from "./cac/profile.ts";
import { createPiv, piv } from "./piv/profile.ts";
import { createPkcs15, pkcs15 } from "./pkcs15/profile.ts";

export * from "./cryptoki/index.ts";
export type {
  AuthenticatedUse,
  Card,
  CardApplication,
  CardCertificate,
  CardData,
  CardExchange,
  CardFinding,
  CardHold,
  CardMechanism,
  CardObject,
  CardObjectChanges,
  CardPrivateKey,
  CardProfile,
  CardPublicKey,
  CardToken,
  CardTokenInfo,
  ClaimEffort,
  ExclusiveAccess,
  FindingSink,
  GeneratedKeyPair,
  KeyFamily,
  KeyPairRequest,
  KeyPrimitive,
  KeyType,
  KeyUsage,
  KeyUsageByFamily,
  NewCardObject,
  NewKeyedObjectBase,
  NewObjectBase,
  PinFailure,
  PinInfo,
  PinPad,
  PinRole,
  PinStatus,
  PinUser,
  PresenceSearch,
  PublicStore,
  ReaderFacts,
  TransmitWrapper,
  VendorAttributes,
} from "./card/index.ts";
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
export {
  type AeadParameters,
  type BlockCipher,
  type BlockStream,
  type Curve25519,
  type Direction,
  type HostCipherOptions,
  type HostCrypto,
  type HostHash,
  type HostKey,
  type HostMac,
  type HostSigner,
  type HostVerifier,
  type KeyKind,
  type MaybePromise,
  type OpeningStream,
  type PrivateKeyForm,
  type RsaPrivateNumbers,
  type SealedMessage,
  HostCryptoMissingError,
  useHostCrypto,
} from "./crypto/index.ts";
export {
  MemoryReaders,
  openAddon,
  openNative,
  openSystemPcsc,
  Pcscd,
  PcscError,
  record,
  replay,
} from "./pcsc/index.ts";
export { cac, cacUnlisted, createCac, createPiv, createPkcs15, piv, pkcs15 };
export { createProfiles, profiles } from "./profiles.ts";
export { directoryStore } from "./store/index.ts";
export {
  Key,
  openTokens,
  type CommonOptions,
  type OfCards,
  type OfReaders,
  type OpenTokensOptions,
  type WithProfiles,
  type PinRequest,
  type PinSource,
  PublicKey,
  rememberPin,
  type RememberOptions,
  Token,
  TokenCertificate,
  TokenError,
  TokenSource,
} from "./tokens/index.ts";
