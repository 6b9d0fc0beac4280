import { encodeEcParameters, encodeParameters25519 } from "../../crypto/index.ts";
import { CKA, CKM, type Template } from "../../cryptoki/index.ts";

/** A type of key: how C_GenerateKeyPair makes it, and what its public half is asked to be. */
interface NewKeyType {
  readonly mechanism: number;
  readonly template: () => Template;
}

const rsa = (bits: number): NewKeyType => ({
  mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN,
  template: () => ({ [CKA.MODULUS_BITS]: bits, [CKA.PUBLIC_EXPONENT]: Uint8Array.of(0x01, 0x00, 0x01) }),
});

/** The types that --type takes. */
export const KEY_TYPES: Readonly<Record<string, NewKeyType>> = {
  rsa2048: rsa(2048),
  rsa3072: rsa(3072),
  rsa4096: rsa(4096),
  p256: { mechanism: CKM.EC_KEY_PAIR_GEN, template: () => ({ [CKA.EC_PARAMS]: encodeEcParameters("P-256") }) },
  p384: { mechanism: CKM.EC_KEY_PAIR_GEN, template: () => ({ [CKA.EC_PARAMS]: encodeEcParameters("P-384") }) },
  ed25519: {
    mechanism: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    template: () => ({ [CKA.EC_PARAMS]: encodeParameters25519("Ed25519") }),
  },
  x25519: {
    mechanism: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
    template: () => ({ [CKA.EC_PARAMS]: encodeParameters25519("X25519") }),
  },
};
