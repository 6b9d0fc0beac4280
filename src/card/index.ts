/** What the Cryptoki facade asks of a card application. */
export { LoginRequiredError, PinError, UnsupportedError, type PinFailure } from "./error.ts";
export type {
  CardApplication,
  CardCertificate,
  CardData,
  CardMechanism,
  CardObject,
  CardPrivateKey,
  CardPublicKey,
  CardToken,
  CardTokenInfo,
  KeyPrimitive,
  KeyType,
  KeyUsage,
  NamedCurve,
  PinInfo,
  PinStatus,
  PinUser,
} from "./types.ts";
