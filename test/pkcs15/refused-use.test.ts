/** A key that the card refuses with 6982 though the PIN was given: what happens to the login. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { Card, type CardObject, type CardPrivateKey, type CardToken } from "../../src/card/index.ts";
import { CKM, CKS } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { PIN, READER, rig as facadeRig } from "../cryptoki/rig.ts";
import type { VirtualCard } from "../../src/virtual/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { rebuiltCard } from "./rebuilt-card.ts";

const HASH = new Uint8Array(32).fill(1);
const EMPTY_VERIFY = /^002000..(00)?$/u;
const USE = "002a";
const ENVIRONMENT = "0022";

/** An answer in place of the card's own, hexadecimal; undefined lets the card answer. */
type Instead = (command: string) => string | undefined;

const answering = (card: InProcessCard, instead: Instead): InProcessCard => ({
  atr: card.atr,
  reset: () => {
    card.reset();
  },
  transmit: (command) => {
    const answer = instead(toHex(command));
    return answer === undefined ? card.transmit(command) : Promise.resolve(fromHex(answer));
  },
});

const isEcKey = (object: CardObject): object is CardPrivateKey =>
  object.class === "private-key" && (object.type?.type ?? object.family) === "ec";

function never(): never {
  throw new Error("no such key");
}

describe.each([
  // OsEID says 9000 while the PIN is verified, IsoApplet never.
  { name: "OsEID", make: (): Promise<VirtualCard> => testPkcs15Card(), tells: true },
  { name: "IsoApplet", make: (): Promise<VirtualCard> => Promise.resolve(rebuiltCard()), tells: false },
])("a key of $name that is refused with 6982", ({ make, tells }) => {
  let token: CardToken;
  let key: CardPrivateKey;
  let refusals: number;
  let refused: string;
  let emptyVerify: string | undefined;
  let commands: string[];
  let readers: MemoryReaders;

  beforeEach(async () => {
    refusals = 0;
    refused = USE;
    emptyVerify = undefined;
    commands = [];
    readers = new MemoryReaders();
    readers.plug(READER);
    const card = answering(await make(), (command) => {
      commands.push(command);
      if (command.startsWith(refused) && refusals > 0) {
        refusals--;
        return "6982";
      }
      return EMPTY_VERIFY.test(command) ? emptyVerify : undefined;
    });
    readers.insert(READER, card);
    const connected = new Card(await readers.client().connect(READER));
    const application = await pkcs15.claim(connected, "thorough");
    [token] = (application?.tokens ?? []) as [CardToken];
    key = (await token.objects(["private-key"])).find(isEcKey) ?? never();
    await token.login("user", utf8(PIN));
  });

  const primitive = (): "ecdsa" | "ecdsa-sha1" => (key.primitives.includes("ecdsa") ? "ecdsa" : "ecdsa-sha1");
  const use = (): Promise<Uint8Array> => token.use(key, primitive(), HASH);
  const refusedUse = { name: "UseRefusedError", message: expect.stringContaining("and the PIN was given") as unknown };

  test.each([USE, ENVIRONMENT])("keeps the login once, whatever %s it was", async (command) => {
    refused = command;
    refusals = 1;
    await expect(use()).rejects.toMatchObject(refusedUse);
    expect(await use()).toHaveLength(64);
  });

  test(`keeps it ${tells ? "as often as the card says that the PIN is verified" : "until the next refusal"}`, async () => {
    refusals = 3;
    await expect(use()).rejects.toMatchObject(refusedUse);
    if (tells) {
      await expect(use()).rejects.toMatchObject(refusedUse);
      await expect(use()).rejects.toMatchObject(refusedUse);
      expect(await use()).toHaveLength(64);
    } else {
      await expect(use()).rejects.toMatchObject({ name: "LoginRequiredError" });
      const before = commands.length;
      await expect(use()).rejects.toMatchObject({ name: "LoginRequiredError" });
      expect(commands.slice(before).filter((command) => command.startsWith(USE))).toEqual([]);
    }
  });

  test("counts refusals in a row: a use that went well ends the row", async () => {
    for (let times = 0; times < 2; times++) {
      refusals = 1;
      await expect(use()).rejects.toMatchObject(refusedUse);
      expect(await use()).toHaveLength(64);
    }
  });

  test.each(["6700", "6985", "6f00"])("tolerates one if the empty VERIFY answers %s", async (sw) => {
    emptyVerify = sw;
    refusals = 2;
    await expect(use()).rejects.toMatchObject(refusedUse);
    await expect(use()).rejects.toMatchObject({ name: "LoginRequiredError" });
  });

  test("ends the login at once where the card was heard to say yes since, and now says no", async () => {
    emptyVerify = "9000";
    expect(await token.pinStatus("user")).toMatchObject({ verified: true });
    emptyVerify = "63c3";
    refusals = 1;
    await expect(use()).rejects.toMatchObject({ name: "LoginRequiredError" });
  });

  test("and that wants the PIN each time still wants it", async () => {
    refusals = 1;
    emptyVerify = "9000";
    Object.assign(key, { alwaysAuthenticate: true });
    await expect(use()).rejects.toMatchObject({
      name: "LoginRequiredError",
      message: "the card needs the PIN immediately before each use of this key",
    });
  });

  test("a private file that is refused is judged by the same rule", async () => {
    if (tells) {
      expect(await token.hasForgottenPin?.()).toBe(false);
      emptyVerify = "63c3";
      expect(await token.hasForgottenPin?.()).toBe(true);
    } else {
      expect(await token.hasForgottenPin?.()).toBe(false);
      expect(await token.hasForgottenPin?.()).toBe(true);
    }
  });
});

test("through the C_ functions it is CKR_FUNCTION_REJECTED, and the user stays logged in", async () => {
  let refusals = 1;
  const once: Instead = (command) => (command.startsWith(USE) && refusals-- > 0 ? "6982" : undefined);
  await using made = await facadeRig(answering(rebuiltCard(), once), [pkcs15]);
  const session = await made.loggedIn();
  const key = await made.privateKey(session, 1);
  const sign = async (): Promise<Uint8Array> => {
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    return made.cryptoki.C_Sign(session, HASH);
  };
  await expect(sign()).rejects.toMatchObject({ code: "CKR_FUNCTION_REJECTED" });
  expect((await made.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
  expect(await sign()).toHaveLength(256);
});
