import { CERTIFICATE_DEVIATIONS } from "../certificates.ts";
import { RESULT_DEVIATIONS } from "../result-deviations.ts";

/**
 * Ways in which real cards with a file system differ from the imitated card, each with a description of the virtual
 * card's behaviour. A card's file and its options name them.
 */
export const ISO7816_DEVIATIONS = {
  ...RESULT_DEVIATIONS,
  ...CERTIFICATE_DEVIATIONS,
  "empty-end-of-file": "READ BINARY at the end of a file answers 9000 without data, where other cards refuse",
  "logout-refused": "the command that makes the card forget a PIN answers 6A86",
  "no-chaining": "command chaining answers 6884; what no short command holds needs extended length",
  "no-get-response": "an answer that is longer than Le answers 6C00, and GET RESPONSE 6D00",
  "pin-status-refused": "VERIFY without a PIN, which asks for the tries left, answers 6700",
  "five-pin-tries": "PINs and PUKs have five tries",
  "long-serial-number": "the serial number in TokenInfo has 16 bytes, where a token shows the last 8",
  "puk-not-listed": "the AODF has no entries of PUKs; RESET RETRY COUNTER takes them all the same",
} as const satisfies Readonly<Record<string, string>>;

export type Iso7816Deviation = keyof typeof ISO7816_DEVIATIONS;

export const ISO7816_DEVIATION_NAMES = /* @__PURE__ */ Object.keys(ISO7816_DEVIATIONS) as readonly Iso7816Deviation[];
