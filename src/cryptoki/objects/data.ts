import { memoizeAsync } from "../../async/index.ts";
import { derOid } from "../../asn1/index.ts";
import type { CardData } from "../../card/index.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import { storageAttributes } from "./storage.ts";
import type { ObjectContents } from "./object-copy.ts";

/** A data object (PKCS#11 3.1, data objects). */
export function dataObject(object: CardData): Pick<ObjectContents, "attributes"> {
  return {
    attributes: {
      ...storageAttributes(object),
      [CKA.CLASS]: CKO.DATA,
      [CKA.APPLICATION]: object.application,
      [CKA.OBJECT_ID]: object.objectId === undefined ? new Uint8Array() : derOid(object.objectId),
      [CKA.VALUE]: memoizeAsync(() => object.value()),
    },
  };
}
