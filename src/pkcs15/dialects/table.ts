import type { Dialect } from "../dialect.ts";
import type { CardFacts } from "../recognition/makes.ts";
import { CARDOS_4, CARDOS_5, FINEID, STARCOS, SWEDISH_EID } from "./read-only.ts";
import { GENERIC } from "./generic.ts";
import { ISO_APPLETS } from "./iso-applet.ts";
import { MYEID } from "./myeid.ts";
import { SMARTCARD_HSM } from "./smartcard-hsm.ts";

/** The order in which a card is compared with them; the last one matches all. */
const DIALECTS: readonly Dialect[] = [
  ...ISO_APPLETS,
  MYEID,
  SWEDISH_EID,
  FINEID,
  CARDOS_5,
  CARDOS_4,
  ...STARCOS,
  SMARTCARD_HSM,
];

/**
 * How a card wants its keys to be used.
 * @param further Dialects of the program, which are compared first.
 */
export function dialectOf(card: CardFacts, further: readonly Dialect[] = []): Dialect {
  const dialect = [...further, ...DIALECTS].find((one) => one.recognises(card)) ?? GENERIC;
  return dialect.forCard?.(card) ?? dialect;
}
