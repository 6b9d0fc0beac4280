import { equalBytes } from "../../bytes/index.ts";
import type { CardObject, CardToken } from "../../card/index.ts";
import type { PublicKey } from "../../crypto/index.ts";
import { offeredForKey } from "../mechanisms/offer.ts";
import { certificateObject } from "./certificate.ts";
import { dataObject } from "./data.ts";
import { privateKeyObject } from "./private-key.ts";
import { publicKeyObject } from "./public-key.ts";
import type { ObjectContents } from "./stored-object.ts";

/**
 * An object of a card as PKCS#11 has it.
 * @param all The objects of the token.
 */
export function cardObject(object: CardObject, token: CardToken, all: readonly CardObject[]): ObjectContents {
  const allowedMechanisms = (type: PublicKey["type"]): readonly number[] => offeredForKey(token, type);
  switch (object.class) {
    case "certificate":
      return certificateObject(
        object,
        all.some((other) => other.class === "private-key" && equalBytes(other.id, object.id)),
      );
    case "public-key":
      return publicKeyObject(object, allowedMechanisms);
    case "private-key":
      return privateKeyObject(object, token, allowedMechanisms);
    case "data":
      return dataObject(object);
  }
}
