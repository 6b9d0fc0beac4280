import { equalBytes } from "../../bytes/index.ts";
import type { Check, Examination } from "../examination.ts";
import { fascnText, sameFascn } from "../fascn.ts";
import { uuidText } from "../uuid.ts";

export const IDENTITY_CHECKS = {
  FASCN: {
    name: "fascn-differs",
    level: "defect",
    section: "FIPS 201-2 section 4.2; SP 800-73-4 part 1 section 3.1.2",
    consequence: "Two parts of the card belong to two cards. Those who compare them refuse the card.",
    remedy: "Do not trust the object that differs. Ask the card's issuer for a new card.",
  },
  UUID: {
    name: "uuid-differs",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.4.1",
    consequence: "Two parts of the card belong to two cards. Those who compare them refuse the card.",
    remedy: "Do not trust the object that differs. Ask the card's issuer for a new card.",
  },
} as const satisfies Record<string, Check>;

interface Said {
  readonly where: string;
  readonly value: Uint8Array;
}

/** Which card the parts of a card say that they belong to. The first one that was told is what the others are compared with. */
export class Identities {
  readonly #fascns: Said[] = [];
  readonly #uuids: Said[] = [];

  fascn(where: string, value: Uint8Array | undefined): void {
    if (value) this.#fascns.push({ where, value });
  }

  uuid(where: string, value: Uint8Array | undefined): void {
    if (value) this.#uuids.push({ where, value });
  }

  /** Reports whatever differs from the first. */
  compare(examination: Examination): void {
    const report = (
      check: Check,
      kind: string,
      said: readonly Said[],
      same: typeof equalBytes,
      text: (value: Uint8Array) => string,
    ): void => {
      const [first, ...others] = said;
      if (!first) return;
      for (const { where, value } of others) {
        if (same(value, first.value)) continue;
        examination.found(
          check,
          where,
          `Its ${kind} ${text(value)} is not that of ${first.where}: ${text(first.value)}.`,
        );
      }
    };
    report(IDENTITY_CHECKS.FASCN, "FASC-N", this.#fascns, sameFascn, fascnText);
    report(IDENTITY_CHECKS.UUID, "card UUID", this.#uuids, equalBytes, uuidText);
  }
}
