import { type AttributeList, readTemplate, sameValue } from "../attributes/template.ts";
import { inconsistent } from "../attributes/refusals.ts";
import type { CKA } from "../constants/cka.ts";
import type { StoredObject } from "../objects/stored-object.ts";

/**
 * What a caller's template says together with the one that a key has for all keys that come of it (PKCS#11 3.1, C_UnwrapKey and
 * C_DeriveKey).
 * @throws {CryptokiError} CKR_TEMPLATE_INCONSISTENT if they contradict each other.
 */
export async function withKeyTemplate(
  template: AttributeList,
  { attributes }: StoredObject,
  type: typeof CKA.UNWRAP_TEMPLATE | typeof CKA.DERIVE_TEMPLATE,
): Promise<AttributeList> {
  const own = readTemplate((await attributes.value(type)) ?? {});
  const added = own.filter(([wanted, value]) => {
    const named = template.find(([attribute]) => attribute === wanted);
    if (named && !sameValue(named[1], value)) throw inconsistent(wanted, "is said otherwise by the key's template");
    return !named;
  });
  return [...template, ...added];
}
