/** What cards in use say of their PIN, and how they refuse a key: the login, the tries left, and the errors that follow. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardPrivateKey, CardToken } from "../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { rig as facadeRig } from "../cryptoki/rig.ts";
import { testKey } from "../virtual/keys.ts";
import { type Bench, bench, claim, privateKey } from "./rig.ts";

const PIN = utf8("123456");
const HASH = new Uint8Array(32).fill(1);
const EMPTY_VERIFY = "00200080";
const USE = "0087";

/** An answer in place of the card's own, hexadecimal; undefined lets the card answer. */
type Instead = (command: string) => string | undefined | Promise<string | undefined>;

function answering(card: VirtualPivCard, instead: Instead): InProcessCard {
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      const answer = await instead(toHex(command));
      return answer === undefined ? card.transmit(command) : fromHex(answer);
    },
  };
}

const KEYS = { "9a": { privateKey: testKey("p-256", "9a") }, "9d": null } as const;
const makeCard = (options = {}): Promise<VirtualPivCard> =>
  VirtualPivCard.create({
    keys: { ...KEYS, "9c": { privateKey: testKey("p-256", "9c") }, "9e": { privateKey: testKey("p-256", "9e") } },
    ...options,
  });

describe("a key that the card refuses with 6982", () => {
  let card: VirtualPivCard;
  let rig: Bench;
  let token: CardToken;
  let key: CardPrivateKey;
  /** How many uses of a key are refused still. */
  let refusals: number;
  /** The empty VERIFY never says yes. */
  let denies: boolean;
  let instead: Instead;

  beforeEach(async () => {
    card = await makeCard();
    refusals = 0;
    denies = false;
    instead = () => undefined;
    rig = bench(
      answering(card, (command) => {
        if (command.startsWith(USE) && refusals > 0) {
          refusals--;
          return "6982";
        }
        if (denies && command === EMPTY_VERIFY) return "63c3";
        return instead(command);
      }),
    );
    ({ token } = await claim(rig));
    key = await privateKey(token, 1);
    await token.login("user", PIN);
  });

  const refusedUse = { name: "UseRefusedError", message: expect.stringContaining("touch") as unknown };

  test("for lack of a touch keeps the login, as often as it happens", async () => {
    refusals = 3;
    for (let times = 0; times < 3; times++) {
      await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject(refusedUse);
    }
    expect(await token.use(key, "ecdsa", HASH)).toHaveLength(64);
  });

  test("keeps the login on a card that never says that its PIN is verified", async () => {
    denies = true;
    refusals = 1;
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject(refusedUse);
    expect(await token.use(key, "ecdsa", HASH)).toHaveLength(64);
    refusals = 1;
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject(refusedUse);
    expect(await token.use(key, "ecdsa", HASH)).toHaveLength(64);
  });

  test("ends the login there at the second refusal in a row", async () => {
    denies = true;
    refusals = 2;
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject(refusedUse);
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject({ name: "LoginRequiredError" });
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject({ name: "LoginRequiredError" });
  });

  /** Another program makes the card forget the PIN, without a reset. */
  const forget = async (): Promise<void> => {
    const other = await rig.readers.client().connect("Memory Reader");
    expect(toHex(await other.transmit(fromHex("0020ff80")))).toBe("9000");
    await other.disconnect();
  };

  test("because it has forgotten the PIN ends the login: an object of the cardholder's proves it", async () => {
    await forget();
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject({ name: "LoginRequiredError" });
    await token.login("user", PIN);
    expect(await token.use(key, "ecdsa", HASH)).toHaveLength(64);
  });

  test("because it has forgotten the PIN ends the login where it was heard to say that it is verified", async () => {
    expect(await token.pinStatus("user")).toMatchObject({ verified: true });
    await forget();
    // Nothing more than the empty VERIFY is asked.
    instead = (command) => (command.startsWith("00cb3fff055c035fc109") ? "6f00" : undefined);
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject({ name: "LoginRequiredError" });
    expect(rig.commands.filter((command) => command.includes("5fc109"))).toEqual([]);
  });

  test.each(["6700", "6985", "6f00"])("is tolerated once if the empty VERIFY answers %s", async (sw) => {
    instead = (command) => {
      if (command === EMPTY_VERIFY) return sw;
      return command.includes("5fc109") ? "6a82" : undefined;
    };
    refusals = 1;
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject(refusedUse);
    expect(await token.use(key, "ecdsa", HASH)).toHaveLength(64);
  });

  test("that wants the PIN each time still wants it, or a touch", async () => {
    const signature = await privateKey(token, 2);
    refusals = 1;
    await expect(token.use(signature, "ecdsa", HASH)).rejects.toMatchObject({
      name: "LoginRequiredError",
      message: "the card needs the PIN immediately before each use of this key, or a touch while it works",
    });
    await token.login("user", PIN);
    expect(await token.use(signature, "ecdsa", HASH)).toHaveLength(64);
    expect(await token.use(key, "ecdsa", HASH)).toHaveLength(64);
  });

  test("whose use was refused with another status word keeps its error", async () => {
    instead = (command) => (command.startsWith(USE) ? "6f00" : undefined);
    await expect(token.use(key, "ecdsa", HASH)).rejects.toMatchObject({ name: "StatusError", sw: 0x6f00 });
  });

  test("says nothing about a private object: the login outlasts a refused one", async () => {
    denies = true;
    instead = (command) => (command.includes("5fc109") ? "6a82" : undefined);
    expect(await token.hasForgottenPin?.()).toBe(false);
    expect(await token.hasForgottenPin?.()).toBe(true);
  });
});

