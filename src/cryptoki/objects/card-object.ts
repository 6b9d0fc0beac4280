import type { CardObject } from "../../card/index.ts";
import type { PublicKey } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { offeredForKey } from "../mechanisms/offer.ts";
import type { Token } from "../slots/token.ts";
import { certificateObject } from "./certificate.ts";
import { dataObject } from "./data.ts";
import { privateKeyObject } from "./private-key.ts";
import { publicKeyObject } from "./public-key.ts";
import type { ObjectContents } from "./stored-object.ts";

/** An object of a card as PKCS#11 has it. */
export function cardObject(object: CardObject, token: Token): ObjectContents {
  return {
    ...contentsOf(object, token),
    private: object.private,
    exists: (named) => object.exists(named),
    card: object,
  };
}

function contentsOf(object: CardObject, token: Token): Pick<ObjectContents, "attributes" | "key"> {
  const { cardToken, changes } = token;
  const allowedMechanisms = (type: PublicKey["type"]): readonly number[] => offeredForKey(cardToken, type);
  switch (object.class) {
    case "certificate":
      return certificateObject(object, () => cardToken.objects(["private-key"]));
    case "public-key":
      return publicKeyObject(object, allowedMechanisms);
    case "private-key": {
      const { ended } = changes.of(object.reference);
      return privateKeyObject(object, allowedMechanisms, (primitive, input, signal) => {
        // An operation that began with the key before must not end with the one that took its place.
        if (changes.of(object.reference).ended !== ended) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
        return cardToken.use(object, primitive, input, signal);
      });
    }
    case "data":
      return dataObject(object);
  }
}
