import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeCommand } from "../../../src/apdu/index.ts";
import { toHex } from "../../../src/bytes/index.ts";
import { exchange } from "../exchange.ts";
import { testCard } from "../keys.ts";
import { shareOf } from "../../seeded-random.ts";

const INSTRUCTIONS = [0x20, 0x24, 0x2c, 0x47, 0x87, 0xa4, 0xc0, 0xcb, 0xdb, 0xf7, 0xf8, 0xfd];
const PARAMETERS = [0x00, 0x01, 0x03, 0x04, 0x07, 0x11, 0x3f, 0x80, 0x81, 0x82, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0xff];

/** Data that looks like what these commands take: nested TLV, cut off here and there. */
const data = fc
  .array(
    fc.tuple(
      fc.constantFrom(0x5c, 0x53, 0x7c, 0x7e, 0x80, 0x81, 0x82, 0x85, 0xac, 0x9f),
      fc.oneof(fc.constantFrom(0x00, 0x01, 0x80, 0x81, 0x82, 0x84, 0xff), fc.integer({ min: 0, max: 255 })),
      fc.uint8Array({ maxLength: 20 }),
    ),
    { maxLength: 4 },
  )
  .map((fields) => Uint8Array.from(fields.flatMap(([tag, length, value]) => [tag, length, ...value])));

const command = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .record({
      cla: fc.constantFrom(0x00, 0x10, 0x00),
      ins: fc.constantFrom(...INSTRUCTIONS),
      p1: fc.constantFrom(...PARAMETERS),
      p2: fc.constantFrom(...PARAMETERS),
      data,
      ne: fc.constantFrom(1, 256),
    })
    .map((apdu) => encodeCommand(apdu)),
);

test("any bytes get a status word other than 6F00, and open nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 12 }), fc.boolean(), async (commands, yubico) => {
      const card = await testCard({ yubico, extended: yubico, tries: 15 });
      for (const bytes of commands) {
        const answer = toHex(await card.transmit(bytes));
        expect(answer).toMatch(/(9000|6[0-9a-f]{3})$/u);
        expect(answer).not.toMatch(/6f00$/u);
      }
      // Ends a chain that the last command left open: the next one would be its last part (ISO/IEC 7816-4 section 5.3.3).
      await exchange(card, "00200080");
      expect(await exchange(card, "00A4040005A000000308")).toMatch(/(9000|61..)$/u);
      expect(await exchange(card, "00200080")).toMatch(/^63C.$/u);
      expect(await exchange(card, "00CB3FFF055C035FC10900")).toBe("6982");
      expect(await exchange(card, "00DB3FFF075C035FC1055300")).toBe("6982");
      expect(await exchange(card, "0047009A05AC03800111")).toBe("6982");
      expect(await exchange(card, `0087119C267C2482008120${"11".repeat(32)}00`)).toBe("6982");
    }),
    { numRuns: shareOf(200) },
  );
});
