/** What the Cryptoki facade asks of a card application. */
export { CardError, isExecutionError, MalformedAnswerError, StatusError } from "../apdu/index.ts";
export {
  afterReset,
  CardAccessError,
  CardBusyError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  CardTimeoutError,
  confirmedAnswer,
  isAnswer,
  isMalformed,
  isNotFound,
  LoginRequiredError,
  ObjectGoneError,
  PinError,
  type PinFailure,
  readTwiceIfMalformed,
  unlessRefused,
  UnsupportedError,
  UseRefusedError,
} from "./errors.ts";
export { authenticateUse, type HeldUse } from "./authenticated-use.ts";
export type { CardHold } from "./card-hold.ts";
export type {
  AuthenticatedUse,
  CardApplication,
  CardCertificate,
  CardData,
  CardDeviceInfo,
  CardExchange,
  CardFinding,
  CardMechanism,
  CardObject,
  CardObjectChanges,
  CardPrivateKey,
  CardPublicKey,
  CardToken,
  CardTokenInfo,
  ExclusiveAccess,
  GeneratedKeyPair,
  KeyAttestation,
  KeyFamily,
  KeyPairRequest,
  KeyPrimitive,
  KeyType,
  KeyUsage,
  KeyUsageByFamily,
  NewCardObject,
  NewVendorAttributes,
  PinInfo,
  PinPad,
  PinRole,
  PinStatus,
  PinUser,
  PresenceSearch,
  VendorAttributes,
} from "./contract.ts";
export { Card, type CardOptions, type FindingSink, type ReaderFacts, type TransmitWrapper } from "./card.ts";
export {
  checkedResult,
  ecdsaResult,
  isKeyResult,
  isUnsupportedUse,
  mechanismsOfKeys,
  resultOfLength,
  safeResult,
  sharedSecret,
  unpaddedMessage,
  wholeRsaResult,
  WrongResultError,
} from "./key-results.ts";
export { type PinBlock, PinPadReader } from "./pin-pad.ts";
export {
  type ChangingExchange,
  changingPin,
  isToldVerified,
  PinState,
  PinUncertainError,
  triesLeftText,
} from "./pin-state.ts";
export {
  type CardProfile,
  CardRecognition,
  type ClaimEffort,
  connectCard,
  followReaders,
  selects,
} from "./recognition.ts";
export { readStoredCertificate } from "./stored-certificate.ts";
export { type Attempt, SelectedApplication, type Selection } from "./selected-application.ts";
