import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKM, CKO } from "../../src/cryptoki/index.ts";
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

describe("a card that answers an extended GET DATA", () => {
  test.each([0x6700, 0x6d00, 0x6f00])("by %p is asked once more in short form: its keys are found", async (sw) => {
    const card = await testCard({ extended: true });
    await using made = await rig({
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: (command) =>
        command[1] === 0xcb && isExtended(command)
          ? Promise.resolve(Uint8Array.of(sw >> 8, sw & 0xff))
          : card.transmit(command),
    });
    const session = await made.loggedIn();
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(4);
  });

  test("by 6A82 is asked no second time", async () => {
    const card = await testCard({ extended: true, keys: { "9d": null } });
    await using made = await rig(card);
    const session = await made.session();
    const before = made.commands.length;
    await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(3) });
    const asked = made.commands.slice(before).filter((command) => command.includes("5c035fc10b"));
    expect(asked).toHaveLength(1);
  });
});