describe("through the C_ functions", () => {
  test("a missed touch is CKR_FUNCTION_REJECTED, the user stays logged in, and the next signature works", async () => {
    let refusals = 1;
    const touchless: Instead = (command) => (command.startsWith(USE) && refusals-- > 0 ? "6982" : undefined);
    await using facade = await facadeRig(answering(await makeCard(), touchless));
    const session = await facade.loggedIn();
    const { cryptoki } = facade;
    const [key = 0] = await facade.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
    const sign = async (): Promise<Uint8Array> => {
      await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, key);
      return cryptoki.C_Sign(session, HASH);
    };
    await expect(sign()).rejects.toMatchObject({
      code: "CKR_FUNCTION_REJECTED",
      message: expect.stringMatching(/touch/u) as unknown,
    });
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
    expect(await sign()).toHaveLength(64);
  });

  test("a refused private object ends no login on a card that never says that its PIN is verified", async () => {
    const denying: Instead = (command) => {
      if (command === EMPTY_VERIFY) return "63c3";
      return command.includes("5fc121") ? "6982" : undefined;
    };
    await using facade = await facadeRig(answering(await makeCard(), denying));
    const session = await facade.loggedIn();
    for (let search = 0; search < 3; search++) {
      expect(await facade.find(session, { [CKA.LABEL]: "Cardholder Iris Images" })).toEqual([]);
      expect((await facade.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
    }
  });

  test("a search that meets a card that has forgotten the PIN finds no private objects, and the user is logged in no more", async () => {
    const card = await makeCard();
    await using facade = await facadeRig(card);
    const session = await facade.loggedIn();
    // Read before, and with the PIN.
    expect(await facade.find(session, { [CKA.LABEL]: "Cardholder Iris Images" })).toEqual([]);
    // As another program does that selects an application which does not keep the PIN.
    await card.transmit(fromHex("0020ff80"));
    expect(await facade.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "Printed Information" })).toEqual([]);
    expect((await facade.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
    await facade.cryptoki.C_Login(session, CKU.USER, "123456");
    expect(await facade.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "Printed Information" })).toHaveLength(1);
  });

  test.each([
    ["6984", 0],
    ["6a88", 0],
    ["6700", CKF.USER_PIN_INITIALIZED],
    ["6983", CKF.USER_PIN_INITIALIZED | CKF.USER_PIN_LOCKED],
    ["6301", CKF.USER_PIN_INITIALIZED | CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY],
  ])("the empty VERIFY answered with %s gives the flags %i", async (sw, flags) => {
    await using facade = await facadeRig(
      answering(await makeCard(), (command) => (command === EMPTY_VERIFY ? sw : undefined)),
    );
    const slot = await facade.slot();
    const all = CKF.USER_PIN_INITIALIZED | CKF.USER_PIN_LOCKED | CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY;
    expect((await facade.cryptoki.C_GetTokenInfo(slot)).flags & all).toBe(flags);
  });
});

describe("the PIN of a card that counts in 630x", () => {
  const inPlainDigits = async (card: VirtualPivCard): Promise<CardToken> => {
    const rig = bench({
      ...answering(card, () => undefined),
      transmit: async (command) => {
        const answer = toHex(await card.transmit(command));
        return fromHex(answer.replace(/63c(.)$/u, "630$1"));
      },
    });
    return (await claim(rig)).token;
  };

  test("has as many tries left", async () => {
    const token = await inPlainDigits(await makeCard());
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 3, countLow: false });
    await expect(token.login("user", utf8("654321"))).rejects.toMatchObject({
      name: "PinError",
      reason: "incorrect",
      triesLeft: 2,
      message: "the PIN is wrong; 2 tries are left",
    });
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 2, countLow: true });
  });

  test("is blocked after 6300", async () => {
    const token = await inPlainDigits(await makeCard({ tries: 1 }));
    await expect(token.login("user", utf8("654321"))).rejects.toMatchObject({
      reason: "incorrect",
      triesLeft: undefined,
    });
    await expect(token.login("user", PIN)).rejects.toMatchObject({ reason: "blocked", triesLeft: 0 });
  });
});

test("a wrong PIN that is refused with 6300 alone is wrong, and the empty VERIFY gives the number", async () => {
  const rig = bench(answering(await makeCard(), (command) => (command.startsWith("0020008008") ? "6300" : undefined)));
  const { token } = await claim(rig);
  await expect(token.login("user", utf8("654321"))).rejects.toMatchObject({ reason: "incorrect", triesLeft: 3 });
});

