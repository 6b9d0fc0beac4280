import { expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import {
  type CallEvent,
  CKA,
  CKF_SESSION,
  CKO,
  CKU,
  Cryptoki,
  type FindingEvent,
  type Template,
} from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { dataObject, odf, pin, tlv } from "./directory-files.ts";
import { FileCard, READER, RECORDING } from "./file-card.ts";

const PIN = "73914628";
const SECRET = "f00dfeedf00dfeed";
/** A label that would clear the screen of who reads the trace. */
const RUDE = "\u001b[2J";

interface Traced extends AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly lines: string[];
  readonly found: FindingEvent[];
}

async function traced(files: Readonly<Record<string, string>>): Promise<Traced> {
  const contents = Object.entries(files).map(([path, bytes]) => [path, { contents: bytes }] as const);
  const card = new FileCard({ files: { ...RECORDING.files, ...Object.fromEntries(contents) } });
  card.script.set("0020008108" + "3733393134363238", "9000");
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const lines: string[] = [];
  const found: FindingEvent[] = [];
  const trace = (line: string, event?: CallEvent | FindingEvent): void => {
    lines.push(line);
    if (event && "problem" in event) found.push(event);
  };
  const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [pkcs15], trace });
  await cryptoki.C_Initialize();
  return { cryptoki, lines, found, [Symbol.asyncDispose]: () => cryptoki.C_Finalize() };
}

async function labels(cryptoki: Cryptoki, session: number, template: Template): Promise<readonly unknown[]> {
  await cryptoki.C_FindObjectsInit(session, template);
  const found: unknown[] = [];
  for (const object of await cryptoki.C_FindObjects(session, 100)) {
    found.push((await cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL]))[CKA.LABEL]);
  }
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}

const BAD_FILES = {
  "50155031": odf({ a8: "4401", a0: "4402", a4: "4499", a7: "4406" }),
  "50154401": pin({ label: "PIN", authId: "01", reference: "81" }),
  "50154406":
    dataObject("note", "4301") + tlv("30", "020101") + dataObject(RUDE, "4377") + dataObject("secret", "4302", "01"),
  "50154301": "a0a1",
  // A certificate's value it is not, and a length of it that lies.
  "50154302": `3082ffff${SECRET}`,
};

test("what is wrong on a card is in the trace of who uses it, each thing once, when it is found", async () => {
  await using rig = await traced(BAD_FILES);
  const { cryptoki, lines, found } = rig;
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
  expect(found).toEqual([]);
  for (let again = 0; again < 2; again++) {
    expect(await labels(cryptoki, session, { [CKA.CLASS]: CKO.CERTIFICATE })).toEqual([]);
    expect((await labels(cryptoki, session, { [CKA.CLASS]: CKO.DATA })).slice(0, 2)).toEqual(["note", RUDE]);
  }
  expect(found).toMatchObject([
    { reader: READER, where: "certificates 4499", problem: expect.stringContaining("6A82") as unknown },
    { reader: READER, where: expect.stringMatching(/^data 3F00\/5015\/4406, at \d+$/u) as unknown },
  ]);
  const line = lines.findIndex((text) => text.includes("certificates 4499"));
  expect(lines[line]).toBe(`${READER}: certificates 4499: ${found[0]?.problem ?? ""}`);
  // Before the end of the call that it was found in.
  expect(lines[line + 1]).toContain("C_FindObjectsInit(");
});

test("no PIN, no value behind it and no character that a terminal obeys is told", async () => {
  await using rig = await traced(BAD_FILES);
  const { cryptoki, lines, found } = rig;
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, PIN);
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA });
  for (const object of await cryptoki.C_FindObjects(session, 100)) {
    await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]).catch(() => undefined);
  }
  expect(found.map(({ where }) => where)).toContain(`data object ${RUDE}`);
  const all = lines.join("\n").toLowerCase();
  for (const secret of [PIN, SECRET, String.fromCharCode(...fromHex(SECRET)), RUDE]) expect(all).not.toContain(secret);
});

test("an application that shares the slots is notified too, and one that stopped listening does not", async () => {
  await using rig = await traced(BAD_FILES);
  const lines: string[] = [];
  const other = new Cryptoki({ slots: rig.cryptoki.slots, trace: (line) => lines.push(line) });
  await other.C_Initialize();
  await rig.cryptoki.C_SetTraceCallback(null);
  const [slot = 0] = await other.C_GetSlotList(true);
  const session = await other.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION);
  await labels(other, session, { [CKA.CLASS]: CKO.CERTIFICATE });
  expect(lines.join("\n")).toContain("certificates 4499");
  expect(rig.lines.join("\n")).not.toContain("certificates 4499");
  await other.C_Finalize();
});
