import type { CardObject, CardPrivateKey, CardToken, KeyUsage } from "../../card/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { type KeyKind, offeredForKey } from "../mechanisms/offer.ts";
import type { Token } from "../slots/token.ts";
import { certificateObject } from "./certificate.ts";
import { dataObject } from "./data.ts";
import type { PrivateKey } from "./key.ts";
import { privateKeyObject } from "./private-key.ts";
import { publicKeyObject } from "./public-key.ts";
import type { ObjectContents } from "./object-copy.ts";

/**
 * An object of a card as PKCS#11 has it.
 * @param isEnded Whether the object is gone since.
 */
export function cardObject(object: CardObject, token: Token, isEnded: () => boolean): ObjectContents {
  return {
    ...contentsOf(object, token, isEnded),
    private: object.private,
    exists: (named) => object.exists(named),
    card: object,
  };
}

function contentsOf(
  object: CardObject,
  { cardToken }: Token,
  isEnded: () => boolean,
): Pick<ObjectContents, "attributes" | "key"> {
  const allowedMechanisms = (kind: KeyKind, usage: KeyUsage): readonly number[] =>
    offeredForKey(cardToken, kind, usage);
  switch (object.class) {
    case "certificate":
      return certificateObject(object, () => cardToken.objects(["private-key"]));
    case "public-key":
      return publicKeyObject(object, allowedMechanisms);
    case "private-key":
      return privateKeyObject(object, allowedMechanisms, cardKey(object, cardToken, isEnded));
    case "data":
      return dataObject(object);
  }
}

function cardKey(
  object: CardPrivateKey,
  cardToken: CardToken,
  isEnded: () => boolean,
): Pick<PrivateKey, "use" | "authenticate"> {
  // An operation that began with the key before must not end with the one that took its place.
  const requireKey = (): void => {
    if (isEnded()) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
  };
  const authenticate = cardToken.authenticate?.bind(cardToken);
  return {
    use: (primitive, input, signal) => {
      requireKey();
      return cardToken.use(object, primitive, input, signal);
    },
    ...(authenticate && {
      authenticate: (pin: Uint8Array | null, signal?: AbortSignal) => {
        requireKey();
        return authenticate(object, pin, signal);
      },
    }),
  };
}
