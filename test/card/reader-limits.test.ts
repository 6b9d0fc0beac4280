import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { CKM } from "../../src/cryptoki/index.ts";
import { PcscError } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { refusal, rig } from "../cryptoki/rig.ts";

const isExtended = (command: Uint8Array): boolean => command.length > 5 && command[4] === 0;

describe("a reader that takes no extended command, though the card does", () => {
  test.each(["SCARD_E_NOT_TRANSACTED", "SCARD_E_INSUFFICIENT_BUFFER", "SCARD_F_COMM_ERROR"] as const)(
    "and says %s is sent short ones, for good",
    async (code) => {
      await using made = await rig(await testCard({ extended: true }));
      let refused = 0;
      made.before = (command) => {
        if (!isExtended(command)) return;
        refused++;
        throw new PcscError(code);
      };
      const session = await made.loggedIn();
      const key = await made.privateKey(session, 1);
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      expect(await made.cryptoki.C_Sign(session, utf8("message"))).toHaveLength(256);
      expect(refused).toBe(1);
    },
  );

  test("is not taken for one where the card is gone", async () => {
    await using made = await rig(await testCard({ extended: true }));
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    const commands: string[] = [];
    made.before = (command) => {
      commands.push(toHex(command.subarray(0, 2)));
      if (isExtended(command)) throw new PcscError("SCARD_W_REMOVED_CARD");
    };
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await expect(made.cryptoki.C_Sign(session, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_REMOVED"));
    expect(commands).toHaveLength(1);
  });
});
