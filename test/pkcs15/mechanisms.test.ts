/** What C_GetMechanismInfo says of a PKCS #15 card: the sizes of this card, and CKF_HW beside nothing else. */
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKU } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { PIN, type Rig, rig } from "../cryptoki/rig.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { recordedCard } from "./file-card.ts";
import { rebuiltCard } from "./rebuilt-card.ts";

const CAPABILITIES = "00ca01aa00";
const MESSAGE = utf8("message");

/** The virtual MyEID with another answer to GET DATA 01AA. */
async function capable(answer: string): Promise<InProcessCard> {
  const card = await testPkcs15Card();
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: (command) =>
      toHex(command) === CAPABILITIES ? Promise.resolve(fromHex(answer)) : card.transmit(command),
  };
}

async function sizes(made: Rig, type: CKM): Promise<readonly [number, number, boolean]> {
  const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
  const { ulMinKeySize, ulMaxKeySize, flags } = await made.cryptoki.C_GetMechanismInfo(slot, type);
  return [ulMinKeySize, ulMaxKeySize, (flags & CKF.HW) !== 0];
}

describe("MyEID tells its longest keys", () => {
  test("and the virtual one has what it tells, to the end", async () => {
    await using made = await rig(await testPkcs15Card(), [pkcs15]);
    expect(await sizes(made, CKM.RSA_PKCS)).toEqual([512, 4096, true]);
    expect(await sizes(made, CKM.RSA_PKCS_KEY_PAIR_GEN)).toEqual([512, 4096, true]);
    expect(await sizes(made, CKM.ECDSA)).toEqual([256, 521, true]);
    expect(await sizes(made, CKM.ECDH1_DERIVE)).toEqual([256, 521, true]);
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.USER, PIN);
    for (const bits of [512, 1536]) {
      const { privateKey } = await made.cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
        { [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: bits },
        { [CKA.TOKEN]: true, [CKA.SIGN]: true },
      );
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.RSA_PKCS }, privateKey);
      expect(await made.cryptoki.C_Sign(session, new Uint8Array(20))).toHaveLength(bits / 8);
    }
    const { publicKey, privateKey } = await made.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.EC_PARAMS]: fromHex("06052b81040023") },
      { [CKA.TOKEN]: true, [CKA.SIGN]: true },
    );
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA512 }, privateKey);
    const signature = await made.cryptoki.C_Sign(session, MESSAGE);
    expect(signature).toHaveLength(2 * 66);
    await made.cryptoki.C_VerifyInit(session, { mechanism: CKM.ECDSA_SHA512 }, publicKey);
    await made.cryptoki.C_Verify(session, MESSAGE, signature);
  });

  test("costs one exchange, for those alone who ask", async () => {
    await using made = await rig(await testPkcs15Card(), [pkcs15]);
    const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
    expect(await made.count(() => made.cryptoki.C_GetMechanismList(slot))).toBe(0);
    await made.find(await made.session(), {});
    expect(made.commands).not.toContain(CAPABILITIES);
    await sizes(made, CKM.SHA256);
    await sizes(made, CKM.AES_CBC);
    expect(made.commands).not.toContain(CAPABILITIES);
    await sizes(made, CKM.ECDSA);
    expect(made.commands.filter((command) => command === CAPABILITIES)).toHaveLength(1);
  });

  test.each([
    ["RSA to 2048 and P-521", "0100090800000000000209" + "9000", [512, 2048, true], [256, 521, true]],
    ["nothing", "6a88", [512, 4096, true], [256, 521, true]],
    ["a part", "01000908009000", [512, 4096, true], [256, 521, true]],
  ])("that says %s", async (_, answer, rsa, ec) => {
    await using made = await rig(await capable(answer), [pkcs15]);
    expect(await sizes(made, CKM.RSA_X_509)).toEqual(rsa);
    expect(await sizes(made, CKM.ECDSA)).toEqual(ec);
  });

  test("that has no elliptic curves computes nothing with them", async () => {
    await using made = await rig(await capable("01000108000000000000009000"), [pkcs15]);
    expect((await sizes(made, CKM.ECDSA))[2]).toBe(false);
    expect(await sizes(made, CKM.RSA_PKCS)).toEqual([512, 2048, true]);
  });
});

describe("other makes", () => {
  test("IsoApplet: what its version has", async () => {
    await using made = await rig(rebuiltCard(), [pkcs15]);
    expect(await sizes(made, CKM.RSA_PKCS)).toEqual([2048, 4096, true]);
    expect(await sizes(made, CKM.ECDSA_SHA1)).toEqual([256, 384, true]);
    expect((await sizes(made, CKM.SHA256))[2]).toBe(false);
  });

  test("the recorded card computes nothing on the host in hardware", async () => {
    await using made = await rig(recordedCard(), [pkcs15]);
    for (const type of [CKM.SHA256, CKM.SHA_1, CKM.AES_CBC]) expect((await sizes(made, type))[2]).toBe(false);
  });
});
