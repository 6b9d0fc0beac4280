import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKM, CKO, CKS } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { refusal, rig } from "./rig.ts";

/** A card that answers some commands otherwise: by the beginning of the command, hexadecimal. */
async function cardThatAnswers(answers: Readonly<Record<string, string>>): Promise<InProcessCard> {
  const card = await testCard();
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: (command) => {
      const answer = Object.entries(answers).find(([beginning]) => toHex(command).startsWith(beginning));
      return answer ? Promise.resolve(fromHex(answer[1])) : card.transmit(command);
    },
  };
}

const GET_DATA = "00cb3fff055c03";
const certificates = { [CKA.CLASS]: CKO.CERTIFICATE };

describe("an object that cannot be read hides no other", () => {
  test.each([
    ["a certificate without its wrapping", `${GET_DATA}5fc10a`, "700130 9000", 3],
    ["a certificate that is refused", `${GET_DATA}5fc105`, "6982", 3],
    ["a key history that is refused", `${GET_DATA}5fc10c`, "6a81", 4],
    ["a key history that does not parse", `${GET_DATA}5fc10c`, "5303c10566 9000", 4],
    ["an answer of one byte", `${GET_DATA}5fc10b`, "90", 3],
  ])("%s", async (_, command, answer, found) => {
    await using made = await rig(await cardThatAnswers({ [command]: answer }));
    const session = await made.session();
    expect(await made.find(session, certificates)).toHaveLength(found);
  });

  test("nor ends a login", async () => {
    await using made = await rig(await cardThatAnswers({ [`${GET_DATA}5fc103`]: "6982" }));
    const session = await made.loggedIn();
    await made.find(session, { [CKA.CLASS]: CKO.DATA });
    expect(await made.cryptoki.C_GetSessionInfo(session)).toMatchObject({ state: CKS.RW_USER_FUNCTIONS });
  });
});

test("an exchange that was given up in the middle costs its sessions, not the token", async () => {
  await using made = await rig(await testCard());
  const session = await made.loggedIn();
  const key = await made.privateKey(session, 1);
  await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  const stop = new AbortController();
  made.before = () => {
    made.before = undefined;
    stop.abort();
  };
  await expect(made.cryptoki.C_Sign(session, utf8("data"), stop.signal)).rejects.toMatchObject(
    refusal("FUNCTION_CANCELED"),
  );
  await expect(made.find(session, certificates)).rejects.toThrow();
  const again = await made.session();
  expect(await made.find(again, certificates)).toHaveLength(4);
});
