import type { CardObject } from "../../card/index.ts";
import type { AttributeSources } from "../attributes/attribute-set.ts";
import { CKA } from "../constants/cka.ts";

/** The attributes common to all objects that a card keeps. This driver leaves them as they are. */
export function storageAttributes(object: CardObject): AttributeSources {
  return {
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: object.private,
    [CKA.LABEL]: object.label,
    [CKA.UNIQUE_ID]: object.reference,
    [CKA.MODIFIABLE]: false,
    [CKA.COPYABLE]: false,
    [CKA.DESTROYABLE]: false,
  };
}
