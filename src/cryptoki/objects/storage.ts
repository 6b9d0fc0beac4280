import type { CardObject } from "../../card/index.ts";
import type { AttributeSources } from "../attributes/attribute-set.ts";
import { CKA } from "../constants/cka.ts";

/** The attributes common to all objects that a card keeps. */
export function storageAttributes(object: CardObject): AttributeSources {
  return {
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: object.private,
    [CKA.LABEL]: object.label,
    [CKA.UNIQUE_ID]: object.reference,
    [CKA.MODIFIABLE]: object.modifiable ?? false,
    [CKA.COPYABLE]: COPYABLE.has(object.class),
    [CKA.DESTROYABLE]: object.destroyable ?? false,
  };
}

/** What can be read whole can be copied: a private key never leaves its card. */
const COPYABLE: ReadonlySet<CardObject["class"]> = new Set(["certificate", "public-key", "data"]);
