/**
 * The card contract: what the Cryptoki facade asks of a card application, and what a card profile is written with. `cryptoki/apdu` has the
 * types of commands and answers, `cryptoki/testing` proves a profile (docs/guides/profile.md).
 */
export type { CallOptions } from "../async/index.ts";
export { CardError, isExecutionError, MalformedAnswerError, StatusError } from "../apdu/index.ts";
export {
  afterReset,
  callSignal,
  CardAccessError,
  CardBusyError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  CardTimeoutError,
  completedAnyway,
  confirmedAnswer,
  isAnswer,
  isMalformed,
  isNotFound,
  LoginRequiredError,
  ObjectGoneError,
  PinError,
  PinUncertainError,
  type PinFailure,
  readTwiceIfMalformed,
  unlessRefused,
  untilCancelled,
  UnsupportedError,
  UseRefusedError,
} from "./errors.ts";
export { authenticateUse, type HeldUse } from "./authenticated-use.ts";
export type { CardHold, HoldingCard } from "./card-hold.ts";
export type {
  AuthenticatedUse,
  CardApplication,
  CardDeviceInfo,
  CardExchange,
  CardFinding,
  CardMechanism,
  CardToken,
  CardTokenInfo,
  ExclusiveAccess,
  GeneratedKeyPair,
  KeyAttestation,
  HoldOptions,
  InitPinOptions,
  KeyPairRequest,
  KeyWrapping,
  KeyWrappingState,
  NewOfficerKey,
  OfficerKeyAlgorithm,
  OfficerKeyStorage,
  PinInfo,
  PinPad,
  PinRole,
  PinStatus,
  PinUser,
} from "./contract.ts";
export type {
  CardCertificate,
  CardData,
  CardObject,
  CardObjectBase,
  CardObjectChanges,
  CardPrivateKey,
  CardPublicKey,
  KeyFamily,
  KeyPrimitive,
  KeyType,
  KeyUsage,
  KeyUsageByFamily,
  NewCardObject,
  NewKeyedObjectBase,
  NewObjectBase,
  NewVendorAttributes,
  PresenceSearch,
  VendorAttributes,
} from "./objects.ts";
export { Card, type CardOptions, type FindingSink, type ReaderFacts, type TransmitWrapper } from "./card.ts";
export {
  checkedResult,
  ecdsaResult,
  isKeyResult,
  isRsaResult,
  isUnsupportedUse,
  mechanismsOfKeys,
  resultOfLength,
  safeResult,
  sharedSecret,
  unpaddedMessage,
  wholeRsaResult,
  WrongResultError,
} from "./key-results.ts";
export { type PinBlock, PinPadReader, type PinPlaces } from "./pin-pad.ts";
export {
  type CardProfile,
  CardRecognition,
  type ClaimEffort,
  type ClaimOptions,
  connectCard,
  followReaders,
  selects,
} from "./recognition.ts";
export { readStoredCertificate } from "./stored-certificate.ts";
export {
  type Attempt,
  type CardCounts,
  type ChangingExchange,
  changingPin,
  isToldVerified,
  type PinReport,
  PinState,
  SelectedApplication,
  type Selection,
  triesLeftText,
} from "./volatile-state.ts";
export type { MemoizedAsync } from "../async/index.ts";
export type {
  EcPublicKey,
  EdwardsPublicKey,
  HashName,
  MontgomeryPublicKey,
  NamedCurve,
  PssLimits,
  PssParameterLimits,
  PublicKey,
  RsaPublicKey,
} from "../crypto/index.ts";
export { type PublicStore, reliableStore } from "./public-store.ts";
