/** What the Cryptoki facade asks of a card application. */
export { CardError, isExecutionError, MalformedAnswerError, StatusError } from "../apdu/index.ts";
export {
  CardAccessError,
  CardBusyError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  CardTimeoutError,
} from "./access-error.ts";
export { afterReset } from "./after-reset.ts";
export { confirmedAnswer, isAnswer, isMalformed, isNotFound, readTwiceIfMalformed, unlessRefused } from "./answers.ts";
export { authenticateUse, type HeldUse } from "./authenticated-use.ts";
export type { CardHold } from "./card-hold.ts";
export type { CardExchange, ExclusiveAccess } from "./exchange.ts";
export { Card, type CardOptions, type FindingSink, type TransmitWrapper } from "./card.ts";
export {
  LoginRequiredError,
  ObjectGoneError,
  PinError,
  UnsupportedError,
  UseRefusedError,
  type PinFailure,
} from "./error.ts";
export {
  checkedResult,
  safeResult,
  ecdsaResult,
  isKeyResult,
  isUnsupportedUse,
  resultOfLength,
  sharedSecret,
  unpaddedMessage,
  wholeRsaResult,
  WrongResultError,
} from "./key-result.ts";
export { type PinBlock, PinPadReader } from "./pin-pad.ts";
export { changingPin, type ChangingExchange, PinUncertainError } from "./pin-change.ts";
export { mechanismsOfKeys } from "./mechanisms-of-keys.ts";
export { isToldVerified, PinState, triesLeftText } from "./pin-state.ts";
export { selects } from "./unusable-card.ts";
export type { CardProfile } from "./profile.ts";
export { connectCard, followReaders } from "./readers.ts";
export { CardRecognition } from "./recognition.ts";
export { readStoredCertificate } from "./stored-certificate.ts";
export { type Attempt, SelectedApplication, type Selection } from "./selected-application.ts";
export type {
  AuthenticatedUse,
  CardApplication,
  CardCertificate,
  CardData,
  CardFinding,
  CardMechanism,
  CardObject,
  CardObjectChanges,
  CardPrivateKey,
  CardPublicKey,
  CardToken,
  CardTokenInfo,
  GeneratedKeyPair,
  KeyFamily,
  KeyPairRequest,
  KeyPrimitive,
  KeyType,
  KeyUsage,
  KeyUsageByFamily,
  NewCardObject,
  PinInfo,
  PinPad,
  PinRole,
  PinStatus,
  PinUser,
  VendorAttributes,
} from "./types.ts";
