import {
  encodePss,
  hashLength,
  type HashName,
  pssObjection,
  type PssParameters,
  verifyPss,
} from "../../crypto/index.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import { readPssParameters } from "./parameters.ts";
import { RSA_SIZES, RsaKey } from "./rsa-key.ts";
import type { MechanismFamily, SchemeMaker, SignatureScheme } from "./scheme.ts";

const signature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
  const key = new RsaKey(shape, "pss");
  const parameters = readPssParameters(parameter, hash);
  const objection = shape.type === "rsa" && shape.pss ? pssObjection(shape.pss, parameters) : undefined;
  if (objection !== undefined) throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, objection);
  // RFC 8017 section 9.1.1 step 3; emBits is one less than the modulus' bits, which may make the block a byte shorter.
  const needed = hashLength(parameters.hash) + parameters.saltLength + 2;
  key.requireLength(key.modulusBits % 8 === 1 ? needed + 1 : needed);
  return {
    hash,
    maxMessage: hashLength(parameters.hash),
    signatureLength: key.length,
    async sign(user, message, signal) {
      if (!user.primitives.includes("rsa-raw")) {
        requireCardParameters(parameters);
        if (message.length !== hashLength(parameters.hash)) throw new CryptokiError(CKR.DATA_LEN_RANGE);
        return user.use("rsa-pss", message, signal);
      }
      const block = blame(CKR.DATA_LEN_RANGE, () => encodePss(message, parameters, key.modulusBits));
      return user.use("rsa-raw", block, signal);
    },
    verify: (message, signed) => blame(CKR.DATA_LEN_RANGE, () => verifyPss(key.publicKey, message, parameters, signed)),
  };
};

/** Hashes of a card that makes the padding itself. */
const CARD_HASHES: readonly HashName[] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

/** A card that makes the padding itself has no choice of mask and salt. */
function requireCardParameters({ hash, mgfHash, saltLength }: PssParameters): void {
  if (CARD_HASHES.includes(hash) && mgfHash === hash && saltLength === hashLength(hash)) return;
  throw new CryptokiError(
    CKR.MECHANISM_PARAM_INVALID,
    "the card signs PSS with SHA-1 or SHA-2, MGF1 over the same hash, and a salt as long as it",
  );
}

/** CKM_RSA_PKCS_PSS and CKM_SHA*_RSA_PKCS_PSS (RFC 8017 section 8.1). */
export const rsaPss: MechanismFamily = {
  keyTypes: [CKK.RSA],
  primitives: ["rsa-raw", "rsa-pss"],
  sizes: RSA_SIZES,
  signature,
};
