import { expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKM, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { rebuiltCard } from "./rebuilt-card.ts";

// How what a card refuses is told in PKCS #11's terms.

const READER = "Reader";
const PIN = "123456";
const NOTE: Template = {
  [CKA.CLASS]: CKO.DATA,
  [CKA.TOKEN]: true,
  [CKA.LABEL]: "note",
  [CKA.VALUE]: utf8("what was noted"),
};

/** A program of its own at the card's first token, logged in. */
class Program implements AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly session: number;

  private constructor(cryptoki: Cryptoki, session: number) {
    this.cryptoki = cryptoki;
    this.session = session;
  }

  static async start(readers: MemoryReaders): Promise<Program> {
    const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [pkcs15] });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    return new Program(cryptoki, session);
  }

  async find(template: Template): Promise<readonly number[]> {
    await this.cryptoki.C_FindObjectsInit(this.session, template);
    const found = await this.cryptoki.C_FindObjects(this.session, 100);
    await this.cryptoki.C_FindObjectsFinal(this.session);
    return found;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cryptoki.C_Finalize();
  }
}

function readersWith(card: InProcessCard): MemoryReaders {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  return readers;
}

test.each([
  [
    "changed",
    ({ cryptoki, session }: Program, note: number) =>
      cryptoki.C_SetAttributeValue(session, note, { [CKA.LABEL]: "other" }),
  ],
  ["destroyed", ({ cryptoki, session }: Program, note: number) => cryptoki.C_DestroyObject(session, note)],
])("an object that another program took off the card cannot be %s: its handle is invalid, and ends", async (_, act) => {
  const readers = readersWith(await testPkcs15Card());
  await using one = await Program.start(readers);
  await one.cryptoki.C_CreateObject(one.session, NOTE);
  await using other = await Program.start(readers);
  const [note = 0] = await one.find({ [CKA.LABEL]: "note" });
  const [same = 0] = await other.find({ [CKA.LABEL]: "note" });
  await one.cryptoki.C_DestroyObject(one.session, note);
  await expect(act(other, same)).rejects.toMatchObject({ code: "CKR_OBJECT_HANDLE_INVALID" });
  expect(await other.find({ [CKA.LABEL]: "note" })).toEqual([]);
  await expect(other.cryptoki.C_GetAttributeValue(other.session, same, [CKA.LABEL])).rejects.toMatchObject({
    code: "CKR_OBJECT_HANDLE_INVALID",
  });
});

test("a ciphertext that no message is enciphered to is CKR_ENCRYPTED_DATA_INVALID", async () => {
  await using program = await Program.start(readersWith(rebuiltCard()));
  const { cryptoki, session } = program;
  const [key = 0] = await program.find({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.DECRYPT]: true });
  await cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, key);
  const tooLarge = new Uint8Array(256).fill(0xff);
  await expect(cryptoki.C_Decrypt(session, tooLarge)).rejects.toMatchObject({ code: "CKR_ENCRYPTED_DATA_INVALID" });
});
