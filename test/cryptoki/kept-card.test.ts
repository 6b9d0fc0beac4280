import { expect, jest, test } from "@jest/globals";
import { SCARD_SHARE } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { READER, refusal, rig, settled } from "./rig.ts";

test("a card in another program's transaction is waited for once: the list and the token's information share the wait", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  await using other = await made.readers.client().connect(READER);
  await other.begin();
  const connect = jest.spyOn(made.pcsc, "connect");
  const [slot = -1] = await cryptoki.C_GetSlotList(true);
  expect(connect).toHaveBeenCalledTimes(1);
  await expect(cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  expect(connect).toHaveBeenCalledTimes(1);
  await other.end();
  const told = async (): Promise<string | undefined> =>
    cryptoki.C_GetTokenInfo(slot).then(
      ({ model }) => model,
      () => undefined,
    );
  // It is asked for again after no longer than it was waited for.
  while ((await told()) === undefined) await settled();
  expect(connect).toHaveBeenCalledTimes(2);
});

test("a card that another program has exclusively is not waited for, and is there as soon as that one leaves", async () => {
  await using made = await rig(await testCard());
  const other = await made.readers.client().connect(READER, { share: SCARD_SHARE.EXCLUSIVE });
  const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
  await expect(made.cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  await other.disconnect();
  await settled();
  expect(await made.cryptoki.C_GetTokenInfo(slot)).toMatchObject({ model: "PIV" });
});
