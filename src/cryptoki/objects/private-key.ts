import { memoizeAsync } from "../../async/index.ts";
import type { CardPrivateKey } from "../../card/index.ts";
import { parsePublicKey, type PublicKey } from "../../crypto/index.ts";
import { SENSITIVE } from "../attributes/attribute-set.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import type { PrivateKey } from "./key.ts";
import { allowedFor, type AllowedMechanisms, keyAttributes, UsageSources } from "./public-key.ts";
import { storageAttributes } from "./storage.ts";
import type { ObjectContents } from "./object-copy.ts";

/**
 * A private key of a card (PKCS#11 3.1, private key objects; RSA and elliptic curve private key objects).
 * @param card Has the card compute with it.
 */
export function privateKeyObject(
  object: CardPrivateKey,
  allowedMechanisms: AllowedMechanisms,
  card: Pick<PrivateKey, "use" | "authenticate">,
): Pick<ObjectContents, "attributes" | "key"> {
  const info = memoizeAsync(() => object.publicKey());
  const key = memoizeAsync(async () => parsePublicKey(await info()));
  // Made on the card, it was never anywhere else; of any other, nobody here can tell.
  const local = object.local ?? false;
  const usage = new UsageSources(object, key);
  const rsaSecret = secretOf(key, (type) => type === "rsa");
  return {
    key: {
      class: "private",
      key: {
        shape: () => (object.type ? Promise.resolve(object.type) : key()),
        publicKey: key,
        primitives: object.primitives,
        // Asked for each time: the card may have said otherwise since.
        get needsLogin() {
          return object.needsLogin;
        },
        get alwaysAuthenticate() {
          return object.alwaysAuthenticate;
        },
        ...card,
      },
    },
    attributes: {
      ...storageAttributes(object),
      ...keyAttributes(object, info, key),
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.ALLOWED_MECHANISMS]: allowedFor(object, key, allowedMechanisms),
      [CKA.LOCAL]: local,
      [CKA.DERIVE]: usage.of("derive", ["ec", "montgomery"]),
      [CKA.SENSITIVE]: true,
      [CKA.DECRYPT]: usage.of("decrypt", ["rsa"]),
      [CKA.SIGN]: usage.of("sign"),
      [CKA.SIGN_RECOVER]: usage.of("sign", ["rsa"]),
      [CKA.UNWRAP]: usage.of("decrypt", ["rsa"]),
      [CKA.EXTRACTABLE]: false,
      [CKA.ALWAYS_SENSITIVE]: object.alwaysSensitive ?? local,
      [CKA.NEVER_EXTRACTABLE]: object.neverExtractable ?? local,
      [CKA.WRAP_WITH_TRUSTED]: false,
      [CKA.UNWRAP_TEMPLATE]: {},
      [CKA.DERIVE_TEMPLATE]: {},
      [CKA.ALWAYS_AUTHENTICATE]: () => Promise.resolve(object.alwaysAuthenticate),
      ...Object.fromEntries(object.vendorAttributes ?? []),
      [CKA.PRIVATE_EXPONENT]: rsaSecret,
      [CKA.PRIME_1]: rsaSecret,
      [CKA.PRIME_2]: rsaSecret,
      [CKA.EXPONENT_1]: rsaSecret,
      [CKA.EXPONENT_2]: rsaSecret,
      [CKA.COEFFICIENT]: rsaSecret,
      [CKA.VALUE]: secretOf(key, (type) => type !== "rsa"),
    },
  };
}

/** Which secrets a key has depends on its type: none shows them, and asking for the other type's is CKR_ATTRIBUTE_TYPE_INVALID. */
function secretOf(
  key: () => Promise<PublicKey>,
  has: (type: PublicKey["type"]) => boolean,
): () => Promise<typeof SENSITIVE | undefined> {
  return async () => (has((await key()).type) ? SENSITIVE : undefined);
}