describe("a card that answers the empty VERIFY with", () => {
  const statusOf = async (sw: string): Promise<{ token: CardToken; rig: Bench }> => {
    const rig = bench(answering(await makeCard(), (command) => (command === EMPTY_VERIFY ? sw : undefined)));
    return { rig, token: (await claim(rig)).token };
  };

  test.each(["6700", "6982", "6985", "6a86", "6f00", "6300", "6d00"])(
    "%s does not tell the tries, and works",
    async (sw) => {
      const { token } = await statusOf(sw);
      expect(await token.pinStatus("user")).toEqual({
        triesLeft: undefined,
        maxTries: undefined,
        countLow: false,
        verified: false,
      });
      await token.login("user", PIN);
      expect(await token.use(await privateKey(token, 1), "ecdsa", HASH)).toHaveLength(64);
    },
  );

  test("6983 has no tries left", async () => {
    const { token } = await statusOf("6983");
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 0 });
  });

  test.each(["6984", "6a88"])("%s has no PIN yet", async (sw) => {
    const { token } = await statusOf(sw);
    expect(await token.pinStatus("user")).toMatchObject({ isSet: false, triesLeft: undefined });
  });
});

test.each(["6984", "6a88"])("VERIFY answered with %s says that there is no PIN", async (sw) => {
  const rig = bench(answering(await makeCard(), (command) => (command.startsWith("0020008008") ? sw : undefined)));
  const { token } = await claim(rig);
  await expect(token.login("user", PIN)).rejects.toMatchObject({ name: "PinError", reason: "not-set" });
});

describe("the maximum of the tries", () => {
  test("is that of the metadata, also after a wrong PIN in another process", async () => {
    const card = await makeCard({ tries: 5, yubico: true, defaultSelected: false });
    const { token: earlier } = await claim(bench(card));
    await expect(earlier.login("user", utf8("654321"))).rejects.toMatchObject({ triesLeft: 4 });
    const { token } = await claim(bench(card));
    expect(await token.pinStatus("user", true)).toMatchObject({ triesLeft: 4, maxTries: 5, countLow: true });
    // And is known from then on.
    expect(await token.pinStatus("user")).toMatchObject({ triesLeft: 4, maxTries: 5, countLow: true });
  });

  test("is unknown without metadata", async () => {
    const card = await makeCard({ tries: 5 });
    const { token: earlier } = await claim(bench(card));
    await expect(earlier.login("user", utf8("654321"))).rejects.toMatchObject({ triesLeft: 4 });
    const { token } = await claim(bench(card));
    expect(await token.pinStatus("user", true)).toMatchObject({ triesLeft: 4, maxTries: undefined, countLow: false });
  });

  test("comes with the tries of a PIN that is verified", async () => {
    const { token } = await claim(bench(await makeCard({ tries: 5, yubico: true })));
    await token.login("user", PIN);
    expect(await token.pinStatus("user", true)).toMatchObject({ triesLeft: 5, maxTries: 5, verified: true });
  });

  test.each(["01010c060205", "06010590", "0602000090", "0602050690"])(
    "is unknown where metadata are %s",
    async (data) => {
      const rig = bench(
        answering(await makeCard(), (command) => (command.startsWith("00f7") ? `${data}9000` : undefined)),
      );
      const { token } = await claim(rig);
      expect(await token.pinStatus("user", true)).toMatchObject({ triesLeft: 3, maxTries: undefined });
    },
  );

  test("is not asked for otherwise", async () => {
    const rig = bench(await makeCard({ yubico: true }));
    const { token } = await claim(rig);
    await token.pinStatus("user");
    expect(rig.commands.filter((command) => command.startsWith("00f7"))).toEqual([]);
  });
});

describe("the management key", () => {
  const KEY = utf8("010203040506070801020304050607080102030405060708");
  const officer = async (first: string | undefined, second: string | undefined): Promise<Promise<void>> => {
    let steps = 0;
    const rig = bench(
      answering(await makeCard(), (command) => (command.startsWith("0087039b") ? [first, second][steps++] : undefined)),
    );
    const { token } = await claim(rig);
    return token.login("so", KEY);
  };

  test.each([
    ["6982", undefined],
    ["6300", undefined],
    ["63c2", 2],
    ["63c0", 0],
    ["6302", 2],
    ["6a80", undefined],
  ])("is wrong where the card answers the proof with %s", async (sw, triesLeft) => {
    await expect(officer(undefined, sw)).rejects.toMatchObject({
      name: "PinError",
      reason: "incorrect",
      message: "the management key is wrong",
      triesLeft,
    });
  });

  test.each(["6f00", "6581", "6d00", "6700", "9100", "6983", "6a86"])(
    "is not to blame where the card fails with %s",
    async (sw) => {
      const failure = {
        name: "CardError",
        message: expect.stringContaining("failed to check the management key") as unknown,
      };
      await expect(officer(undefined, sw)).rejects.toMatchObject(failure);
    },
  );

  test("is not to blame where the card does not begin", async () => {
    await expect(officer("6982", undefined)).rejects.toMatchObject({ name: "CardError" });
  });

  test("is right where the card says so", async () => {
    await expect(officer(undefined, undefined)).resolves.toBeUndefined();
  });
});
