import { encodeEcParameters, encodeParameters25519, type HostPrivateKey } from "../crypto/index.ts";
import { CKA, CKK, CKO, type Template } from "../cryptoki/index.ts";

/** The template with which C_CreateObject brings a private key to a card. It holds the key: the caller wipes its values. */
export function privateKeyTemplate(key: HostPrivateKey): Template {
  const common = {
    [CKA.CLASS]: CKO.PRIVATE_KEY,
    [CKA.SENSITIVE]: true,
    [CKA.EXTRACTABLE]: false,
    [CKA.PRIVATE]: true,
  };
  const { publicKey } = key;
  switch (publicKey.type) {
    case "rsa": {
      const numbers = key.rsaNumbers();
      return {
        ...common,
        [CKA.KEY_TYPE]: CKK.RSA,
        [CKA.MODULUS]: numbers.modulus,
        [CKA.PUBLIC_EXPONENT]: numbers.publicExponent,
        [CKA.PRIVATE_EXPONENT]: numbers.privateExponent,
        [CKA.PRIME_1]: numbers.prime1,
        [CKA.PRIME_2]: numbers.prime2,
        [CKA.EXPONENT_1]: numbers.exponent1,
        [CKA.EXPONENT_2]: numbers.exponent2,
        [CKA.COEFFICIENT]: numbers.coefficient,
      };
    }
    case "ec": {
      const parameters = encodeEcParameters(publicKey.curve);
      return { ...common, [CKA.KEY_TYPE]: CKK.EC, [CKA.EC_PARAMS]: parameters, [CKA.VALUE]: key.secret() };
    }
    case "edwards":
    case "montgomery":
      return {
        ...common,
        [CKA.KEY_TYPE]: publicKey.type === "edwards" ? CKK.EC_EDWARDS : CKK.EC_MONTGOMERY,
        [CKA.EC_PARAMS]: encodeParameters25519(publicKey.curve),
        [CKA.VALUE]: key.secret(),
      };
  }
}
