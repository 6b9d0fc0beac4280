import { expect, jest, test } from "@jest/globals";
import { CKA, CKF_SESSION, CKO, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";

jest.setTimeout(60_000);

const OLD = "Public note";

/** Opens the first token of a card, and gives what `work` gives. */
async function withToken<T>(
  card: Awaited<ReturnType<typeof testPkcs15Card>>,
  work: (cryptoki: Cryptoki, session: number) => Promise<T>,
): Promise<T> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  const cryptoki = new Cryptoki({ pcsc: readers.client({ patience: 50 }), profiles: [pkcs15] });
  await cryptoki.C_Initialize();
  try {
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    return await work(cryptoki, session);
  } finally {
    await Promise.race([cryptoki.C_Finalize(), new Promise((resolve) => setTimeout(resolve, 500))]);
  }
}

test("a card torn out in the middle of a write is read again, and nothing that it had is lost", async () => {
  for (let commands = 0; commands < 30; commands += 3) {
    const card = await testPkcs15Card();
    await withToken(card, async (cryptoki, session) => {
      await cryptoki.C_Login(session, CKU.USER, "123456");
      const template = { [CKA.CLASS]: CKO.DATA, [CKA.TOKEN]: true, [CKA.LABEL]: "new", [CKA.VALUE]: Buffer.alloc(600) };
      card.tearAfter(commands);
      const written = cryptoki.C_CreateObject(session, template).catch(() => undefined);
      await Promise.race([written, new Promise((resolve) => setTimeout(resolve, 300))]);
    });
    card.reset();
    const labels = await withToken(card, async (cryptoki, session) => {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA });
      const found: string[] = [];
      for (const handle of await cryptoki.C_FindObjects(session, 100)) {
        found.push((await cryptoki.C_GetAttributeValue(session, handle, [CKA.LABEL]))[CKA.LABEL]);
      }
      return found;
    });
    expect(labels).toContain(OLD);
  }
});
