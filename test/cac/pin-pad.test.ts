import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { cac } from "../../src/cac/index.ts";
import { Card, type CardToken, UnsupportedError } from "../../src/card/index.ts";
import { type CardConnection, type ExchangeOptions, MemoryReaders } from "../../src/pcsc/index.ts";
import { AppletCard } from "./applet-card.ts";
import { listedApplets } from "./cards.ts";

const GET_FEATURES = 0x42000d48;
const VERIFY = 0x42330006;
/** Where the command stands in what the reader is given, behind the structure for VERIFY. */
const COMMAND_AT = 2 * 19;

/** Milliseconds that the reader was given for each command. */
const times: (number | undefined)[] = [];

/** A reader on which a user types `typed`. */
function withPad(connection: CardConnection, features: string, typed: string): CardConnection {
  const control = async (code: number, data: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array> => {
    times.push(options?.answersWithin);
    if (code === GET_FEATURES) return fromHex(features);
    const command = fromHex(toHex(data).slice(code === VERIFY ? COMMAND_AT : COMMAND_AT + 10));
    for (const [index, pin] of typed.split(" ").entries()) command.set(utf8(pin), 5 + 8 * index);
    return connection.transmit(command);
  };
  return new Proxy(connection, {
    get(target, name) {
      if (name === "control") return control;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

async function open(features: string, typed: string): Promise<{ card: AppletCard; token: CardToken }> {
  const card = new AppletCard(listedApplets(), { changeP1: 0 });
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  const connection = withPad(await readers.client().connect("Reader"), features, typed);
  const [token] = (await cac.claim(new Card(connection), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no CAC");
  return { card, token };
}

const VERIFY_ONLY = "060442330006";
const BOTH = `${VERIFY_ONLY}070442330007`;

describe("a reader with keys", () => {
  test("takes the PIN, which fills the card's eight bytes", async () => {
    const { card, token } = await open(BOTH, "12345678");
    await token.pinPad?.login("user");
    expect(card.commands.at(-1)).toBe("00200000083132333435363738");
    expect(times.at(-1)).toBe(70_000);
    expect(await token.pinStatus("user")).toMatchObject({ verified: true });
    await expect(token.pinPad?.login("so")).rejects.toThrow(UnsupportedError);
  });

  test("counts tries as without", async () => {
    const { token } = await open(BOTH, "0000");
    await expect(token.pinPad?.login("user")).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
  });

  test("changes the PIN, if it can", async () => {
    const { card, token } = await open(BOTH, "12345678 654321");
    await token.pinPad?.changePin?.("user");
    expect(toHex(card.pin)).toBe(toHex(utf8("654321")));
    // Thirty seconds to the first key and thirty to the last, three times, and ten more for the reader itself.
    expect(times.at(-1)).toBe(190_000);
    expect((await open(VERIFY_ONLY, "")).token.pinPad).not.toHaveProperty("changePin");
    expect((await open("", "")).token.pinPad).toBeUndefined();
  });

  test("may have changed the PIN where the card's answer is lost", async () => {
    const { card, token } = await open(BOTH, "12345678 654321");
    const transmit = card.transmit.bind(card);
    card.transmit = async (command) => (await transmit(command)).subarray(0, command[1] === 0x24 ? 1 : undefined);
    await expect(token.pinPad?.changePin?.("user")).rejects.toMatchObject({
      name: "PinUncertainError",
      message: expect.stringMatching(/the PIN may have changed/u) as unknown,
    });
    await token.login("user", utf8("654321"));
  });
});
