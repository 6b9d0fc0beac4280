import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKD, CKM, CKO, CKS, CKU } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { PIN, READER, refusal, rig } from "./rig.ts";

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

test("an exchange that was given up in the middle costs no session and no login", async () => {
  await using made = await rig(await testCard());
  const session = await made.loggedIn();
  const key = await made.privateKey(session, 1);
  await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  const stop = new AbortController();
  made.before = () => {
    made.before = undefined;
    stop.abort();
  };
  await expect(made.cryptoki.C_Sign(session, utf8("data"), { signal: stop.signal })).rejects.toMatchObject(
    refusal("FUNCTION_CANCELED"),
  );
  expect(await made.find(session, certificates)).toHaveLength(4);
  await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  expect(await made.cryptoki.C_Sign(session, utf8("data"))).toHaveLength(256);
});

test("a private session object ends with a login, also with one that a reset ended", async () => {
  await using made = await rig(await testCard({ keys: { "9d": { privateKey: testKey("p-256") } } }));
  const session = await made.loggedIn();
  const { [CKA.EC_POINT]: pPublicData } = await made.cryptoki.C_GetAttributeValue(
    session,
    await made.publicKey(session, 3),
    [CKA.EC_POINT],
  );
  const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData } };
  const template = { [CKA.PRIVATE]: true, [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true };
  const secret = await made.cryptoki.C_DeriveKey(session, mechanism, await made.privateKey(session, 3), template);
  const key = await made.privateKey(session, 1);
  const other = await made.readers.client().connect(READER);
  await other.reconnect(1);
  await other.disconnect();
  await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  await expect(made.cryptoki.C_Sign(session, utf8("data"))).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  await made.cryptoki.C_Login(session, CKU.USER, PIN);
  await expect(made.cryptoki.C_GetAttributeValue(session, secret, [CKA.VALUE])).rejects.toMatchObject(
    refusal("OBJECT_HANDLE_INVALID"),
  );
});
