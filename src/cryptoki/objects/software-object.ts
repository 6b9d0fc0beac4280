import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import type { NewObject, Values } from "../attributes/new-object.ts";
import type { KeyMaterial } from "./key.ts";
import { completeCertificate } from "./software-certificate.ts";
import { completeDomainParameters } from "./software-domain.ts";
import { completePrivateKey } from "./software-private-key.ts";
import { completePublicKey } from "./software-public-key.ts";
import { completeSecretKey } from "./software-secret-key.ts";
import type { ObjectContents } from "./object-copy.ts";

/**
 * An object that this process keeps, of values that were checked. Its values become the object's own; what is derived from them
 * is added.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT and their kin, if they do not fit together.
 */
export function softwareObject({ rules, values }: NewObject): ObjectContents {
  const key = complete(values);
  return {
    attributes: Object.fromEntries(values),
    private: values.get(CKA.PRIVATE) === true,
    rules,
    ...(key ? { key } : {}),
  };
}

function complete(values: Values): KeyMaterial | undefined {
  switch (values.get(CKA.CLASS)) {
    case CKO.CERTIFICATE:
      completeCertificate(values);
      return undefined;
    case CKO.PUBLIC_KEY:
      return completePublicKey(values);
    case CKO.PRIVATE_KEY:
      return completePrivateKey(values);
    case CKO.SECRET_KEY:
      return completeSecretKey(values);
    case CKO.DOMAIN_PARAMETERS:
      completeDomainParameters(values);
      return undefined;
    default:
      return undefined;
  }
}
