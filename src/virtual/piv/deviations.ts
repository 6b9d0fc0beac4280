import { CERTIFICATE_DEVIATIONS } from "../certificates.ts";
import { RESULT_DEVIATIONS } from "../result-deviations.ts";

/**
 * Ways in which PIV cards in use differ from SP 800-73, or from each other where it leaves a choice: by name, with a
 * line that describes the card's behaviour. {@link PivCardOptions.deviations} names those of a card.
 */
export const PIV_DEVIATIONS = {
  ...RESULT_DEVIATIONS,
  ...CERTIFICATE_DEVIATIONS,
  "no-certificates": "the card is made with keys and no certificates",
  "certificate-without-key": "the card is made with a certificate for 9A and no key there",
  "no-key-history": "there is no key history object, and none can be written (6A82)",
  "no-metadata": "GET METADATA is refused with 6D00, as a YubiKey does before firmware 5.3",
  "no-device-serial": "GET SERIAL is refused with 6D00, as a YubiKey does before firmware 5.0",
  "missed-touch":
    "the first use of each key after a reset is refused with 6982, as a YubiKey does that is not touched; the PIN stays verified",
  "neo-status-words": "tries are counted in 630x in place of 63Cx, as a YubiKey NEO does",
  "refused-empty-verify": "VERIFY without a PIN is refused with 6700",
  "never-verified-empty-verify":
    "VERIFY without a PIN answers 63Cx also while the PIN is verified, as a YubiKey does before firmware 4.3.2",
  "five-pin-tries": "PIN and PUK have five tries",
  "no-discovery-object": "there is no discovery object, and none can be written (6A82)",
  "no-chuid": "there is no CHUID, and none can be written (6A82)",
  "pin-for-each-use": "the card is made with keys that all want the PIN before each use",
  "refused-key-use": "each use of a key is refused with 6A80, as where a command chain was cut",
  "failing-management-key": "the second step of the officer's GENERAL AUTHENTICATE answers 6F00",
} as const satisfies Readonly<Record<string, string>>;

export type PivDeviation = keyof typeof PIV_DEVIATIONS;

export const PIV_DEVIATION_NAMES = /* @__PURE__ */ Object.keys(PIV_DEVIATIONS) as readonly PivDeviation[];
