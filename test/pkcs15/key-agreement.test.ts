import { createECDH, createPublicKey } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { CKA, CKD, CKK, CKM, CKO, type Template } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { READER, rig, type Rig } from "../cryptoki/rig.ts";
import { testKey, testPkcs15Card } from "../virtual/keys.ts";

const CURVES = [
  { name: "P-256", curve: "prime256v1", oid: "06082a8648ce3d030107" },
  { name: "P-384", curve: "secp384r1", oid: "06052b81040022" },
  { name: "P-521", curve: "secp521r1", oid: "06052b81040023" },
] as const;
const OPEN: Template = {
  [CKA.CLASS]: CKO.SECRET_KEY,
  [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
  [CKA.SENSITIVE]: false,
  [CKA.EXTRACTABLE]: true,
};

let made: Rig;
let session: number;
beforeEach(async () => {
  made = await rig(await testPkcs15Card(), [pkcs15]);
  session = await made.loggedIn();
});
afterEach(() => made[Symbol.asyncDispose]());

async function derive(key: number, publicData: Uint8Array): Promise<Uint8Array | undefined> {
  const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: publicData } };
  const secret = await made.cryptoki.C_DeriveKey(session, mechanism, key, OPEN);
  return (await made.cryptoki.C_GetAttributeValue(session, secret, [CKA.VALUE]))[CKA.VALUE];
}

/** Another program comes and goes: the driver's transaction is over when that one's begins. */
async function otherProgram(): Promise<void> {
  const connection = await made.readers.client({ patience: 2_000 }).connect(READER);
  await connection.begin();
  await connection.end();
  await connection.disconnect();
}

/** First bytes of the commands while `work` runs. */
async function sent(work: () => Promise<unknown>): Promise<string[]> {
  const before = made.commands.length;
  await work();
  return made.commands.slice(before).map((command) => command.slice(0, 8));
}

describe("a MyEID or OsEID card, which agrees on secrets in the key's own file only", () => {
  const own = createPublicKey(testKey("p-256", "authentication"));
  const { x = "", y = "" } = own.export({ format: "jwk" });
  const ownPoint = Buffer.concat([Uint8Array.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);

  test("the file is selected, which confirms the application too", async () => {
    const key = await made.privateKey(session, 2);
    const peer = createECDH("prime256v1");
    const point = new Uint8Array(peer.generateKeys());
    expect(await derive(key, point)).toEqual(new Uint8Array(peer.computeSecret(ownPoint)));
    const path = made.commands.find((command) => command.startsWith("00a408") && command.includes("50154b02"));
    expect(path).toBeDefined();
    // In the same transaction the file and the environment are still there.
    expect(await sent(() => derive(key, point))).toEqual(["00860000"]);
    await otherProgram();
    expect(await sent(() => derive(key, point))).toEqual([expect.stringMatching(/^00a408/u), "002241a4", "00860000"]);
  });

  test("a signature between two agreements takes nothing from them", async () => {
    const key = await made.privateKey(session, 2);
    const peer = createECDH("prime256v1");
    const point = new Uint8Array(peer.generateKeys());
    const secret = new Uint8Array(peer.computeSecret(ownPoint));
    for (let round = 0; round < 2; round++) {
      expect(await derive(key, point)).toEqual(secret);
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
      await made.cryptoki.C_Sign(session, new Uint8Array(10));
    }
  });

  test.each(CURVES)("with a key of $name that was made on the card", async ({ curve, oid }) => {
    const pair = await made.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.EC_PARAMS]: new Uint8Array(Buffer.from(oid, "hex")) },
      { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.DERIVE]: true, [CKA.SIGN]: false },
    );
    const { [CKA.EC_POINT]: point = new Uint8Array() } = await made.cryptoki.C_GetAttributeValue(
      session,
      pair.publicKey,
      [CKA.EC_POINT],
    );
    const peer = createECDH(curve);
    const publicData = new Uint8Array(peer.generateKeys());
    // CKA_EC_POINT is an OCTET STRING, whose header is longer with P-521.
    const secret = peer.computeSecret(point.subarray(-publicData.length));
    expect(await derive(pair.privateKey, publicData)).toEqual(new Uint8Array(secret));
  });

  test("a point that is not on the curve is refused, and the key still works", async () => {
    const key = await made.privateKey(session, 2);
    const peer = createECDH("prime256v1");
    const point = new Uint8Array(peer.generateKeys());
    const wrong = point.slice();
    wrong.set([(wrong.at(-1) ?? 0) ^ 1], wrong.length - 1);
    await expect(derive(key, wrong)).rejects.toMatchObject({ code: expect.stringMatching(/^CKR_/u) });
    expect(await derive(key, point)).toEqual(new Uint8Array(peer.computeSecret(ownPoint)));
  });
});
