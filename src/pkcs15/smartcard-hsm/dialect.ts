import { type Dialect, mechanisms } from "../dialect.ts";
import { ecdsaAnswer, type KeyRequest, type KeyUse, refuse, sharedX, wholeBlock } from "../keys/key-use.ts";
import { MAKES } from "../recognition/makes.ts";
import { ALGORITHM, decipher, selectApplet, sign } from "./commands.ts";

/** What a short answer holds: more is asked for only where more can come. */
const SHORT_ANSWER = 256;

/** SmartCard-HSM of CardContact, also in the Nitrokey HSM: each use of a key is one command, which names key and algorithm. */
export const SMARTCARD_HSM: Dialect = {
  name: "SmartCard-HSM",
  source: "OpenSC, card-sc-hsm.c (sc_hsm_set_security_env, sc_hsm_compute_signature, sc_hsm_decipher, sc_hsm_init)",
  recognises: MAKES.smartCardHsm,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw"] : ["ecdsa", "ecdh"]),
  mechanisms: mechanisms({ "rsa-raw": [1024, 4096], ecdsa: [256, 521], ecdh: [256, 521] }),
  logout: selectApplet,
  use(request: KeyRequest): KeyUse {
    const { key, primitive, operation, input } = request;
    const { reference } = key;
    const ne = Math.max(SHORT_ANSWER, key.bytes);
    if (reference === undefined) return refuse(request);
    if (primitive === "rsa-raw" && operation === "decipher") {
      return once(decipher(reference, ALGORITHM.RSA_DECRYPT, input, ne), wholeBlock(request));
    }
    if (primitive === "rsa-raw") return once(sign(reference, ALGORITHM.RSA_RAW, input, ne), wholeBlock(request));
    if (primitive === "ecdsa") return once(sign(reference, ALGORITHM.ECDSA, input, ne), ecdsaAnswer(request));
    if (primitive === "ecdh") return once(decipher(reference, ALGORITHM.ECDH, input, ne), sharedX(request));
    return refuse(request);
  },
};

function once(command: KeyUse["commands"][number], read: KeyUse["read"]): KeyUse {
  return { environment: undefined, commands: [command], read };
}
