import { describe, expect, test } from "@jest/globals";
import { exchange } from "../exchange.ts";
import { testCard } from "../keys.ts";
import { authenticate } from "./administrator.ts";

const EMPTY_PIN = "0020008008FFFFFFFFFFFFFFFF";
const RESET = "00FB0000";

describe("the commands that administer a YubiKey", () => {
  test("an empty PIN costs a YubiKey a try, and another card none", async () => {
    expect(await exchange(await testCard({ yubico: true }), EMPTY_PIN)).toBe("63C2");
    expect(await exchange(await testCard(), EMPTY_PIN)).toBe("6A80");
  });

  test("RESET is refused until PIN and PUK are blocked", async () => {
    const card = await testCard({ yubico: true });
    expect(await exchange(card, RESET)).toBe("6985");
    for (const left of ["63C2", "63C1", "63C0"]) expect(await exchange(card, EMPTY_PIN)).toBe(left);
    expect(await exchange(card, RESET)).toBe("6985");
    for (const left of ["63C2", "63C1", "63C0"]) {
      expect(await exchange(card, `002C008010${"FF".repeat(16)}`)).toBe(left);
    }
    expect(await exchange(card, RESET)).toBe("9000");
    expect(await exchange(card, "0020008008313233343536FFFF")).toBe("9000");
  });

  test("SET MANAGEMENT KEY, SET PIN RETRIES and MOVE KEY want the management key", async () => {
    const card = await testCard({ yubico: true });
    for (const command of [`00FFFFFF13039B10${"00".repeat(16)}`, "00FA0505", "00F6829A"]) {
      expect(await exchange(card, command)).toBe("6982");
    }
    await authenticate(card);
    expect(await exchange(card, `00FFFFFF13089B10${"AB".repeat(16)}`)).toBe("9000");
    expect(await exchange(card, `00FFFFFF13039B10${"AB".repeat(16)}`)).toBe("6A80");
    expect(await exchange(card, "00F6829A")).toBe("9000");
    expect(await exchange(card, "00F6829A")).toBe("6A88");
    expect(await exchange(await testCard(), "00F6829A")).toBe("6D00");
  });
});
