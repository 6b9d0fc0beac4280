import { describe, expect, jest, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { CardError, type CardProfile, type CardToken, PinError } from "../../src/card/index.ts";
import { piv } from "../../src/piv/index.ts";
import { profileSuite } from "../../src/testing/index.ts";
import { testCard } from "../virtual/keys.ts";

jest.setTimeout(60_000);

/** The PIV profile with something wrong about its tokens. */
function withTokens(change: (token: CardToken) => Partial<CardToken>): CardProfile {
  return {
    ...piv,
    async claim(...given) {
      const application = await piv.claim(...given);
      if (!application) return undefined;
      const tokens = application.tokens.map((token) => {
        const changed = change(token);
        return new Proxy(token, {
          get(target, name) {
            if (name in changed) return Reflect.get(changed, name) as unknown;
            const value: unknown = Reflect.get(target, name, target);
            return typeof value === "function" ? (value.bind(target) as unknown) : value;
          },
        });
      });
      return { ...application, tokens };
    },
  };
}

async function verdict(profile: CardProfile, name: string): Promise<void> {
  const found = profileSuite({ profile, card: () => testCard(), pin: "123456" }).find((one) => one.name === name);
  if (!found) throw new Error(`no check "${name}"`);
  await found.run();
}

describe("the profile suite finds", () => {
  test.each<[string, string, CardProfile, string]>([
    ["another name", "has a name, and its applications the same one", { ...piv, name: "other" }, 'is "piv", and not'],
    [
      "a claim of foreign cards",
      "does not claim a card of another kind, and does no harm to it",
      { ...piv, claim: () => Promise.resolve({ profile: "piv", tokens: [] }) },
      "a card that answers 6a82 to everything is claimed",
    ],
    [
      "a claim that tries a PIN",
      "does not claim a card of another kind, and does no harm to it",
      {
        ...piv,
        claim: async (card) => {
          const command = { cla: 0, ins: 0x20, p1: 0, p2: 0x80, data: fromHex("31323334") };
          await card.exclusively(({ send }) => send(command));
          return undefined;
        },
      },
      "a claim sends instruction 20",
    ],
    [
      "a quick claim that searches",
      "claims quickly within two exchanges",
      {
        ...piv,
        claim: async (card) => {
          for (let p2 = 0; p2 < 3; p2++) {
            await card.exclusively(({ send }) => send({ cla: 0, ins: 0xb0, p1: 0, p2, ne: 1 }));
          }
          return undefined;
        },
      },
      "takes 3 exchanges, 2 at most",
    ],
    [
      "two objects of one reference",
      "names each object by one reference, always the same",
      withTokens((token) => ({
        objects: async (classes) => (await token.objects(classes)).map((object) => ({ ...object, reference: "same" })),
      })),
      "the number of objects with references of their own",
    ],
    [
      "an error of another class",
      "tells by the contract's errors what goes wrong",
      withTokens((token) => ({
        info: () => token.info().then(() => Promise.reject(new TypeError("undefined is not a function"))),
      })),
      "TypeError: undefined is not a function, which is no error of the contract",
    ],
    [
      "tries that are not told",
      "spends one try for a wrong PIN, and tells how many are left",
      withTokens((token) => ({
        login: (user, pin) =>
          token.login(user, pin).catch((error: unknown) => {
            throw error instanceof PinError ? new PinError(error.reason, error.message) : error;
          }),
      })),
      "triesLeft of the error is",
    ],
    [
      "a read that does not look at its signal",
      "reads nothing for a caller that has left",
      withTokens((token) => ({ pinStatus: (pin) => token.pinStatus(pin) })),
      "the number of commands of pinStatus with an aborted signal is 2, and not 0",
    ],
    [
      "a wrong PIN that is no PinError",
      "spends one try for a wrong PIN, and tells how many are left",
      withTokens(() => ({ login: () => Promise.reject(new CardError("no")) })),
      "and not with a PinError",
    ],
    [
      "a PIN that is sent whatever its length",
      "sends no PIN that is too short or too long",
      withTokens((token) => ({
        login: (user, pin) => token.login(user, pin.length === 6 ? pin : fromHex("373737373737")),
      })),
      'the reason for a PIN of 5 bytes is "incorrect"',
    ],
    [
      "a logout that does nothing",
      "forgets the PIN at a logout",
      withTokens(() => ({ logout: () => Promise.resolve() })),
      "after a logout the card still counts the PIN as verified",
    ],
    [
      "a result of another key",
      "computes with its keys what their public keys confirm",
      withTokens((token) => ({
        use: async (...given) => (await token.use(...given)).fill(0),
      })),
      "the result does not verify with publicKey()",
    ],
    [
      "a card that is claimed again at each login",
      "tells that the card is gone",
      withTokens(() => ({ login: () => Promise.reject(new CardError("no card")) })),
      "and not with a CardGoneError",
    ],
  ])("%s", async (_, name, profile, problem) => {
    await expect(verdict(profile, name)).rejects.toThrow(problem);
  });
});
