import { expect, test } from "@jest/globals";
import { SCARD_SHARE } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { READER, refusal, rig, settled } from "./rig.ts";

test("a card that another program has exclusively is not waited for, and is there as soon as that one leaves", async () => {
  await using made = await rig(await testCard());
  const other = await made.readers.client().connect(READER, { share: SCARD_SHARE.EXCLUSIVE });
  const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
  await expect(made.cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  await other.disconnect();
  await settled();
  expect(await made.cryptoki.C_GetTokenInfo(slot)).toMatchObject({ model: "PIV" });
});
